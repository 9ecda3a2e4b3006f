"""WebSockets, both ends: a span for the handshake, a clean context for what follows, spans of messages if asked for."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import opentracing
import pytest
import tornado
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.shim.opentracing_shim import create_tracer as create_shim
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers.contextvars import ContextVarsScopeManager as OpenTracingScopeManager
from support import MockRecorder, Recorded, Recorder, Servers, active_id, children, only
from support.outcomes import UnhandledError
from support.serving import connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.testing import bind_unused_port
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from tornado_opentracing import (
    ContextVarsScopeManager,
    TornadoTracing,
    init_client_tracing,
    init_tracing,
    remove_tracing,
)
from tornado_opentracing.opentelemetry import create_tracer

Event = tuple[str, Any]


@dataclasses.dataclass
class Site:
    """What the test and the handlers tell each other."""

    tracer: Any
    #: What the handler was called for, and what was active there.
    active: list[tuple[str, int | None]] = dataclasses.field(default_factory=list)
    release: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    is_open: bool = False
    is_closed: bool = False
    #: The server's end of the connection that was opened last.
    stream: Any = None
    exceptions: list[Any] = dataclasses.field(default_factory=list)
    #: Scopes left open; OpenTelemetry's shim closes one that nobody refers to.
    scopes: list[Any] = dataclasses.field(default_factory=list)

    def saw(self, event: str) -> None:
        self.active.append((event, active_id(self.tracer)))


class Socket(WebSocketHandler):
    """Tells the site what it saw."""

    def initialize(self, site: Site) -> None:
        self.site = site

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.site.is_open = True
        protocol: Any = self.ws_connection
        self.site.stream = protocol.stream
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.write_message(message, isinstance(message, bytes))
        return None

    def on_close(self) -> None:
        self.site.is_closed = True

    def log_exception(self, *exc_info: Any) -> None:
        self.site.exceptions.append(exc_info[1])


def serve(servers: Servers, recorder: Recorder, handler: type[WebSocketHandler], **options: Any) -> tuple[str, Site]:
    """Serve the handler; fetches and the test's own end of the connection are not traced, unless told otherwise."""
    init_tracing(recorder.tracer, **{"trace_client": False, **options})
    site = Site(recorder.tracer)
    url = servers.start(Application([("/", handler, {"site": site})], log_function=lambda handler: None))
    return url.replace("http", "ws"), site


@asynccontextmanager
async def connected(request: str | HTTPRequest, site: Site | None = None) -> AsyncIterator[WebSocketClientConnection]:
    """A connection to a server; closed at the end, and the server has seen it."""
    opened = await websocket_connect(request)
    stream: Any = opened.protocol and opened.protocol.stream
    try:
        yield opened
    finally:
        opened.close()
        await until(stream.closed)
        if site is not None:
            await until(lambda: site.is_closed)


async def exchange(opened: WebSocketClientConnection, *messages: str | bytes) -> None:
    """Send messages and wait for the echo of each."""
    for message in messages:
        await opened.write_message(message, isinstance(message, bytes))
        assert await opened.read_message() == message


# The server's handshake.


class OpensSlowly(Socket):
    async def open(self, *args: str, **kwargs: str) -> None:
        self.site.is_open = True
        await self.site.release.wait()


def all_traced(recorder: Recorder, servers: Servers, handler: type[Socket]) -> tuple[str, Site]:
    return serve(servers, recorder, handler)


def decorated(recorder: Recorder, servers: Servers, handler: type[Socket]) -> tuple[str, Site]:
    get: Any = handler.get
    traced = type(handler.__name__, (handler,), {"get": TornadoTracing(recorder.tracer, trace_client=False).trace(get)})
    result = serve(servers, recorder, traced)
    remove_tracing()
    return result


@pytest.mark.parametrize("trace", [all_traced, decorated])
async def test_the_span_of_the_handshake_ends_at_101(
    each_recorder: Recorder, servers: Servers, trace: Callable[..., tuple[str, Site]]
) -> None:
    """Before ``open`` is done, and long before the connection is."""
    url, site = trace(each_recorder, servers, OpensSlowly)
    async with connected(url, site) as opened:
        await until(lambda: site.is_open)
        span = await only_span(each_recorder)
        assert (span.name, span.kind, span.tags["http.method"], span.path) == ("OpensSlowly", "server", "GET", "/")
        assert (span.status, span.is_error, span.logs, span.parent_id) == (101, False, [], None)
        site.release.set()
        await exchange(opened, "a", b"b")
    assert len(each_recorder.finished) == 1
    assert each_recorder.unfinished == 0


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Forbids(Socket):
    def prepare(self) -> Awaitable[None] | None:
        raise HTTPError(401)


class FailsToPrepare(Socket):
    async def prepare(self) -> None:
        await asyncio.sleep(0)
        raise UnhandledError


