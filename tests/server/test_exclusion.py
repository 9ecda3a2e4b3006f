# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Requests that are not to be traced: ``excluded_paths`` and ``request_filter``, decided once, honoured to the end."""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, Servers
from support.outcomes import UnhandledError
from support.serving import connection, only_span, settled, until
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import Application, FallbackHandler, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_tracing, trace


class Hello(RequestHandler):
    async def get(self, *args: str) -> None:
        await asyncio.sleep(0)
        self.write("hello")


class Echo(RequestHandler):
    """Answers with the headers that it received."""

    def get(self) -> None:
        self.write(dict(self.request.headers.get_all()))


#: How a trace is told in headers, by each of the tracers.
TRACE_HEADERS = ("ot-tracer-traceid", "traceparent")


def echo() -> Application:
    """An application that is not part of what is tested."""
    settings: Any = {"opentracing_trace_all": False, "opentracing_request_filter": None}
    return Application([("/", Echo)], opentracing_excluded_paths=(), **settings)


async def quiet() -> None:
    """Let whatever might still start a span have the time."""
    for _ in range(20):
        await asyncio.sleep(0)


# Which requests.


@pytest.mark.parametrize(
    ("excluded", "path", "is_traced"),
    [
        (["/health"], "/health", False),
        (["/health"], "/health?verbose=1", False),
        (["/health"], "/healthy", True),
        (["/health"], "/health/", True),
        (["/health"], "/my/health", True),
        (["/health"], "/Health", True),
        (["/health.*"], "/healthy", False),
        (["/one", "/two"], "/two", False),
        (["/one|/two"], "/two", False),
        (["/one|/two"], "/two/three", True),
        ([r"/story/\d+"], "/story/17", False),
        ([r"/story/\d+"], "/story/x", True),
        ([re.compile("/HEALTH", re.IGNORECASE)], "/health", False),
        ([re.compile("/health$")], "/health", False),
        ((path for path in ["/health"]), "/health", False),
        ([".*"], "/whatever", False),
        ([""], "/whatever", True),
        ([], "/whatever", True),
    ],
)
async def test_excluded_paths_are_those_that_match_to_their_end(
    excluded: Any, path: str, is_traced: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, excluded_paths=excluded, trace_client=False)
    await client.fetch(servers.start(Application([("/.*", Hello)])) + path)
    await quiet()
    assert len(recorder.finished) == is_traced
    assert recorder.unfinished == 0


@pytest.mark.parametrize(
    ("answer", "is_traced"), [(False, False), (True, True), (None, True), (0, True), ("", True), ("no", True)]
)
async def test_a_filter_excludes_by_answering_false_and_nothing_else(
    answer: object, is_traced: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, request_filter=lambda _: answer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Hello)])))
    await quiet()
    assert len(recorder.finished) == is_traced


