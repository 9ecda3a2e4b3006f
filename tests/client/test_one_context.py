# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""All callbacks of one fetch run in one context, that of its caller, and keep their kind."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import tornado
from support import Recorder, active_id, span_id
from support.fetching import MakeClient, Site
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tornado_opentracing import init_client_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

#: The callbacks that have run for the fetch, as each of them finds them.
ran: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("ran", default=())


def note(name: str) -> None:
    if name not in ran.get():
        ran.set((*ran.get(), name))


def plain(name: str, seen: list[Any]) -> Callable[..., Any]:
    def callback(*args: Any) -> None:
        note(name)
        seen.append(ran.get())

    return callback


def asynchronous(name: str, seen: list[Any]) -> Callable[..., Any]:
    async def callback(*args: Any) -> None:
        note(f"{name} begun")
        await asyncio.sleep(0)
        note(name)
        seen.append(ran.get())

    return callback


def delegating(name: str, seen: list[Any]) -> Callable[..., Any]:
    def callback(*args: Any) -> Any:
        return asynchronous(name, seen)(*args)

    return callback


@pytest.mark.parametrize("as_arguments", [False, True])
async def test_what_one_callback_sets_the_next_sees(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, as_arguments: bool
) -> None:
    init_client_tracing(recorder.tracer)
    seen: list[tuple[str, ...]] = []
    names = ("prepare_curl_callback", "header_callback", "streaming_callback")
    callbacks: dict[str, Any] = {name: plain(name, seen) for name in names}
    url = f"{site.url}/"
    await (each_client.fetch(url, **callbacks) if as_arguments else each_client.fetch(HTTPRequest(url, **callbacks)))
    is_curl = "Curl" in type(each_client).__name__
    assert set(seen[-1]) == {*names} if is_curl else {*names[1:]}
    assert ran.get() == ()


@pytest.mark.parametrize("make", [plain, asynchronous, delegating])
async def test_what_a_body_producer_sets_the_next_callbacks_see(
    recorder: Recorder, client: AsyncHTTPClient, site: Site, make: Callable[..., Any]
) -> None:
    """A coroutine, too, runs in the one context, and not in a copy."""
    init_client_tracing(recorder.tracer)
    seen: list[tuple[str, ...]] = []
    has_coroutines = make is not plain and tornado.version_info >= (6, 6)
    callbacks: dict[str, Any] = {
        "body_producer": make("body_producer", seen),
        "header_callback": plain("header_callback", seen),
        "streaming_callback": (make if has_coroutines else plain)("streaming_callback", seen),
    }
    request = HTTPRequest(f"{site.url}/", method="POST", headers={"Content-Length": "0"}, **callbacks)
    await client.fetch(request)
    assert [name for name in seen[-1] if name in callbacks] == list(callbacks)
    assert ran.get() == ()


async def test_a_coroutine_callback_runs_in_the_task_that_tornado_awaits_it_in(
    recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    """What cancels or limits the task that it runs in does so as without tracing; what is raised reaches it."""
    tasks: list[Any] = []

    async def body_producer(write: Any) -> None:
        tasks.append(asyncio.current_task())
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except asyncio.TimeoutError:
            tasks.append(asyncio.current_task())
        future: asyncio.Future[None] = asyncio.Future()
        future.set_exception(ZeroDivisionError("oops"))
        await future

    coroutines = []
    for traced in (False, True):
        if traced:
            init_client_tracing(recorder.tracer)
        with pytest.raises(ZeroDivisionError, match="oops"):
            await client.fetch(
                f"{site.url}/", method="POST", body_producer=body_producer, headers={"Content-Length": "0"}
            )
        before, after = tasks[-2:]
        assert before is after
        coroutines.append(before.get_coro().__qualname__)
    assert coroutines[0] == coroutines[1]


async def test_prepare_curl_callback_of_a_queued_fetch_runs_for_its_own_caller(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    tracer = each_recorder.tracer
    init_client_tracing(tracer)
    client = make_client(max_clients=1)
    if "Curl" not in type(client).__name__:
        pytest.skip("simple_httpclient knows no such callback")
    seen: dict[str, int | None] = {}
    spans: dict[str, int] = {}

    async def fetched(name: str, path: str) -> None:
        with tracer.start_active_span(name) as scope:
            spans[name] = span_id(scope.span)
            await client.fetch(
                f"{site.url}{path}", prepare_curl_callback=lambda curl: seen.update({name: active_id(tracer)})
            )

    tasks = [asyncio.ensure_future(fetched("first", "/wait"))]
    await until(lambda: site.waiting)
    tasks.append(asyncio.ensure_future(fetched("second", "/")))
    await until(lambda: "second" in spans)
    site.release.set()
    await asyncio.gather(*tasks)
    assert seen == spans


async def test_callbacks_keep_their_kind(recorder: Recorder) -> None:
    given: list[HTTPRequest] = []

    class Client(AsyncHTTPClient):
        def fetch_impl(self, request: HTTPRequest, callback: Any) -> None:
            given.append(request)

    init_client_tracing(recorder.tracer)
    untyped: Any = Client
    client = untyped(force_instance=True)
    for make in (plain, asynchronous):
        callback = make("callback", [])
        client.fetch(HTTPRequest("http://nowhere.invalid/", streaming_callback=callback, header_callback=callback))
        found: Any
        for found in (given[-1].streaming_callback, given[-1].header_callback):
            assert inspect.iscoroutinefunction(found) == inspect.iscoroutinefunction(callback)
            assert found.__name__ == "callback"
    client.close()
