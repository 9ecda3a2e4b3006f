# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``streaming_callback``, ``header_callback`` and ``body_producer`` run for the code that called ``fetch``."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import tornado
from support import Recorder, Servers, active_id, children, only, span_id
from support.outcomes import UnhandledError
from support.serving import until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_client_tracing, init_tracing

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

NAMES = ("streaming_callback", "header_callback", "body_producer")


class Serves(RequestHandler):
    """Answers in two parts, when the test says so."""

    async def post(self, name: str) -> None:
        site: Site = self.settings["site"]
        site.arrived.append(name)
        await site.gate(name).wait()
        self.write(self.request.body)
        await self.flush()
        self.write(b"/end")

    get = post


class Redirects(RequestHandler):
    def get(self, name: str) -> None:
        self.redirect(f"/{name}")


class Site:
    """A live server."""

    def __init__(self) -> None:
        self.url = ""
        self.arrived: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())


@pytest.fixture
async def site(servers: Servers) -> AsyncIterator[Site]:
    site = Site()
    routes = [(r"/redirect/(.+)", Redirects), (r"/(\w+)", Serves)]
    site.url = servers.start(Application(routes, site=site, log_function=lambda handler: None))
    yield site
    for gate in site.gates.values():
        gate.set()


@pytest.fixture(params=["simple", "curl"])
def client_class(request: pytest.FixtureRequest) -> type[AsyncHTTPClient]:
    if request.param == "simple":
        return SimpleAsyncHTTPClient
    curl = pytest.importorskip("tornado.curl_httpclient")
    made: type[AsyncHTTPClient] = curl.CurlAsyncHTTPClient
    return made


@dataclasses.dataclass
class Caller:
    """The callbacks of one fetch, and where they ran: what was active, and the caller's own context variable."""

    tracer: Any
    name: str
    seen: dict[str, list[tuple[int | None, str]]] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    span: int | None = None

    def saw(self, callback: str) -> None:
        self.seen.setdefault(callback, []).append((active_id(self.tracer), variable.get()))

    def streaming_callback(self, chunk: bytes) -> Any:
        self.saw("streaming_callback")
        self.body += chunk

    def header_callback(self, line: str) -> Any:
        self.saw("header_callback")

    def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        self.saw("body_producer")
        return write(self.name.encode())

    async def fetch(self, client: AsyncHTTPClient, url: str, names: tuple[str, ...] = NAMES) -> None:
        variable.set(self.name)
        arguments: dict[str, Any] = {name: getattr(self, name) for name in names}
        if "body_producer" in names:
            arguments.update(method="POST", headers={"Content-Length": str(len(self.name))})
        with self.tracer.start_active_span(self.name) as scope:
            self.span = span_id(scope.span)
            fetching = client.fetch(HTTPRequest(url, **arguments))
        await fetching

    def check(self, names: tuple[str, ...] = NAMES) -> None:
        assert self.seen.keys() == set(names)
        for seen in self.seen.values():
            assert set(seen) == {(self.span, self.name)}
        if "streaming_callback" in names:
            assert self.body == (self.name.encode() if "body_producer" in names else b"") + b"/end"


class AsyncCaller(Caller):
    """With coroutines, where Tornado takes them."""

    async def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        self.saw("body_producer")
        await asyncio.sleep(0)
        self.saw("body_producer")
        for byte in self.name.encode():
            await write(bytes([byte]))
            self.saw("body_producer")

    if tornado.version_info >= (6, 6):

        async def streaming_callback(self, chunk: bytes) -> Any:
            super().streaming_callback(chunk)
            await asyncio.sleep(0)
            self.saw("streaming_callback")


class CoroutineCaller(Caller):
    @gen.coroutine
    def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        self.saw("body_producer")
        yield write(self.name.encode())
        if tornado.version_info >= (6, 1):  # gen.coroutine of 6.0 loses context variables between yields
            self.saw("body_producer")


class DelegatingCaller(AsyncCaller):
    """With plain functions that return the coroutines."""

    def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        return super().body_producer(write)

    def streaming_callback(self, chunk: bytes) -> Any:
        return super().streaming_callback(chunk)


CALLERS = [Caller, AsyncCaller, CoroutineCaller, DelegatingCaller]


@pytest.mark.parametrize("caller_class", CALLERS)
async def test_callbacks_run_in_the_context_of_the_code_that_called_fetch(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site, caller_class: type[Caller]
) -> None:
    """What is active there is the caller's span, which may be closed by then, and not that of the fetch."""
    init_client_tracing(each_recorder.tracer)
    caller = caller_class(each_recorder.tracer, "caller")
    site.gate("caller").set()
    await asyncio.ensure_future(caller.fetch(client, f"{site.url}/caller"))
    caller.check()
    assert active_id(each_recorder.tracer) is None
    assert variable.get() == "unset"