@pytest.mark.parametrize(
    ("handler", "headers", "status"),
    [
        pytest.param(Socket, {}, 400, id="plain GET"),
        pytest.param(Socket, {**UPGRADE, "Connection": "close"}, 400, id="no upgrade"),
        pytest.param(Socket, {**UPGRADE, "Sec-WebSocket-Key": ""}, 400, id="no key"),
        pytest.param(Socket, {**UPGRADE, "Origin": "http://elsewhere.example"}, 403, id="origin"),
        pytest.param(Socket, {**UPGRADE, "Sec-WebSocket-Version": "1"}, 426, id="version"),
        pytest.param(Forbids, UPGRADE, 401, id="prepare refuses"),
        pytest.param(FailsToPrepare, UPGRADE, 500, id="prepare fails"),
    ],
)
@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_a_refused_handshake_has_one_span_with_what_refused_it(
    each_recorder: Recorder,
    servers: Servers,
    handler: type[Socket],
    headers: dict[str, str],
    status: int,
    trace_websocket_messages: bool,
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=trace_websocket_messages)
    async with connection(url) as opened:
        answer, _ = await opened.get("/", *(f"{name}: {value}" for name, value in headers.items() if value))
        assert answer == status
        span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == (handler.__name__, status, status >= 500)
    assert not site.is_open