async def test_a_filter_is_given_the_request(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    asked: list[HTTPServerRequest] = []

    def wanted(request: HTTPServerRequest) -> bool:
        asked.append(request)
        return request.method != "HEAD" and "X-Probe" not in request.headers

    init_tracing(recorder.tracer, request_filter=wanted, trace_client=False)
    url = servers.start(Application([("/", Hello)]))
    await client.fetch(url, headers={"X-Probe": "1"})
    await client.fetch(url, method="HEAD", raise_error=False)
    await client.fetch(url + "/?a=b")
    assert (await only_span(recorder)).tags["http.url"] == "/?a=b"
    assert [type(request) for request in asked] == [HTTPServerRequest] * 3


async def test_a_filter_is_not_asked_about_an_excluded_path(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    asked: list[str] = []
    options: Any = {"excluded_paths": ["/a"], "request_filter": lambda request: asked.append(request.path)}
    init_tracing(recorder.tracer, trace_client=False, **options)
    url = servers.start(Application([("/.*", Hello)]))
    await client.fetch(url + "/a")
    await client.fetch(url + "/b")
    assert (await only_span(recorder)).path == "/b"
    assert asked == ["/b"]


async def test_a_filter_that_raises_is_logged_and_the_request_is_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    def broken(request: HTTPServerRequest) -> bool:
        raise UnhandledError

    init_tracing(recorder.tracer, request_filter=broken, trace_client=False)
    assert (await client.fetch(servers.start(Application([("/", Hello)])))).body == b"hello"
    assert (await only_span(recorder)).status == 200
    (report,) = reports
    assert "request_filter" in report.getMessage()


async def test_other_requests_on_the_same_connection_are_traced(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, excluded_paths=["/health"])
    async with connection(servers.start(Application([("/.*", Hello)]))) as opened:
        for path in ("/1", "/health", "/2", "/health", "/3"):
            assert await opened.get(path) == (200, "hello")
    assert [span.path for span in await settled(recorder, 3)] == ["/1", "/2", "/3"]


async def test_concurrent_requests_do_not_exclude_each_other(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Meeting(RequestHandler):
        """Answers when the other request is there."""

        async def get(self) -> None:
            arrived.append(self.request.path)
            await until(lambda: len(arrived) == 2)
            await client.fetch(echo_url)

    arrived: list[str] = []
    init_tracing(recorder.tracer, excluded_paths=["/health"])
    echo_url = servers.start(echo())
    url = servers.start(Application([("/.*", Meeting)]))
    await asyncio.gather(*(asyncio.to_thread(_get, url + path) for path in ("/health", "/seen")))
    spans = await settled(recorder, 2)
    assert sorted(span.name for span in spans) == ["GET", "Meeting"]
    assert len({span.trace_id for span in spans}) == 1


def _get(url: str) -> None:
    """A request that nobody traces."""
    with urllib.request.urlopen(url) as response:
        response.read()


# Decided once.


def counting(answer: bool, asked: list[str]) -> Callable[[HTTPServerRequest], bool]:
    """A filter that changes its mind each time that it is asked."""

    def wanted(request: HTTPServerRequest) -> bool:
        asked.append(request.path)
        return answer if len(asked) % 2 else not answer

    return wanted


@stream_request_body
class Streamed(RequestHandler):
    received = b""

    @trace
    async def prepare(self) -> None:
        await asyncio.sleep(0)

    async def data_received(self, chunk: bytes) -> None:
        self.received += chunk
        await self.settings["fetch"]()

    @trace
    async def post(self) -> None:
        await self.settings["fetch"]()
        self.write(self.received)


class Decorated(RequestHandler):
    @trace
    async def prepare(self) -> None:
        await asyncio.sleep(0)

    @trace("method")
    async def get(self) -> None:
        await self.settings["fetch"]()
        self.other()
        await IOLoop.current().run_in_executor(None, lambda: None)
        self.write("hello")

    post = get

    @trace
    def other(self) -> None:
        pass

    @trace
    def on_finish(self) -> None:
        self.task = asyncio.ensure_future(self.settings["fetch"]())


class Late(RequestHandler):
    async def get(self) -> None:
        self._auto_finish = False

        async def later() -> None:
            await self.settings["fetch"]()
            await self.finish("late")

        self.task = asyncio.ensure_future(later())


class Raising(RequestHandler):
    async def get(self) -> None:
        await self.settings["fetch"]()
        raise UnhandledError


class Refused(RequestHandler):
    def initialize(self) -> None:
        raise UnhandledError


def handed_on(inner: Application) -> Application:
    return Application([(".*", FallbackHandler, {"fallback": inner})])


_other_options: Any = {"opentracing_operation_name": "route"}

KINDS: dict[str, Callable[[Any], Application]] = {
    "plain": lambda fetch: Application([("/", Hello)]),
    "not_found": lambda fetch: Application(),
    "refused": lambda fetch: Application([("/", Refused)]),
    "decorated": lambda fetch: Application([("/", Decorated)], fetch=fetch),
    "streamed": lambda fetch: Application([("/", Streamed)], fetch=fetch),
    "late": lambda fetch: Application([("/", Late)], fetch=fetch),
    "raising": lambda fetch: Application([("/", Raising)], fetch=fetch),
    "nested": lambda fetch: Application([("/", Application([("/", Decorated)], fetch=fetch))]),
    "handed_on": lambda fetch: handed_on(Application([("/", Decorated)], fetch=fetch)),
    "handed_on_to_other_options": lambda fetch: handed_on(
        Application([("/", Decorated)], fetch=fetch, **_other_options)
    ),
}
#: How often each kind fetches at least.
FETCHES = {"plain": 0, "not_found": 0, "refused": 0, "late": 1, "raising": 1}


async def request_to(kind: str, application: Application, servers: Servers) -> None:
    """One request, by a client that nobody traces."""
    async with connection(servers.start(application)) as opened:
        if kind == "streamed":
            opened.send("POST / HTTP/1.1\nHost: h\nContent-Length: 6\n\n")
            opened._writer.write(b"abc")
            await asyncio.sleep(0)
            opened._writer.write(b"def")
        else:
            opened.send("GET / HTTP/1.1\nHost: h\n\n")
        if kind == "refused":
            assert await opened._reader.read() == b""
        else:
            await opened.answer()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trace_all", [True, False])
async def test_an_excluded_request_has_no_span_and_its_fetches_have_none(
    kind: str, trace_all: bool, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Whatever the request does, to its end and after it; the filter is asked once."""
    asked: list[str] = []
    fetched: list[str] = []
    url = servers.start(echo())

    async def fetch() -> None:
        fetched.append((await client.fetch(url)).body.decode().lower())

    init_tracing(each_recorder.tracer, trace_all=trace_all, request_filter=counting(False, asked))
    await request_to(kind, KINDS[kind](fetch), servers)
    await until(lambda: len(fetched) >= FETCHES.get(kind, 2))
    await quiet()
    assert not each_recorder.finished
    assert each_recorder.unfinished == 0
    assert not [headers for headers in fetched if any(name in headers for name in TRACE_HEADERS)]
    assert asked == ["/"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_filter_is_asked_once_about_a_request_that_is_traced(
    kind: str, recorder: Recorder, servers: Servers
) -> None:
    async def fetch() -> None:
        await asyncio.sleep(0)

    asked: list[str] = []
    init_tracing(recorder.tracer, request_filter=counting(True, asked))
    await request_to(kind, KINDS[kind](fetch), servers)
    await only_span(recorder)
    assert asked == ["/"]


class Left(RequestHandler):
    """Its client leaves, and it goes on."""

    async def get(self) -> None:
        self.settings["started"].set()
        await self.settings["closed"].wait()
        await self.settings["fetch"]()
        await self.finish("nobody reads this")

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.task = asyncio.ensure_future(self.settings["fetch"]())
        self.settings["closed"].set()


@stream_request_body
class LeftUpload(Left):
    async def prepare(self) -> None:
        self.settings["started"].set()

    async def data_received(self, chunk: bytes) -> None:
        pass


@pytest.mark.parametrize(("handler", "fetches"), [(Left, 2), (LeftUpload, 1)])
async def test_an_excluded_request_whose_client_leaves_has_no_span_and_its_fetches_have_none(
    handler: type[RequestHandler], fetches: int, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    fetched: list[str] = []
    url = servers.start(echo())

    async def fetch() -> None:
        fetched.append((await client.fetch(url)).body.decode().lower())

    started, closed = asyncio.Event(), asyncio.Event()
    init_tracing(recorder.tracer, excluded_paths=["/left"])
    application = Application([("/left", handler)], fetch=fetch, started=started, closed=closed)
    async with connection(servers.start(application)) as opened:
        opened.send("GET /left HTTP/1.1\nHost: h\nContent-Length: 1\n\n")
        if handler is Left:
            opened.send("x")
        await asyncio.wait_for(started.wait(), 20)
    await until(lambda: len(fetched) == fetches)
    await quiet()
    assert not recorder.finished
    assert recorder.unfinished == 0
    assert not [headers for headers in fetched if any(name in headers for name in TRACE_HEADERS)]


async def test_get_span_of_an_excluded_request_is_none(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    found: list[Any] = []

    class Asking(RequestHandler):
        async def get(self) -> None:
            found.append(TornadoTracing.get_span(self))
            found.append(TornadoTracing.get_span(self.request))
            found.append(recorder.tracer.active_span)

        def on_finish(self) -> None:
            found.append(TornadoTracing.get_span(self))

    init_tracing(recorder.tracer, excluded_paths=["/"], trace_client=False)
    await client.fetch(servers.start(Application([("/", Asking)])))
    await until(lambda: len(found) == 4)
    assert found == [None] * 4


async def test_no_callback_is_called_for_an_excluded_request(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    def unexpected(*args: Any) -> Any:
        raise AssertionError

    options: Any = dict.fromkeys(["start_span_cb", "finish_span_cb", "operation_name"], unexpected)
    init_tracing(recorder.tracer, excluded_paths=["/"], inject_response_headers=True, trace_client=False, **options)
    response = await client.fetch(servers.start(Application([("/", Hello)])))
    assert not any(name in response.headers for name in TRACE_HEADERS)


async def test_own_spans_in_an_excluded_request_stay_possible(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Own(RequestHandler):
        async def get(self) -> None:
            with recorder.tracer.start_active_span("outer"):
                await asyncio.sleep(0)
                with recorder.tracer.start_active_span("inner"):
                    await IOLoop.current().run_in_executor(None, self.in_thread)

        def in_thread(self) -> None:
            recorder.tracer.start_span("thread").finish()

    init_tracing(recorder.tracer, excluded_paths=["/"], trace_client=False)
    await client.fetch(servers.start(Application([("/", Own)])))
    spans = {span.name: span for span in await settled(recorder, 3)}
    assert spans["outer"].parent_id is None
    assert spans["inner"].parent_id == spans["outer"].span_id
    assert spans["thread"].parent_id == spans["inner"].span_id


# WebSockets.


class Socket(WebSocketHandler):
    async def open(self, *args: str, **kwargs: str) -> None:
        await self.settings["fetch"]()

    async def on_message(self, message: str | bytes) -> None:
        await self.settings["fetch"]()
        await self.write_message(message)

    def on_close(self) -> None:
        self.task = asyncio.ensure_future(self.settings["fetch"]())
        self.settings["closed"].set()


async def test_an_excluded_websocket_has_no_spans_and_its_fetches_have_none(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    closed = asyncio.Event()
    fetched: list[str] = []
    url = servers.start(echo())

    async def fetch() -> None:
        fetched.append((await client.fetch(url)).body.decode().lower())

    init_tracing(recorder.tracer, excluded_paths=["/socket"], trace_websocket_messages=True)
    socket_url = servers.start(Application([("/socket", Socket)], fetch=fetch, closed=closed)).replace("http", "ws")
    opened = await websocket_connect(f"{socket_url}/socket")
    await opened.write_message("hello")
    assert await opened.read_message() == "hello"
    opened.close()
    await asyncio.wait_for(closed.wait(), 20)
    await until(lambda: len(fetched) == 3)
    # The test's own end of the connection.
    found = await settled(recorder, 2)
    assert [span.name for span in found] == ["GET", "WebSocketClientConnection.on_close"]
    assert not [headers for headers in fetched if any(name in headers for name in TRACE_HEADERS)]


# Two Applications.


async def test_each_application_excludes_its_own(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, excluded_paths=["/a"], trace_client=False)
    settings: list[Any] = [{}, {"opentracing_excluded_paths": ["/b"]}, {"opentracing_request_filter": lambda _: False}]
    for setting in settings:
        url = servers.start(Application([("/.*", Hello)], opentracing_traced_attributes=["host"], **setting))
        for path in ("/a", "/b"):
            await client.fetch(url + path, headers={"Host": str(settings.index(setting))})
    found = [(span.tags["host"], span.path) for span in await settled(recorder, 2)]
    assert found == [("0", "/b"), ("1", "/a")]


async def test_a_request_that_one_application_excluded_is_not_traced_by_one_that_it_is_handed_on_to(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    inner_settings: Any = {"opentracing_excluded_paths": ["/inner"]}
    inner = Application([("/.*", Hello)], **inner_settings)
    init_tracing(recorder.tracer, trace_client=False)
    settings: Any = {"opentracing_excluded_paths": ["/outer"]}
    url = servers.start(Application([(".*", FallbackHandler, {"fallback": inner})], **settings))
    for path in ("/outer", "/inner", "/neither"):
        assert (await client.fetch(url + path)).body == b"hello"
    assert (await only_span(recorder)).path == "/neither"


async def test_fetches_of_a_request_that_another_application_excluded_are_not_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    leaf = servers.start(echo())

    class Fetches(RequestHandler):
        async def get(self) -> None:
            await client.fetch(leaf)
            self.write("hello")

    inner = Application([("/.*", Fetches)], opentracing_operation_name="route")
    init_tracing(recorder.tracer)
    settings: Any = {"opentracing_excluded_paths": ["/outer"]}
    url = servers.start(Application([(".*", FallbackHandler, {"fallback": inner})], **settings))
    async with connection(url) as opened:
        assert await opened.get("/outer") == (200, "hello")
    await quiet()
    assert not recorder.finished


async def test_what_an_excluded_request_does_when_others_finish_it_is_not_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    handlers: list[RequestHandler] = []
    fetching: list[Any] = []
    leaf = servers.start(echo())

    class Waits(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            handlers.append(self)

        def on_finish(self) -> None:
            fetching.append(client.fetch(leaf))

    init_tracing(recorder.tracer, excluded_paths=["/"])
    async with connection(servers.start(Application([("/", Waits)]))) as opened:
        opened.send("GET / HTTP/1.1\nHost: h\n\n")
        await until(lambda: handlers)
        handlers[0].finish("hello")
        assert await opened.answer() == (200, "hello")
    await fetching[0]
    await quiet()
    assert not recorder.finished


# Where single handlers are traced.


@pytest.mark.parametrize(
    "options", [{"excluded_paths": ["/health"]}, {"request_filter": lambda r: r.path != "/health"}]
)
async def test_the_tracing_of_a_decorator_excludes_too(
    options: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer, **options)

    class Single(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            self.other()
            self.write("hello")

        @tracing.trace
        def other(self) -> None:
            pass

    url = servers.start(Application([("/.*", Single)]))
    for path in ("/health", "/seen"):
        assert (await client.fetch(url + path)).body == b"hello"
    assert (await only_span(recorder)).path == "/seen"