async def test_callbacks_of_either_client_run_in_the_context_of_the_code_that_called_fetch(
    each_recorder: Recorder, client_class: type[AsyncHTTPClient], site: Site
) -> None:
    """curl knows no ``body_producer``."""
    init_client_tracing(each_recorder.tracer)
    client = client_class(force_instance=True)
    caller = Caller(each_recorder.tracer, "caller")
    site.gate("caller").set()
    names = ("streaming_callback", "header_callback")
    await asyncio.ensure_future(caller.fetch(client, f"{site.url}/caller", names))
    caller.check(names)
    client.close()


@pytest.mark.parametrize("caller_class", CALLERS)
async def test_callbacks_of_a_fetch_that_another_started_run_in_the_context_of_their_own_caller(
    each_recorder: Recorder, site: Site, caller_class: type[Caller]
) -> None:
    """The second waits for a place among ``max_clients`` and is started when the first ends, in that one's context."""
    init_client_tracing(each_recorder.tracer)
    client: Any = SimpleAsyncHTTPClient(force_instance=True, max_clients=1)
    await queued(each_recorder, client, site, caller_class, NAMES)


async def test_callbacks_of_a_fetch_that_another_started_with_either_client(
    each_recorder: Recorder, client_class: type[AsyncHTTPClient], site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    client: Any = client_class(force_instance=True, max_clients=1)
    await queued(each_recorder, client, site, Caller, ("streaming_callback", "header_callback"))


async def queued(
    recorder: Recorder, client: AsyncHTTPClient, site: Site, caller_class: type[Caller], names: tuple[str, ...]
) -> None:
    callers = [caller_class(recorder.tracer, name) for name in ("first", "second", "third")]
    tasks = []
    for caller in callers:
        tasks.append(asyncio.ensure_future(caller.fetch(client, f"{site.url}/{caller.name}", names)))
        await until(lambda caller=caller: caller.span is not None)  # type: ignore[misc]
    for caller, task in zip(callers, tasks, strict=True):
        await until(lambda caller=caller: caller.name in site.arrived)  # type: ignore[misc]
        assert site.arrived[-1] == caller.name
        site.gate(caller.name).set()
        await task
        caller.check(names)
    client.close()
    spans = recorder.finished
    for caller in callers:
        assert only(children(spans, only(spans, name=caller.name))).path == f"/{caller.name}"


async def test_callbacks_of_fetches_at_once_do_not_mix(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    callers = [AsyncCaller(each_recorder.tracer, name) for name in "abcde"]
    tasks = [asyncio.ensure_future(caller.fetch(client, f"{site.url}/{caller.name}")) for caller in callers]
    await until(lambda: len(site.arrived) == 5)
    for caller in callers:
        site.gate(caller.name).set()
    await asyncio.gather(*tasks)
    for caller in callers:
        caller.check()


async def test_callbacks_run_in_the_callers_context_for_every_hop_of_a_redirect(
    each_recorder: Recorder, client_class: type[AsyncHTTPClient], site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    client = client_class(force_instance=True)
    caller = Caller(each_recorder.tracer, "caller")
    site.gate("caller").set()
    names = ("streaming_callback", "header_callback")
    await asyncio.ensure_future(caller.fetch(client, f"{site.url}/redirect/caller", names))
    caller.check(names)
    assert only(each_recorder.finished, kind="client").status == 200
    client.close()


@pytest.mark.parametrize("hops", [0, 1, 3])
async def test_a_chain_of_redirects_is_one_span_with_the_final_url_and_their_number(
    each_recorder: Recorder, client_class: type[AsyncHTTPClient], site: Site, hops: int
) -> None:
    """curl does not tell the number."""
    init_client_tracing(each_recorder.tracer)
    client = client_class(force_instance=True)
    site.gate("end").set()
    await client.fetch(f"{site.url}/{'redirect/' * hops}end")
    client.close()
    span = only(each_recorder.finished)
    assert (span.path, span.status, each_recorder.unfinished) == (f"/{'redirect/' * hops}end", 200, 0)
    assert span.tags.get("http.effective_url") == (f"{site.url}/end" if hops else None)
    counts = client_class is SimpleAsyncHTTPClient and hops
    assert span.tags.get("http.redirects") == (hops if counts else None)


async def test_a_span_opened_in_a_callback_is_a_child_of_the_callers(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    """Siblings of the fetch: they outlive it, or are done before it, as they please."""
    init_client_tracing(each_recorder.tracer)

    class Opens(AsyncCaller):
        def saw(self, callback: str) -> None:
            super().saw(callback)
            with self.tracer.start_active_span(callback):
                pass

    caller = Opens(each_recorder.tracer, "caller")
    site.gate("caller").set()
    await asyncio.ensure_future(caller.fetch(client, f"{site.url}/caller"))
    caller.check()
    spans = each_recorder.finished
    found = children(spans, only(spans, name="caller"))
    assert {span.name for span in found} == {"POST", *NAMES}
    assert len(found) == len(spans) - 1


async def test_a_fetch_in_a_callback_is_a_child_of_the_callers(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    site.gate("inner").set()
    site.gate("caller").set()

    class Fetches(AsyncCaller):
        async def body_producer(self, write: Callable[[bytes], Any]) -> Any:
            await client.fetch(f"{site.url}/inner")
            return await super().body_producer(write)

    caller = Fetches(each_recorder.tracer, "caller")
    await asyncio.ensure_future(caller.fetch(client, f"{site.url}/caller"))
    caller.check()
    spans = each_recorder.finished
    assert sorted(span.path for span in children(spans, only(spans, name="caller"))) == ["/caller", "/inner"]


async def test_callbacks_run_in_the_request_of_the_handler_that_called_fetch(
    each_recorder: Recorder, servers: Servers, site: Site
) -> None:
    """Also where the fetch of another request started its own."""
    tracer = each_recorder.tracer
    init_tracing(tracer)
    client: Any = SimpleAsyncHTTPClient(force_instance=True, max_clients=1)
    callers: dict[str, Caller] = {}

    class Front(RequestHandler):
        async def get(self, name: str) -> None:
            caller = callers[name] = AsyncCaller(tracer, name)
            await caller.fetch(client, f"{site.url}/{name}")

    front = servers.start(Application([(r"/(\w+)", Front)]))
    outside: Any = AsyncHTTPClient(force_instance=True)
    tasks = []
    for number, name in enumerate(("first", "second"), 1):
        tasks.append(asyncio.ensure_future(outside.fetch(f"{front}/{name}")))
        await until(lambda number=number: len(callers) == number)  # type: ignore[misc]
    site.gate("first").set()
    await tasks[0]
    site.gate("second").set()
    await tasks[1]
    for caller in callers.values():
        caller.check()
    client.close()
    outside.close()


# What the callbacks give and are given is Tornado's own.


async def outcome(awaitable: Awaitable[Any]) -> object:
    try:
        response = await awaitable
    except Exception as error:
        return type(error), str(error)
    return response.code, response.body


class Fails(Caller):
    def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        raise UnhandledError("oops")


class AsyncFails(Caller):
    async def body_producer(self, write: Callable[[bytes], Any]) -> Any:
        await asyncio.sleep(0)
        raise UnhandledError("oops")


class FailsInHeader(Caller):
    def header_callback(self, line: str) -> Any:
        raise UnhandledError("oops")


class FailsInChunk(Caller):
    def streaming_callback(self, chunk: bytes) -> Any:
        raise UnhandledError("oops")


@pytest.mark.parametrize("caller_class", [Fails, AsyncFails, FailsInHeader, FailsInChunk])
async def test_a_callback_that_raises_does_what_it_does_without_tracing(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site, caller_class: type[Caller]
) -> None:
    site.gate("caller").set()

    async def run() -> object:
        caller = caller_class(each_recorder.tracer, "caller")

        async def fetch() -> Any:
            await caller.fetch(client, f"{site.url}/caller")

        return await outcome(fetch())

    untraced = await run()
    init_client_tracing(each_recorder.tracer)
    assert await run() == untraced
    assert each_recorder.unfinished == 0
    assert only(each_recorder.finished, kind="client").is_error


async def test_the_callers_request_keeps_its_own_callbacks(
    recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    site.gate("caller").set()
    caller = Caller(recorder.tracer, "caller")
    request = HTTPRequest(
        f"{site.url}/caller",
        method="POST",
        headers={"Content-Length": "6"},
        streaming_callback=caller.streaming_callback,
        header_callback=caller.header_callback,
        body_producer=caller.body_producer,
    )
    response = await client.fetch(request)
    assert response.request is request
    assert request.streaming_callback == caller.streaming_callback
    assert request.header_callback == caller.header_callback
    assert request.body_producer == caller.body_producer


async def test_one_request_fetched_by_several_callers_runs_its_callbacks_for_each(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    tracer = each_recorder.tracer
    seen: list[tuple[int | None, str]] = []
    request = HTTPRequest(
        f"{site.url}/shared", header_callback=lambda _: seen.append((active_id(tracer), variable.get()))
    )

    async def call(name: str) -> tuple[int, str]:
        variable.set(name)
        with tracer.start_active_span(name) as scope:
            await client.fetch(request)
            return span_id(scope.span), name

    tasks = [asyncio.ensure_future(call(name)) for name in "abc"]
    await until(lambda: len(site.arrived) == 3)
    site.gate("shared").set()
    assert set(await asyncio.gather(*tasks)) == set(seen)


async def test_callbacks_given_as_arguments_run_in_the_callers_context_too(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    site.gate("caller").set()
    caller = AsyncCaller(each_recorder.tracer, "caller")
    with each_recorder.tracer.start_active_span("caller") as scope:
        caller.span = span_id(scope.span)
        variable.set("caller")
        fetching = client.fetch(
            f"{site.url}/caller",
            method="POST",
            headers={"Content-Length": "6"},
            streaming_callback=caller.streaming_callback,
            header_callback=caller.header_callback,
            body_producer=caller.body_producer,
        )
        variable.set("unset")
    await fetching
    caller.check()