async def test_a_client_that_leaves_before_the_handshake_is_answered_is_told_on_its_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    class Prepares(Socket):
        async def prepare(self) -> None:
            self.site.is_open = True
            await self.site.release.wait()

    url, site = serve(servers, each_recorder, Prepares)
    async with connection(url) as opened:
        opened.send(
            "\n".join(["GET / HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in UPGRADE.items()), "", ""])
        )
        await until(lambda: site.is_open)
    await until(lambda: site.is_closed)
    site.release.set()
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (None, False)
    assert [log["event"] for log in span.logs] == ["connection closed"]


# What is active on a connection.


class LeavesActive(Socket):
    """Activates a span in each of its methods and forgets to close the scope."""

    def enter(self, event: str) -> None:
        self.site.saw(event)
        span = self.site.tracer.start_span(f"left by {event}")
        self.site.scopes.append(self.site.tracer.scope_manager.activate(span, True))

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.enter("open")
        self.ping(b"")
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.enter("on_message")
        return super().on_message(message)

    def on_ping(self, data: bytes) -> None:
        self.enter("on_ping")

    def on_pong(self, data: bytes) -> None:
        self.enter("on_pong")

    def on_close(self) -> None:
        self.enter("on_close")
        super().on_close()


class AsyncLeavesActive(LeavesActive):
    async def open(self, *args: str, **kwargs: str) -> None:
        super().open()
        await asyncio.sleep(0)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


class CoroutineLeavesActive(LeavesActive):
    @gen.coroutine
    def open(self, *args: str, **kwargs: str) -> Any:
        super().open()
        yield gen.moment

    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        super().on_message(message)
        yield gen.moment


LEAVING = [LeavesActive, AsyncLeavesActive, CoroutineLeavesActive]


async def converse(url: str, site: Site) -> None:
    """Let the handler be called for everything that can happen to a connection, more than once."""

    def came(event: str, times: int) -> bool:
        return [name for name, _ in site.active].count(event) == times

    async with connected(url, site) as opened:
        await until(lambda: came("on_pong", 1))
        for number in (1, 2):
            await exchange(opened, f"text {number}", b"binary %d" % number)
            opened.ping(b"")
            await until(lambda number=number: came("on_ping", number))  # type: ignore[misc]


CONVERSATION = {"open": 1, "on_pong": 1, "on_message": 4, "on_ping": 2, "on_close": 1}


@pytest.mark.parametrize("handler", LEAVING)
async def test_what_one_message_leaves_active_never_shows_in_the_next(
    each_recorder: Recorder, servers: Servers, handler: type[LeavesActive]
) -> None:
    """Nothing is active in ``open``, ``on_message``, ``on_ping``, ``on_pong`` and ``on_close``: not the handshake's
    span, and not what any of them left."""
    url, site = serve(servers, each_recorder, handler)
    await converse(url, site)
    seen = [event for event, _ in site.active]
    assert {event: seen.count(event) for event in CONVERSATION} == CONVERSATION
    assert {active for _, active in site.active} == {None}
    assert only(each_recorder.finished, kind="server").status == 101


@pytest.mark.parametrize("is_removed", [False, True])
async def test_what_the_last_message_leaves_active_is_gone_after_it(
    each_recorder: Recorder, servers: Servers, is_removed: bool
) -> None:
    """For what the handler does when the connection is over, and for messages that are traced by nobody any more."""

    class GoesOn(LeavesActive):
        async def get(self, *args: Any, **kwargs: Any) -> None:
            await super().get(*args, **kwargs)
            self.site.saw("end")

        def open(self, *args: str, **kwargs: str) -> None:
            pass

    url, site = serve(servers, each_recorder, GoesOn)
    async with connected(url, site) as opened:
        await exchange(opened, "a", "b")
        if is_removed:
            remove_tracing()
            site.active.clear()
            await exchange(opened, "c")
            assert site.active == [("on_message", None)]
    if not is_removed:
        await until(lambda: ("end", None) in site.active)


@pytest.mark.parametrize("event", ["open", "on_message", "on_close"])
@pytest.mark.parametrize("each_recorder", ["ours", "opentelemetry", "bridge"], indirect=True)
async def test_what_the_handshake_activates_may_be_closed_by_the_connection(
    each_recorder: Recorder, servers: Servers, event: str
) -> None:
    """``opentracing``'s own scope manager ends a scope only where it is active."""

    class Session(Socket):
        def prepare(self) -> None:
            self.scope = self.site.tracer.start_active_span("session")

        def reach(self, reached: str) -> None:
            if reached == event:
                self.scope.close()

        def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
            self.reach("open")
            return super().open()

        def on_message(self, message: str | bytes) -> Awaitable[None] | None:
            self.reach("on_message")
            return super().on_message(message)

        def on_close(self) -> None:
            self.reach("on_close")
            super().on_close()

    url, site = serve(servers, each_recorder, Session)
    async with connected(url, site) as opened:
        await exchange(opened, "a")
    spans = await settled(each_recorder, 2)
    handshake, session = only(spans, kind="server"), only(spans, name="session")
    assert (session.parent_id, session.trace_id) == (handshake.span_id, handshake.trace_id)


@pytest.mark.parametrize("handler", LEAVING)
async def test_with_a_span_for_each_message_that_alone_is_active(
    each_recorder: Recorder, servers: Servers, handler: type[LeavesActive]
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=True)
    await converse(url, site)
    await until(lambda: len([span for span in each_recorder.finished if span.kind == "consumer"]) == 6)
    spans = {span.span_id: span.name for span in each_recorder.finished}
    for event, active in site.active:
        if event in ("on_ping", "on_pong"):
            assert active is None
        else:
            assert active is not None
            assert spans.pop(active) == f"{handler.__name__}.{event}"


async def test_concurrent_connections_do_not_mix(each_recorder: Recorder, servers: Servers) -> None:
    class Waits(Socket):
        async def on_message(self, message: str | bytes) -> None:
            with self.site.tracer.start_active_span(str(message)) as scope:
                arrived.append(message)
                await self.site.release.wait()
                assert active_id(self.site.tracer) == active_id_of(scope)
                super().on_message(message)

    def active_id_of(scope: Any) -> int:
        context = scope.span.context
        return int(context.unwrap().span_id if hasattr(context, "unwrap") else context.span_id)

    arrived: list[Any] = []
    url, site = serve(servers, each_recorder, Waits)
    async with connected(url) as first, connected(url) as second:
        both = asyncio.gather(exchange(first, "first"), exchange(second, "second"))
        await until(lambda: len(arrived) == 2)
        site.release.set()
        await both
    spans = await settled(each_recorder, 4)
    assert only(spans, name="first").parent_id is None
    assert only(spans, name="second").parent_id is None


# Fetches on a connection.


class Echo(RequestHandler):
    def get(self) -> None:
        pass


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_a_fetch_in_on_message_is_a_root_or_a_child_of_the_message(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient, trace_websocket_messages: bool
) -> None:
    behind = servers.start(Application([("/.*", Echo)]))

    class Fetches(Socket):
        async def open(self, *args: str, **kwargs: str) -> None:
            await client.fetch(f"{behind}/open")

        async def on_message(self, message: str | bytes) -> None:
            await client.fetch(f"{behind}/{message!s}")
            super().on_message(message)

    url, site = serve(servers, each_recorder, Fetches, trace_client=True)
    init_tracing(each_recorder.tracer, trace_websocket_messages=trace_websocket_messages)
    async with connected(url, site) as opened:
        await exchange(opened, "one", "two")
    spans = await settled(each_recorder, 12 if trace_websocket_messages else 8)
    fetches = {span.path: span for span in spans if span.kind == "client" and span.status == 200}
    assert fetches.keys() == {"/open", "/one", "/two"}
    for fetch in fetches.values():
        assert only(children(spans, fetch)).name == "Echo"
    events = {span.span_id: span.name for span in spans if span.kind == "consumer"}
    parents = [events.pop(fetch.parent_id) if fetch.parent_id else None for fetch in fetches.values()]
    if trace_websocket_messages:
        assert parents == ["Fetches.open", "Fetches.on_message", "Fetches.on_message"]
    else:
        assert parents == [None, None, None]


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_a_connection_is_traced_by_its_own_application(
    servers: Servers, client: AsyncHTTPClient, trace_websocket_messages: bool
) -> None:
    """Fetches too, in every method, though its handshake is long over."""
    mine, theirs = MockRecorder(), MockRecorder()
    behind = servers.start(Application([("/.*", Echo)], opentracing_trace_all=False))
    tasks: list[Any] = []

    class Fetches(Socket):
        async def open(self, *args: str, **kwargs: str) -> None:
            await client.fetch(f"{behind}/open")

        async def on_message(self, message: str | bytes) -> None:
            await client.fetch(f"{behind}/message")
            super().on_message(message)

        def on_ping(self, data: bytes) -> None:
            tasks.append(asyncio.ensure_future(client.fetch(f"{behind}/ping")))

        def on_close(self) -> None:
            tasks.append(asyncio.ensure_future(client.fetch(f"{behind}/close")))
            super().on_close()

    site = Site(mine.tracer)
    settings: Any = {
        "opentracing_tracing": TornadoTracing(mine.tracer, trace_websocket_messages=trace_websocket_messages),
        "opentracing_trace_client": True,
    }
    url = servers.start(Application([("/", Fetches, {"site": site})], **settings))
    init_tracing(theirs.tracer, trace_client=False)
    async with connected(url.replace("http", "ws"), site) as opened:
        await exchange(opened, "a")
        opened.ping(b"")
        await until(lambda: tasks)
    await until(lambda: len(tasks) == 2)
    await asyncio.gather(*tasks)

    def fetches() -> list[str]:
        return sorted(span.path for span in mine.finished if span.kind == "client")

    # A future that is done already is not waited for, and its callbacks, which end the span, come later.
    await until(lambda: len(fetches()) == 4)
    assert fetches() == ["/close", "/message", "/open", "/ping"]
    assert theirs.finished == []


# Spans of messages.


class Converses(Socket):
    pass


class AsyncConverses(Socket):
    async def open(self, *args: str, **kwargs: str) -> None:
        await asyncio.sleep(0)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


class CoroutineConverses(Socket):
    @gen.coroutine
    def open(self, *args: str, **kwargs: str) -> Any:
        yield gen.moment

    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        yield gen.moment
        super().on_message(message)


class ReturnsAFuture(Socket):
    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        return self.write_message(message, isinstance(message, bytes))


def events(spans: list[Recorded]) -> list[Recorded]:
    """The spans of what happened on the connection, in the order in which they started."""
    return sorted((span for span in spans if span.kind == "consumer"), key=lambda span: span.start_time)


@pytest.mark.parametrize("handler", [Converses, AsyncConverses, CoroutineConverses, ReturnsAFuture])
async def test_each_message_has_a_span_that_follows_from_the_handshake(
    each_recorder: Recorder, servers: Servers, handler: type[Socket]
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await exchange(opened, "äöü", b"\x00\xff", "")
    spans = await settled(each_recorder, 6)
    handshake = only(spans, kind="server")
    assert (handshake.name, handshake.status) == (handler.__name__, 101)
    opening, text, binary, empty, closing = events(spans)
    name = handler.__name__
    assert [opening.name, closing.name] == [f"{name}.open", f"{name}.on_close"]
    assert {message.name for message in (text, binary, empty)} == {f"{name}.on_message"}
    about = ("websocket.message.type", "websocket.message.size")
    assert [tuple(message.tags.get(each) for each in about) for message in events(spans)] == [
        (None, None),
        ("text", 6),
        ("binary", 2),
        ("text", 0),
        (None, None),
    ]
    for event in events(spans):
        assert event.tags["component"] == "tornado"
        assert (event.is_error, event.logs) == (False, [])
        assert (event.trace_id, event.parent_id) == (handshake.trace_id, handshake.span_id)
        assert "http.status_code" not in event.tags


def nameless(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that keeps nothing of what it decorates."""

    def wrapper(self: Any, *args: Any) -> Any:
        return method(self, *args)

    return wrapper


class Decorated(Socket):
    open = nameless(Socket.open)
    on_message = nameless(Socket.on_message)
    on_close = nameless(Socket.on_close)


class AssignsItsMethods(Socket):
    """As applications do that choose them when the connection opens."""

    def initialize(self, site: Site) -> None:
        super().initialize(site)
        self.on_message = self.received  # type: ignore[method-assign]

    def received(self, message: str | bytes) -> Awaitable[None] | None:
        return Socket.on_message(self, message)


@pytest.mark.parametrize("handler", [Decorated, AssignsItsMethods])
async def test_a_message_has_its_span_whatever_function_takes_it(
    recorder: Recorder, servers: Servers, handler: type[Socket]
) -> None:
    url, site = serve(servers, recorder, handler, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await exchange(opened, "a")
    assert [span.name.partition(".")[2] for span in events(await settled(recorder, 4))] == [
        "open",
        "on_message",
        "on_close",
    ]


async def test_the_spans_of_messages_refer_to_the_handshake_as_follows_from(servers: Servers) -> None:
    references: list[tuple[str, Any]] = []

    class KeepsReferences(MockTracer):
        def start_span(self, *args: Any, **kwargs: Any) -> Any:
            for reference in kwargs.get("references") or ():
                references.append((reference.type, reference.referenced_context.span_id))
            return super().start_span(*args, **kwargs)

    recorder = MockRecorder()
    recorder.tracer = KeepsReferences(ContextVarsScopeManager())
    url, site = serve(servers, recorder, Converses, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await exchange(opened, "a")
    await until(lambda: len(recorder.finished) == 4)
    handshake = only(recorder.finished, kind="server")
    assert references == [(opentracing.ReferenceType.FOLLOWS_FROM, handshake.span_id)] * 3


async def test_by_default_messages_have_no_spans(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, Converses)
    async with connected(url, site) as opened:
        await exchange(opened, "a", b"b")
    assert (await only_span(recorder)).name == "Converses"


async def test_the_span_of_a_message_lasts_as_long_as_its_coroutine(each_recorder: Recorder, servers: Servers) -> None:
    started: list[Any] = []

    class Waits(Socket):
        async def on_message(self, message: str | bytes) -> None:
            started.append(message)
            await self.site.release.wait()
            with self.site.tracer.start_active_span("inside"):
                pass
            super().on_message(message)

    url, site = serve(servers, each_recorder, Waits, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await opened.write_message("a")
        await until(lambda: started)
        assert [span.name for span in events(each_recorder.finished)] == ["Waits.open"]
        site.release.set()
        assert await opened.read_message() == "a"
    spans = await settled(each_recorder, 5)
    only(children(spans, only(spans, name="Waits.on_message")), name="inside")


class Raises(Socket):
    error: BaseException = UnhandledError("oops")

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        raise self.error


class AsyncRaises(Raises):
    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        raise self.error


class CoroutineRaises(Raises):
    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        yield gen.moment
        raise self.error


class RaisesHTTPError(Raises):
    """There is no request that it could be the answer to."""

    error = HTTPError(400)


@pytest.mark.parametrize("handler", [Raises, AsyncRaises, CoroutineRaises, RaisesHTTPError])
@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_an_exception_in_on_message_is_an_error_on_the_messages_span(
    each_recorder: Recorder,
    servers: Servers,
    handler: type[Raises],
    trace_websocket_messages: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It ends the connection, as ever; the handshake was none the worse."""
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=trace_websocket_messages)
    # Before 6.6 Tornado forgets the connection of a coroutine that failed, without closing it.
    is_closed = tornado.version_info >= (6, 6) or not issubclass(handler, (AsyncRaises, CoroutineRaises))
    async with connected(url) as opened:
        await opened.write_message("a")
        await until(lambda: site.exceptions or [r for r in caplog.records if r.name == "tornado.application"])
        if not is_closed:
            site.stream.close()
        assert await opened.read_message() is None
    spans = await settled(each_recorder, 1 + trace_websocket_messages * (2 + is_closed))
    handshake = only(spans, kind="server")
    assert (handshake.status, handshake.is_error, handshake.logs) == (101, False, [])
    if not trace_websocket_messages:
        assert len(spans) == 1
        return
    _, message, *closing = events(spans)
    assert message.name == f"{handler.__name__}.on_message"
    assert message.is_error
    (log,) = message.logs
    assert (log["event"], log["error.kind"]) == ("error", type(handler.error).__name__)
    assert {"message", "stack"} <= log.keys()
    assert [span.is_error for span in closing] == [False] * is_closed


class RaisesInOpen(Socket):
    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        raise UnhandledError("oops")


class RaisesInAsyncOpen(Socket):
    async def open(self, *args: str, **kwargs: str) -> None:
        await asyncio.sleep(0)
        raise UnhandledError("oops")


@pytest.mark.parametrize("handler", [RaisesInOpen, RaisesInAsyncOpen])
async def test_an_exception_in_open_is_an_error_on_its_span(
    each_recorder: Recorder, servers: Servers, handler: type[Socket]
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=True)
    async with connected(url) as opened:
        assert await opened.read_message() is None
    spans = await settled(each_recorder, 2)
    opening = only(spans, name=f"{handler.__name__}.open")
    assert (opening.is_error, [log["error.kind"] for log in opening.logs]) == (True, ["UnhandledError"])
    assert not only(spans, kind="server").is_error
    assert [type(error) for error in site.exceptions] == [UnhandledError]


class RaisesInOnClose(Socket):
    def on_close(self) -> None:
        super().on_close()
        raise UnhandledError("oops")


async def test_an_exception_in_on_close_is_an_error_on_its_span(each_recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, each_recorder, RaisesInOnClose, trace_websocket_messages=True)
    async with connected(url, site):
        pass
    spans = await settled(each_recorder, 3)
    closing = only(spans, name="RaisesInOnClose.on_close")
    assert (closing.is_error, [log["error.kind"] for log in closing.logs]) == (True, ["UnhandledError"])
    assert not only(spans, kind="server").is_error


class IsCancelled(Socket):
    async def on_message(self, message: str | bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


async def test_a_cancelled_on_message_has_one_finished_span(each_recorder: Recorder, servers: Servers) -> None:
    url, _ = serve(servers, each_recorder, IsCancelled, trace_websocket_messages=True)
    async with connected(url) as opened:
        await opened.write_message("a")
        await until(lambda: any(span.name == "IsCancelled.on_message" for span in each_recorder.finished))
    span = only(each_recorder.finished, name="IsCancelled.on_message")
    assert span.is_error


async def test_an_excluded_connection_has_no_spans(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, LeavesActive, trace_websocket_messages=True, excluded_paths=["/"])
    await converse(url, site)
    assert [span for span in recorder.finished if not span.name.startswith("left by")] == []


async def test_a_callback_for_spans_is_not_called_for_messages(recorder: Recorder, servers: Servers) -> None:
    """It expects a request, or a handler that has answered one."""
    called: list[str] = []
    url, site = serve(
        servers,
        recorder,
        Converses,
        trace_websocket_messages=True,
        start_span_cb=lambda span, request: called.append("start"),
        finish_span_cb=lambda span, handler: called.append("finish"),
    )
    async with connected(url, site) as opened:
        await exchange(opened, "a")
    await settled(recorder, 4)
    assert called == ["start", "finish"]


# What belongs to the application.

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class SetsVariable(Socket):
    """Sets a context variable of the application's in each of its methods, and tells what it was."""

    def swap(self, event: str) -> None:
        seen.append((event, variable.get()))
        variable.set(event)

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.swap("open")
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.swap(str(message))
        return super().on_message(message)

    def on_close(self) -> None:
        self.swap("close")
        super().on_close()


class AsyncSetsVariable(SetsVariable):
    async def open(self, *args: str, **kwargs: str) -> None:
        super().open()
        await asyncio.sleep(0)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


class CoroutineSetsVariable(SetsVariable):
    @gen.coroutine
    def open(self, *args: str, **kwargs: str) -> Any:
        super().open()
        yield gen.moment

    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        super().on_message(message)
        yield gen.moment


seen: list[tuple[str, str]] = []


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
@pytest.mark.parametrize("handler", [SetsVariable, AsyncSetsVariable, CoroutineSetsVariable])
async def test_the_applications_own_context_variables_behave_as_without_tracing(
    each_recorder: Recorder, servers: Servers, handler: type[SetsVariable], trace_websocket_messages: bool
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=trace_websocket_messages)

    async def run() -> list[tuple[str, str]]:
        seen.clear()
        site.is_closed = False
        async with connected(url, site) as opened:
            await exchange(opened, "1", "2", "3")
        return list(seen)

    traced = await run()
    remove_tracing()
    assert traced == await run()
    assert [event for event, _ in traced] == ["open", "1", "2", "3", "close"]


class DisguisedReturn(Socket):
    """Tornado awaits whatever comes out of ``on_message``."""

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        done = asyncio.ensure_future(self.later(message))

        class Wrapped:
            def __await__(self) -> Any:
                return done.__await__()

        return Wrapped()

    async def later(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_any_awaitable_that_on_message_returns_is_awaited(
    recorder: Recorder, servers: Servers, trace_websocket_messages: bool
) -> None:
    url, site = serve(servers, recorder, DisguisedReturn, trace_websocket_messages=trace_websocket_messages)
    async with connected(url, site) as opened:
        await exchange(opened, "a", "b")
    await settled(recorder, 5 if trace_websocket_messages else 1)


# Memory.


class ForgetfulTracer(MockTracer):
    def _append_finished_span(self, span: Any) -> None:
        pass


FORGETFUL: list[Callable[[], Any]] = [
    lambda: ForgetfulTracer(ContextVarsScopeManager()),
    lambda: ForgetfulTracer(OpenTracingScopeManager()),
    lambda: create_shim(TracerProvider()),
    lambda: create_tracer(TracerProvider()),
]


class Counts(LeavesActive):
    def enter(self, event: str) -> None:
        self.site.tracer.scope_manager.activate(self.site.tracer.start_span(event), True)


class AsyncCounts(Counts):
    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
@pytest.mark.parametrize("handler", [Counts, AsyncCounts])
@pytest.mark.parametrize("make_tracer", FORGETFUL)
async def test_a_connection_holds_no_more_memory_after_many_messages(
    servers: Servers,
    handler: type[Socket],
    trace_websocket_messages: bool,
    make_tracer: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though each message leaves a span active."""
    # Of each scope that is collected in another context OpenTelemetry logs an error, which pytest would keep.
    caplog.set_level(logging.CRITICAL, "opentelemetry.context")
    recorder = MockRecorder()
    recorder.tracer = make_tracer()
    url, _ = serve(servers, recorder, handler, trace_websocket_messages=trace_websocket_messages)

    async def held_after(messages: int) -> int:
        for _ in range(messages):
            await opened.write_message("a")
            await opened.read_message()
            opened.ping(b"")
        await exchange(opened, "b")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with connected(url) as opened:
        await held_after(50)
        tracemalloc.start()
        try:
            before = await held_after(10)
            after = await held_after(500)
        finally:
            tracemalloc.stop()
    # A span alone, or a scope, is some hundred bytes; the interpreter's own caches grow a little at first.
    assert after - before < 500 * 80


# The client.


class Accepts(Socket):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0] if subprotocols else None


class RefusesAll(WebSocketHandler):
    def initialize(self, site: Site) -> None:
        pass

    def check_origin(self, origin: str) -> bool:
        return False

    def prepare(self) -> Awaitable[None] | None:
        raise HTTPError(403)


class Hangs(Socket):
    """Lets the handshake wait for as long as anybody is interested in it."""

    async def prepare(self) -> None:
        self.site.is_open = True
        await self.site.release.wait()
        raise HTTPError(503)


class NoSocket(RequestHandler):
    def initialize(self, site: Site) -> None:
        pass

    def get(self) -> None:
        self.write("plain")


@dataclasses.dataclass
class Far:
    """A live server at the other end."""

    url: str
    site: Site


def far(servers: Servers, recorder: Recorder) -> Far:
    site = Site(recorder.tracer)
    routes = [("/", Accepts), ("/403", RefusesAll), ("/hangs", Hangs), ("/plain", NoSocket)]
    application = Application(
        [(pattern, handler, {"site": site}) for pattern, handler in routes],
        log_function=lambda handler: None,
    )
    return Far(servers.start(application).replace("http", "ws"), site)


def as_string(url: str) -> str | HTTPRequest:
    return url


def as_request(url: str) -> str | HTTPRequest:
    return HTTPRequest(url, headers={"X-Mine": "yes"})


def client_span(recorder: Recorder) -> Recorded:
    return only(recorder.finished, kind="client")


@pytest.mark.parametrize("make", [as_string, as_request])
async def test_a_handshake_has_a_client_span_and_the_trace_continues_in_the_server(
    each_recorder: Recorder, servers: Servers, make: Callable[[str], str | HTTPRequest]
) -> None:
    there = far(servers, each_recorder)
    init_tracing(each_recorder.tracer)
    with each_recorder.tracer.start_active_span("caller"):
        opening = websocket_connect(make(f"{there.url}/"), subprotocols=["one"])
    opened = await opening
    assert opened.selected_subprotocol == "one"
    span = client_span(each_recorder)
    assert (span.name, span.tags["http.method"], span.tags["http.url"]) == ("GET", "GET", f"{there.url}/")
    assert (span.status, span.is_error, span.logs) == (101, False, [])
    assert span.tags["component"] == "tornado"
    port = int(there.url.rpartition(":")[2])
    peer = (span.tags["peer.hostname"], span.tags["peer.port"], span.tags["peer.address"])
    assert peer == ("127.0.0.1", port, f"127.0.0.1:{port}")
    await exchange(opened, "a", b"b")
    opened.close()
    await until(lambda: there.site.is_closed)
    spans = await settled(each_recorder, 3)
    assert only(children(spans, only(spans, name="caller"))) == span
    server = only(children(spans, span))
    assert (server.name, server.status) == ("Accepts", 101)
    assert len(spans) == 3


async def test_what_is_active_in_the_caller_stays_as_it_was(each_recorder: Recorder, servers: Servers) -> None:
    there = far(servers, each_recorder)
    init_client_tracing(each_recorder.tracer)
    with each_recorder.tracer.start_active_span("caller"):
        before = active_id(each_recorder.tracer)
        async with connected(f"{there.url}/") as opened:
            assert active_id(each_recorder.tracer) == before
            await exchange(opened, "a")
            assert active_id(each_recorder.tracer) == before
    assert each_recorder.unfinished == 0


@pytest.mark.parametrize("kind", [dict, HTTPHeaders])
async def test_the_callers_request_and_headers_are_not_changed(
    recorder: Recorder, servers: Servers, kind: type[Any]
) -> None:
    """Tornado alone makes ``request.headers`` a copy; nothing of ours appears in that one either."""
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    headers = kind({"X-Mine": "yes"})
    request = HTTPRequest(f"{there.url}/", headers=headers)
    before = {name: value for name, value in vars(request).items() if name != "_headers"}
    async with connected(request):
        pass
    assert dict(headers) == {"X-Mine": "yes"}
    assert {name: value for name, value in vars(request).items() if name != "_headers"} == before
    assert set(request.headers) <= {"X-Mine", *UPGRADE, "Sec-Websocket-Key", "Sec-Websocket-Version"}
    assert client_span(recorder).status == 101


async def test_one_request_connected_many_times_at_once_gives_each_its_own_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, each_recorder)
    init_tracing(each_recorder.tracer)
    request = HTTPRequest(f"{there.url}/", headers={"X-Mine": "yes"})
    for opened in await asyncio.gather(*(websocket_connect(request) for _ in range(5))):
        opened.close()
        assert await opened.read_message() is None
    spans = await settled(each_recorder, 10)
    for span in [span for span in spans if span.kind == "client"]:
        only(children(spans, span), kind="server")


# How a handshake can end. Each is given the URL of a live server and returns what comes of it.


async def refused_connection(there: Far) -> object:
    unused, port = bind_unused_port()
    unused.close()
    return await websocket_connect(f"ws://127.0.0.1:{port}/")


async def forbidden(there: Far) -> object:
    return await websocket_connect(f"{there.url}/403")


async def not_a_socket(there: Far) -> object:
    return await websocket_connect(f"{there.url}/plain")


async def timed_out(there: Far) -> object:
    return await websocket_connect(HTTPRequest(f"{there.url}/hangs", request_timeout=0.2))


async def cancelled(there: Far) -> object:
    task = asyncio.ensure_future(websocket_connect(f"{there.url}/hangs"))
    await until(lambda: there.site.is_open)
    task.cancel()
    return await task


async def waited_for(there: Far) -> object:
    async def connect() -> object:
        return await websocket_connect(f"{there.url}/hangs")

    return await asyncio.wait_for(connect(), 0.01)


async def bad_scheme(there: Far) -> object:
    return await websocket_connect("http://127.0.0.1/")


async def no_url(there: Far) -> object:
    return await websocket_connect("nonsense")


Ending = Callable[[Far], Awaitable[object]]

#: With the status, whether the span is an error, and the class of the exception that is logged on it.
ENDINGS: list[tuple[Ending, int | None, bool, str | None]] = [
    (refused_connection, None, True, "ConnectionRefusedError"),
    (forbidden, 403, False, None),
    (not_a_socket, None, True, "WebSocketError"),
    (timed_out, 599, True, "HTTPTimeoutError"),
    (cancelled, None, True, "CancelledError"),
    (waited_for, None, True, "CancelledError"),
    (bad_scheme, None, True, "KeyError"),
    (no_url, None, True, "KeyError"),
]


@pytest.mark.parametrize(("ending", "status", "error", "logged"), ENDINGS)
async def test_a_handshake_that_fails_has_one_finished_span_and_raises_what_it_would_have_raised(
    each_recorder: Recorder, servers: Servers, ending: Ending, status: int | None, error: bool, logged: str | None
) -> None:
    there = far(servers, each_recorder)

    async def outcome() -> tuple[Any, ...]:
        there.site.is_open = False
        try:
            await ending(there)
        except BaseException as raised:
            return type(raised), str(raised), getattr(raised, "code", None), type(raised.__cause__)
        raise AssertionError

    init_tracing(each_recorder.tracer, trace_all=False)
    traced = await outcome()
    there.site.release.set()
    span = await only_span(each_recorder)
    assert (span.name, span.kind, span.status, span.is_error) == ("GET", "client", status, error)
    assert [log["error.kind"] for log in span.logs] == ([logged] if logged else [])
    remove_tracing()
    there.site.release.clear()
    assert str(traced).rstrip("0123456789") == str(await outcome()).rstrip("0123456789")
    there.site.release.set()


async def test_the_error_of_a_refused_handshake_leads_to_the_callers_request(
    recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer)
    request = HTTPRequest(f"{there.url}/403")
    with pytest.raises(HTTPClientError) as raised:
        await websocket_connect(request)
    response = raised.value.response
    assert response is not None
    theirs: Any = response.request
    assert request in (theirs, getattr(theirs, "request", None))


async def test_a_timeout_has_the_exception_that_tornado_made(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    with pytest.raises(HTTPTimeoutError):
        await timed_out(there)
    there.site.release.set()
    (log,) = (await only_span(recorder)).logs
    assert isinstance(log["error.object"], HTTPTimeoutError)


async def test_messages_of_a_client_reach_the_callback_and_have_no_spans(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    got: list[Any] = []
    opened = await websocket_connect(f"{there.url}/", on_message_callback=got.append)
    await opened.write_message("a")
    await until(lambda: got)
    opened.close()
    await until(lambda: got == ["a", None])
    assert (await only_span(recorder)).status == 101


async def test_start_span_cb_sees_the_private_copy_before_the_context_is_injected(
    recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, recorder)
    seen: list[Any] = []

    def callback(span: Any, request: HTTPRequest) -> None:
        seen.append((request.url, dict(request.headers)))
        span.set_operation_name("connect").set_baggage_item("colour", "blue")
        request.headers["X-Added"] = "yes"

    init_client_tracing(recorder.tracer, start_span_cb=callback)
    request = HTTPRequest(f"{there.url}/", headers={"X-Mine": "yes"})
    async with connected(request):
        pass
    assert seen == [(f"{there.url}/", {"X-Mine": "yes"})]
    assert "X-Added" not in request.headers
    assert (await only_span(recorder)).name == "connect"


async def test_secrets_are_not_in_the_url(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    host = there.url.partition("://")[2]
    async with connected(f"ws://user:secret@{host}/?token=secret&page=1"):
        pass
    span = await only_span(recorder)
    assert "secret" not in str(span.tags)
    assert "page=1" in span.tags["http.url"]


async def test_trace_client_false_traces_no_handshake_and_adds_no_header(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer, trace_client=False)
    with recorder.tracer.start_active_span("caller"):
        async with connected(f"{there.url}/"):
            pass
    spans = await settled(recorder, 2)
    assert only(spans, name="Accepts").parent_id is None
    assert not [span for span in spans if span.kind == "client"]


async def test_a_handshake_in_a_handler_is_a_child_of_the_request(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    there = far(servers, each_recorder)

    class Front(RequestHandler):
        async def get(self) -> None:
            async with connected(f"{there.url}/", there.site) as opened:
                await exchange(opened, "a")

    front = servers.start(Application([("/", Front)]))
    init_tracing(each_recorder.tracer)
    async with connection(front) as opened:
        assert (await opened.get())[0] == 200
    spans = await settled(each_recorder, 3)
    request = only(spans, name="Front")
    handshake = only(children(spans, request))
    assert only(children(spans, handshake)).name == "Accepts"


async def test_both_ends_go_untraced_after_removal(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer, trace_websocket_messages=True)
    async with connected(f"{there.url}/", there.site) as opened:
        await exchange(opened, "a")
        remove_tracing()
        count = len(recorder.finished)
        await exchange(opened, "b")
    async with connected(f"{there.url}/") as opened:
        await exchange(opened, "c")
    assert len(recorder.finished) == count
    assert recorder.unfinished == 0
