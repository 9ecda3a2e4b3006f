# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""However a fetch ends: one finished span that tells it, and the caller gets exactly what Tornado would have given."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import tornado
from support import Recorder, only
from support.fetching import Held, Immediate, MakeClient, Site, as_seen, client_spans, new_client, the_span
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tornado_opentracing import init_client_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


@dataclasses.dataclass
class World:
    """What there is to fetch."""

    site: Site
    broken_url: str
    refused_url: str


FetchOne = Callable[[AsyncHTTPClient, World], Awaitable[HTTPResponse]]


@dataclasses.dataclass
class Outcome:
    """A way for a fetch to end, and the status that its span has then."""

    fetch: FetchOne
    status: int | None
    #: curl has errors of its own, with code 599, where simple_httpclient passes on an OSError or ValueError.
    curl_status: int | None
    #: The first version of Tornado that has this outcome.
    since: tuple[int, int] = (6, 0)


def ends(fetch: FetchOne, status: int | None, *, curl: int | None = 0, **kwargs: Any) -> Outcome:
    return Outcome(fetch, status, status if curl == 0 else curl, **kwargs)


async def cancelled(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    before = world.site.waiting
    future: Any = client.fetch(f"{world.site.url}/wait")
    await until(lambda: world.site.waiting > before)
    future.cancel()
    await asyncio.sleep(0)
    return await future  # type: ignore[no-any-return]


async def task_cancelled(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    async def fetch() -> HTTPResponse:
        return await client.fetch(f"{world.site.url}/wait")

    before = world.site.waiting
    task = asyncio.ensure_future(fetch())
    await until(lambda: world.site.waiting > before)
    task.cancel()
    return await task


async def timed_out_by_the_caller(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    return await asyncio.wait_for(client.fetch(f"{world.site.url}/wait"), 0.03)


async def closed_client(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    client.close()
    return await client.fetch(f"{world.site.url}/")


def broken_callback(*args: Any) -> None:
    raise ZeroDivisionError("a bug in the application")


async def async_callback(chunk: bytes) -> None:
    await asyncio.sleep(0)


def site_fetch(path: str, *args: Any, **kwargs: Any) -> FetchOne:
    return lambda client, world: client.fetch(f"{world.site.url}{path}", *args, **kwargs)


def request_fetch(headers: Any, **kwargs: Any) -> FetchOne:
    return lambda client, world: client.fetch(HTTPRequest(f"{world.site.url}/", headers=headers), **kwargs)


OUTCOMES = {
    "success": ends(site_fetch("/status/200"), 200),
    "304": ends(site_fetch("/status/304"), 304),
    "304, raise_error=False": ends(site_fetch("/status/304", raise_error=False), 304),
    "404": ends(site_fetch("/status/404"), 404),
    "404, raise_error=False": ends(site_fetch("/status/404", raise_error=False), 404),
    "404, False": ends(site_fetch("/status/404", False), 404),
    "499": ends(site_fetch("/status/499"), 499),
    "500": ends(site_fetch("/status/500"), 500),
    "500, raise_error=False": ends(site_fetch("/status/500", raise_error=False), 500),
    "503": ends(site_fetch("/status/503"), 503),
    "599 sent by the server": ends(site_fetch("/status/599"), 599),
    "redirect": ends(site_fetch("/redirect-to?url=/status/200"), 200),
    "redirect to an error": ends(site_fetch("/redirect-to?url=/status/500"), 500),
    "redirect not followed": ends(site_fetch("/redirect/2", follow_redirects=False), 302),
    "one redirect too many": ends(site_fetch("/redirect/2", max_redirects=1), 302, curl=599),
    "redirect to another protocol": ends(
        # before 6.6 simple_httpclient never finished a fetch whose redirect failed
        site_fetch("/redirect-to?url=gopher://127.0.0.1/"),
        None,
        curl=599,
        since=(6, 6),
    ),
    "request timeout": ends(site_fetch("/wait", request_timeout=0.1), 599),
    "request timeout, raise_error=False": ends(site_fetch("/wait", raise_error=False, request_timeout=0.1), 599),
    "connection refused": ends(lambda c, w: c.fetch(w.refused_url), None, curl=599),
    "connection refused, raise_error=False": ends(lambda c, w: c.fetch(w.refused_url, False), None, curl=599),
    "connection closed half-way": ends(lambda c, w: c.fetch(w.broken_url), 599),
    "cancelled": ends(cancelled, None),
    "task cancelled": ends(task_cancelled, None),
    "wait_for": ends(timed_out_by_the_caller, None),
    "closed client": ends(closed_client, None),
    "unknown argument": ends(site_fetch("/", unheard_of=1), None),
    "url given twice": ends(site_fetch("/", url="http://b.invalid/"), None),
    "HTTPRequest and arguments": ends(request_fetch(None, method="GET"), None),
    "headers that are none": ends(site_fetch("/", headers=42), None),
    "headers that are none, of a request": ends(request_fetch(42), None),
    # Before 6.4 curl_httpclient sent these.
    "newline in a header": ends(site_fetch("/", headers={"X-Mine": "a\nb"}), None, since=(6, 4)),
    "newline in a header of a request": ends(request_fetch({"X-Mine": "a\nb"}), None, since=(6, 4)),
    "newline in an HTTPHeaders": ends(request_fetch(HTTPHeaders({"X-Mine": "a\nb"})), None, since=(6, 4)),
    "header that latin-1 has not": ends(request_fetch({"X-Mine": "€"}), None),
    "number for a header": ends(request_fetch({"X-Mine": 1}), None),
    "list of headers": ends(site_fetch("/status/200", headers=[("X-Mine", "1"), ("x-mine", "2")]), 200),
    "bytes for a header": ends(site_fetch("/status/200", headers={"X-Mine": b"1"}), 200),
    "unsupported scheme": ends(lambda c, w: c.fetch("gopher://127.0.0.1/"), None, curl=599),
    "no scheme": ends(lambda c, w: c.fetch("127.0.0.1:1/"), None, curl=599),
    "empty url": ends(lambda c, w: c.fetch(""), None, curl=599),
    "no url": ends(lambda c, w: c.fetch(None), None),  # type: ignore[arg-type]
    "bytes for a url": ends(lambda c, w: c.fetch(f"{w.site.url}/status/200".encode()), 200),  # type: ignore[arg-type]
    "half an address": ends(lambda c, w: c.fetch("http://[::1/"), None, curl=599),
    "POST without body": ends(site_fetch("/", method="POST"), None),
    "GET with body": ends(site_fetch("/", body="body"), None),
    "unknown method": ends(site_fetch("/", method="FETCH"), None),
    "no method": ends(site_fetch("/", method=None), None),
    "body of a wrong type": ends(site_fetch("/", method="POST", body=object()), None),
    "streaming_callback": ends(site_fetch("/status/200", streaming_callback=lambda chunk: None), 200),
    "streaming_callback that raises": ends(
        site_fetch("/status/200", streaming_callback=broken_callback), 599, curl=200
    ),
    "coroutine for a streaming_callback": ends(
        # curl refuses it, simple_httpclient awaits it; before 6.6 Tornado forgot it
        site_fetch("/status/200", streaming_callback=async_callback),
        200,
        curl=None,
        since=(6, 6),
    ),
    "header_callback that raises": ends(site_fetch("/status/200", header_callback=broken_callback), 599, curl=200),
    "body_producer that raises": ends(site_fetch("/", method="POST", body_producer=broken_callback), None),
}

each_outcome = pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(
            outcome,
            id=name,
            marks=pytest.mark.skipif(
                tornado.version_info < outcome.since, reason=f"new in Tornado {'.'.join(map(str, outcome.since))}"
            ),
        )
        for name, outcome in OUTCOMES.items()
    ],
)


@pytest.fixture
def world(site: Site, broken_url: str, refused_url: str) -> World:
    return World(site, broken_url, refused_url)


@pytest.fixture
async def loop_errors() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop's exception handler gets; a callback of ours that raised would show here and nowhere else."""
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    loop.set_exception_handler(None)


async def seen_by_the_caller(outcome: Outcome, client: AsyncHTTPClient, world: World) -> Any:
    try:
        return as_seen(await outcome.fetch(client, world))
    except (Exception, asyncio.CancelledError) as error:
        return as_seen(error)


@each_outcome
async def test_the_caller_gets_what_tornado_alone_would_have_given(
    recorder: Recorder, make_client: MakeClient, world: World, outcome: Outcome, loop_errors: list[dict[str, Any]]
) -> None:
    client = make_client()
    without = await seen_by_the_caller(outcome, client, world)
    init_client_tracing(recorder.tracer)
    assert await seen_by_the_caller(outcome, make_client(), world) == without
    assert len(client_spans(recorder)) == 1
    assert loop_errors == []


@each_outcome
async def test_every_outcome_has_one_finished_span_that_tells_it(
    each_recorder: Recorder,
    each_client: AsyncHTTPClient,
    world: World,
    outcome: Outcome,
    loop_errors: list[dict[str, Any]],
) -> None:
    init_client_tracing(each_recorder.tracer)
    await seen_by_the_caller(outcome, each_client, world)
    # The span is finished by the time the caller knows, and what comes later changes nothing.
    span = the_span(each_recorder)
    status = outcome.status if isinstance(each_client, SimpleAsyncHTTPClient) else outcome.curl_status
    is_error = status is None or status >= 500
    assert (span.kind, span.status, span.is_error, len(span.logs)) == ("client", status, is_error, is_error)
    world.site.release.set()
    await until(lambda: not world.site.waiting)
    await asyncio.sleep(0)
    assert the_span(each_recorder).span_id == span.span_id
    assert loop_errors == []


async def test_a_timeout_in_the_queue_finishes_the_span(each_recorder: Recorder, site: Site) -> None:
    """Only simple_httpclient counts the time in the queue."""
    init_client_tracing(each_recorder.tracer)
    client = new_client(SimpleAsyncHTTPClient, max_clients=1)
    running = client.fetch(f"{site.url}/wait")
    await until(lambda: site.waiting)
    with pytest.raises(HTTPClientError, match="queue"):
        await client.fetch(f"{site.url}/", connect_timeout=0.03)
    span = only(each_recorder.finished)
    assert (span.path, span.status, span.is_error) == ("/", 599, True)
    site.release.set()
    await running
    assert each_recorder.unfinished == 0
    client.close()


async def test_a_fetch_that_is_cancelled_in_the_queue_has_one_finished_span(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    client = make_client(max_clients=1)
    running: Any = client.fetch(f"{site.url}/wait")
    queued: Any = client.fetch(f"{site.url}/queued")
    await until(lambda: site.waiting)
    queued.cancel()
    await asyncio.wait([queued])
    assert only(each_recorder.finished).path == "/queued"
    site.release.set()
    await running
    await client.fetch(f"{site.url}/after")
    assert [span.path for span in each_recorder.finished] == ["/queued", "/wait", "/after"]
    assert each_recorder.unfinished == 0


@pytest.mark.parametrize("is_traced", [False, True])
async def test_the_future_is_tornados_own_kind(recorder: Recorder, client: AsyncHTTPClient, is_traced: bool) -> None:
    if is_traced:
        init_client_tracing(recorder.tracer)
    held = new_client(Held)
    future = held.fetch("http://nowhere.invalid/")
    assert type(future) is asyncio.Future
    held.fetches[0](200)
    assert (await future).code == 200
    held.close()


async def test_awaiting_a_response_that_is_there_takes_no_turn_of_the_loop(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    client = new_client(Immediate)
    turned: list[bool] = []
    asyncio.get_running_loop().call_soon(turned.append, True)
    await client.fetch("http://nowhere.invalid/")
    assert turned == []
    client.close()


async def test_a_traced_fetch_takes_as_many_turns_of_the_loop_as_an_untraced_one(recorder: Recorder) -> None:
    async def turns() -> int:
        """How often the loop turns between a response and the caller's next step."""
        client = new_client(Held)
        task = asyncio.ensure_future(fetch(client))
        await until(lambda: client.fetches)
        client.fetches[0](200)
        count = 0
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        client.close()
        return count

    async def fetch(client: AsyncHTTPClient) -> None:
        await client.fetch("http://nowhere.invalid/")

    without = await turns()
    init_client_tracing(recorder.tracer)
    assert await turns() == without
    assert the_span(recorder).status == 200


@pytest.mark.parametrize("is_traced", [False, True])
@pytest.mark.parametrize("path", ["/status/404", "/status/500", None])
async def test_asyncio_still_tells_of_a_failure_that_nobody_retrieved(
    recorder: Recorder,
    each_client: AsyncHTTPClient,
    site: Site,
    refused_url: str,
    loop_errors: list[dict[str, Any]],
    path: str | None,
    is_traced: bool,
) -> None:
    if is_traced:
        init_client_tracing(recorder.tracer)
    future: Any = each_client.fetch(refused_url if path is None else f"{site.url}{path}")
    await until(future.done)
    await asyncio.sleep(0)
    assert loop_errors == []
    del future
    gc.collect()
    assert [error["message"] for error in loop_errors] == ["Future exception was never retrieved"]
    assert len(recorder.finished) == is_traced


async def test_asyncio_says_nothing_of_a_failure_that_was_retrieved(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, loop_errors: list[dict[str, Any]]
) -> None:
    init_client_tracing(each_recorder.tracer)
    with pytest.raises(HTTPClientError):
        await each_client.fetch(f"{site.url}/status/500")
    gc.collect()
    assert loop_errors == []
