"""A tracer that fails, a callback that fails: the application does not notice.

Every situation runs once without tracing and then once for each thing that can go wrong in it. What the client
receives, what a fetch raises, the order in which Tornado calls the application, and what Tornado logs must not differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import re
import subprocess
import sys
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from opentracing import Scope, Span
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.context import SpanContext as MockSpanContext
from opentracing.mocktracer.span import MockSpan
from serving import connection, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application, FallbackHandler, Finish, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, _hooks, _spans, init_tracing

Result = TypeVar("Result")


# What goes wrong: a thing of the tracer's, or a callback, and what it does instead of its work.


class BrokenError(Exception):
    """What a tracer or a callback raises."""


Act = Callable[[Callable[[], Any]], Any]


def raising(error: BaseException) -> Act:
    def act(work: Callable[[], Any]) -> Any:
        raise error

    return act


def raises(work: Callable[[], Any]) -> Any:
    raise BrokenError


def raises_when_done(work: Callable[[], Any]) -> Any:
    try:
        work()
    finally:
        raise BrokenError


def is_slow(work: Callable[[], Any]) -> Any:
    time.sleep(0.001)
    return work()


def returning(value: Any) -> Act:
    return lambda work: value


ACTS: dict[str, Act] = {
    "raises": raises,
    "raises when done": raises_when_done,
    "returns None": returning(None),
    "returns 42": returning(42),
    "returns object()": returning(object()),
    "is slow": is_slow,
}

#: Everything of a tracer's and of the application's that the package calls, or that its callbacks call.
THINGS = (
    "tracer.extract",
    "tracer.start_span",
    "tracer.inject",
    "tracer.scope_manager",
    "tracer.active_span",
    "manager.activate",
    "manager.active",
    "scope.close",
    "span.context",
    "span.set_tag",
    "span.log_kv",
    "span.set_operation_name",
    "span.finish",
    "context.baggage",
    "start_span_cb",
    "finish_span_cb",
    "operation_name",
    "request_filter",
)


class Faults:
    """What is broken at the moment, and what of it was called."""

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self._thing: str | None = None
        self._act: Act = raises

    @contextlib.contextmanager
    def of(self, thing: str, act: Act) -> Iterator[None]:
        """Within, one thing is broken, or everything."""
        self._thing, self._act = thing, act
        try:
            yield
        finally:
            self._thing = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within, everything works; afterwards it is known what was called."""
        self.reached.clear()
        yield

    def call(self, thing: str, work: Callable[[], Any]) -> Any:
        self.reached.add(thing)
        return self._act(work) if self._thing in (thing, "everything") else work()


class FaultySpanContext(MockSpanContext):
    faults: Faults

    @property
    def baggage(self) -> Any:
        return self.faults.call("context.baggage", lambda: super(FaultySpanContext, self).baggage)


class FaultySpan(MockSpan):
    faults: Faults

    @property
    def context(self) -> Any:
        return self.faults.call("span.context", lambda: super(FaultySpan, self).context)

    def set_operation_name(self, operation_name: str) -> Any:
        return self.faults.call(
            "span.set_operation_name", lambda: super(FaultySpan, self).set_operation_name("renamed")
        )

    def set_tag(self, key: str, value: Any) -> Any:
        return self.faults.call("span.set_tag", lambda: super(FaultySpan, self).set_tag(key, value))

    def log_kv(self, key_values: Any, timestamp: float | None = None) -> Any:
        return self.faults.call("span.log_kv", lambda: super(FaultySpan, self).log_kv(key_values, timestamp))

    def finish(self, finish_time: float | None = None) -> None:
        self.faults.call("span.finish", lambda: super(FaultySpan, self).finish(finish_time))


class FaultyScope(Scope):
    def __init__(self, faults: Faults, scope: Scope) -> None:
        super().__init__(scope.manager, scope.span)
        self._faults = faults
        self._scope = scope

    def close(self) -> None:
        self._faults.call("scope.close", self._scope.close)


class FaultyScopeManager(ContextVarsScopeManager):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def activate(self, span: Span, finish_on_close: bool) -> Any:
        return self._faults.call(
            "manager.activate",
            lambda: FaultyScope(self._faults, super(FaultyScopeManager, self).activate(span, finish_on_close)),
        )

    @property
    def active(self) -> Any:
        return self._faults.call("manager.active", lambda: super(FaultyScopeManager, self).active)


class FaultyTracer(MockTracer):
    """``MockTracer``, each part of which can be broken."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(FaultyScopeManager(faults))
        self._faults = faults

    @property
    def scope_manager(self) -> Any:
        return self._faults.call("tracer.scope_manager", lambda: super(FaultyTracer, self).scope_manager)

    @property
    def active_span(self) -> Any:
        return self._faults.call("tracer.active_span", lambda: super(FaultyTracer, self).active_span)

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        def start() -> Any:
            span: Any = super(FaultyTracer, self).start_span(*args, **kwargs)
            span.__class__ = FaultySpan
            span.faults = span._context.faults = self._faults
            span._context.__class__ = FaultySpanContext
            return span

        return self._faults.call("tracer.start_span", start)

    def inject(self, *args: Any) -> Any:
        return self._faults.call("tracer.inject", lambda: super(FaultyTracer, self).inject(*args))

    def extract(self, *args: Any) -> Any:
        return self._faults.call("tracer.extract", lambda: super(FaultyTracer, self).extract(*args))


# The application: its handlers tell what Tornado calls of them.


class Noting(RequestHandler):
    """Notes everything that Tornado calls, in order, with the status at that moment."""

    def note(self, event: str, *details: object) -> None:
        self.settings["events"].append((event, self.get_status(), *details))

    def initialize(self) -> None:
        self.note("initialize")

    def set_default_headers(self) -> None:
        self.set_header("Server", "test")

    def prepare(self) -> Awaitable[None] | None:
        self.note("prepare")
        return None

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        self.note("log_exception", typ, str(value))
        super().log_exception(typ, value, tb)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.note("write_error", status_code, *sorted(kwargs))
        super().write_error(status_code, **kwargs)

    def on_finish(self) -> None:
        self.note("on_finish")

    def on_connection_close(self) -> None:
        self.note("on_connection_close")
        super().on_connection_close()


class Plain(Noting):
    def get(self) -> None:
        self.note("get")
        self.set_header("X-Own", "own")
        self.write("hello")

    post = get


class Async(Noting):
    async def get(self) -> None:
        self.note("get")
        await asyncio.sleep(0)
        self.write("hello")


class Coroutine(Noting):
    @gen.coroutine
    def get(self) -> Any:
        self.note("get")
        yield gen.moment
        self.write("hello")


class Status(Noting):
    """Raises the status that the query asks for."""

    async def get(self) -> None:
        self.note("get")
        raise HTTPError(int(self.get_argument("status")), "because")


class Raises(Noting):
    async def get(self) -> None:
        self.note("get")
        await asyncio.sleep(0)
        raise ZeroDivisionError("oops")


class RaisesFinish(Noting):
    def get(self) -> None:
        self.note("get")
        raise Finish("that is all")


class Redirects(Noting):
    def get(self) -> None:
        self.note("get")
        self.redirect("/plain?token=secret")


class Flushes(Noting):
    async def get(self) -> None:
        self.note("get")
        self.write("hel")
        await self.flush()
        self.write("lo")


class FlushesAndRaises(Noting):
    async def get(self) -> None:
        self.write("hel")
        await self.flush()
        raise ZeroDivisionError("oops")


class FinishedByTask(Noting):
    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await asyncio.sleep(0)
        self.note("later")
        self.finish("hello")


class FinishedByTimer(Noting):
    def get(self) -> None:
        self._auto_finish = False
        IOLoop.current().call_later(0.001, self.finish, "hello")


class RaisesInInitialize(Noting):
    def initialize(self) -> None:
        raise ZeroDivisionError("oops")


class RaisesInPrepare(Noting):
    def prepare(self) -> None:
        raise ZeroDivisionError("oops")

    def get(self) -> None:
        raise AssertionError


class RaisesInWriteError(Raises):
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.note("write_error")
        raise IndexError("oops again")


class RaisesInOnFinish(Plain):
    def on_finish(self) -> None:
        self.note("on_finish")
        raise ZeroDivisionError("oops")


class Waits(Noting):
    """Waits until the test lets it go on, or its client leaves."""

    async def get(self) -> None:
        self.note("get")
        self.settings["waiting"] = self.released = asyncio.Event()
        await self.released.wait()
        self.write("hello")

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.released.set()


@stream_request_body
class Upload(Noting):
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.note("data_received", chunk)
        return None

    def post(self) -> None:
        self.note("post")
        self.write("thanks")


@stream_request_body
class AsyncUpload(Upload):
    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        self.note("data_received", chunk)


@stream_request_body
class RaisesInUpload(Upload):
    def data_received(self, chunk: bytes) -> None:
        raise ZeroDivisionError("oops")


class Fetches(Noting):
    """Hands on what another handler answers."""

    async def get(self) -> None:
        client: Any = AsyncHTTPClient(force_instance=True)
        root = f"{self.request.protocol}://{self.request.host}"
        with contextlib.closing(client):
            results = await asyncio.gather(
                *(client.fetch(root + path, follow_redirects=False) for path in self.get_arguments("path")),
                return_exceptions=True,
            )
        for result in results:
            self.note("fetched", described(result))
        self.write("hello")


class Executor(Noting):
    async def get(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            for executor in (None, pool):
                self.note("in executor", await IOLoop.current().run_in_executor(executor, "hello".upper))
            try:
                await IOLoop.current().run_in_executor(pool, int, "nonsense")
            except ValueError as error:
                self.note("in executor", str(error), error.__context__)
        self.write("hello")


class Socket(WebSocketHandler, Noting):
    def open(self, *args: str, **kwargs: str) -> None:
        self.note("open")

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.note("on_message", message)
        if message == "raise":
            raise ZeroDivisionError("oops")
        self.write_message(message, binary=isinstance(message, bytes))
        return None

    def on_ping(self, data: bytes) -> None:
        self.note("on_ping", data)

    def on_close(self) -> None:
        self.note("on_close", self.close_code)


class AsyncSocket(Socket):
    async def open(self, *args: str, **kwargs: str) -> None:  # type: ignore[override] # of our own open() above
        await asyncio.sleep(0)
        self.note("open")

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


HANDLERS: dict[str, type[RequestHandler]] = {
    f"/{handler.__name__.lower()}": handler
    for handler in (
        Plain,
        Async,
        Coroutine,
        Status,
        Raises,
        RaisesFinish,
        Redirects,
        Flushes,
        FlushesAndRaises,
        FinishedByTask,
        FinishedByTimer,
        RaisesInInitialize,
        RaisesInPrepare,
        RaisesInWriteError,
        RaisesInOnFinish,
        Waits,
        Upload,
        AsyncUpload,
        RaisesInUpload,
        Fetches,
        Executor,
        Socket,
        AsyncSocket,
    )
}


class World:
    """A live server, a client, and what they saw."""

    def __init__(self, decorate: Callable[[Any], Any]) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.logged: list[tuple[str, str, object]] = []
        settings: dict[str, Any] = {
            "events": self.events,
            "log_function": lambda handler: self.events.append(("log_function", handler.get_status())),
            "default_handler_class": Noting,
        }
        inner = Application([(r"/inner/plain", decorated(Plain, decorate))], **settings)
        self.application = Application(
            [
                *((path, decorated(handler, decorate)) for path, handler in HANDLERS.items()),
                ("/inner/.*", FallbackHandler, {"fallback": inner}),
                ("/excluded", Fetches),
            ],
            **settings,
        )
        self._socket, self.port = bind_unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = HTTPServer(self.application)
        self.server.add_sockets([self._socket])
        self.client: Any = AsyncHTTPClient(force_instance=True)

    async def stop(self) -> None:
        self.client.close()
        self.server.stop()
        # Where a connection broke it never closes, and its task is left to the end of the event loop.
        await asyncio.wait([asyncio.ensure_future(self.server.close_all_connections())], timeout=0.2)

    async def came_to(self, event: str, count: int = 1) -> None:
        await until(lambda: sum(seen[0] == event for seen in self.events) >= count)

    async def observe(self, situation: Situation) -> tuple[Any, ...]:
        """Run a situation; what the application, its clients and its log saw of it, without what differs each time."""
        self.events.clear()
        self.logged.clear()
        with self._logging():
            result = await situation(self)
            for _ in range(5):
                await asyncio.sleep(0)
        return self._neutral(result), self._neutral(self.events), tuple(self.logged)

    @contextlib.contextmanager
    def _logging(self) -> Iterator[None]:
        logged = self.logged

        class Collect(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                logged.append((record.name, record.levelname, record.exc_info and record.exc_info[0]))

        loggers = [logging.getLogger(name) for name in ("tornado", "asyncio")]
        handler = Collect()
        for logger in loggers:
            logger.addHandler(handler)
            logger.propagate = False
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
                logger.propagate = True

    def _neutral(self, value: Any) -> Any:
        """The same without the server's port, the date, and what ``inject_response_headers`` adds."""
        if isinstance(value, bytes):
            value = re.sub(rb"(?i)(?:^|(?<=\n))(?:Date|Ot-[^:]*): [^\n]*\n", b"", value)
            return value.replace(str(self.port).encode(), b"PORT")
        if isinstance(value, str):
            return value.replace(str(self.port), "PORT")
        if isinstance(value, (list, tuple)):
            return tuple(self._neutral(item) for item in value)
        return value


def decorated(handler: type[RequestHandler], decorate: Callable[[Any], Any]) -> type[RequestHandler]:
    """A subclass whose methods go through a decorator."""
    methods = {name: getattr(handler, name) for name in ("get", "post")}
    implemented = {n: decorate(method) for n, method in methods.items() if method is not getattr(RequestHandler, n)}
    return type(handler.__name__, (handler,), implemented)


def described(outcome: Any) -> tuple[Any, ...]:
    """What a caller sees of what its fetch returned or raised."""
    if isinstance(outcome, BaseException):
        response = getattr(outcome, "response", None)
        cause, context = outcome.__cause__, outcome.__context__
        return type(outcome), str(outcome), response and described(response), type(cause), type(context)
    assert isinstance(outcome, HTTPResponse)
    headers = tuple((name, value) for name, value in outcome.headers.get_all() if not re.match("(?i)date$|ot-", name))
    return outcome.code, outcome.reason, outcome.body, headers, outcome.effective_url, outcome.request.url


# The situations: kinds of requests and fetches. Each returns what its client saw.

Situation = Callable[[World], Awaitable[Any]]
SITUATIONS: dict[str, Situation] = {}


def situation(run: Situation) -> Situation:
    SITUATIONS[run.__name__.replace("_", " ")] = run
    return run


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", body]).encode()


async def received(reader: asyncio.StreamReader) -> bytes:
    """All that the server sends, until it closes the connection."""
    return await asyncio.wait_for(reader.read(), 5)


async def exchange(data: bytes, world: World) -> bytes:
    async with connected(world) as (reader, writer):
        writer.write(data)
        return await received(reader)


#: Ids that no span of the tracer's own will have.
TRACED = ("Ot-Tracer-Traceid: a1a1a1a1", "Ot-Tracer-Spanid: b2b2b2b2", "Ot-Baggage-Color: red")

for title, data in {
    "plain": request("/plain?token=secret", *TRACED, "Connection: close"),
    "without a trace": request("/plain", "Connection: close"),
    "corrupt trace headers": request("/plain", "Ot-Tracer-Traceid: no", "Ot-Tracer-Spanid: no", "Connection: close"),
    "HEAD": request("/plain", "Connection: close", method="HEAD"),
    "form": request(
        "/plain",
        "Connection: close",
        "Content-Type: application/x-www-form-urlencoded",
        method="POST",
        body="password=secret",
    ),
    "async": request("/async", *TRACED, "Connection: close"),
    "coroutine": request("/coroutine", *TRACED, "Connection: close"),
    "404": request("/status?status=404", *TRACED, "Connection: close"),
    "503": request("/status?status=503", *TRACED, "Connection: close"),
    "unmatched": request("/unmatched", *TRACED, "Connection: close"),
    "method not allowed": request("/plain", *TRACED, "Connection: close", method="BREW"),
    "exception": request("/raises", *TRACED, "Connection: close"),
    "Finish": request("/raisesfinish", *TRACED, "Connection: close"),
    "redirect": request("/redirects", *TRACED, "Connection: close"),
    "flush": request("/flushes", *TRACED, "Connection: close"),
    "exception after flush": request("/flushesandraises", *TRACED, "Connection: close"),
    "finished by a task": request("/finishedbytask", *TRACED, "Connection: close"),
    "finished by a timer": request("/finishedbytimer", *TRACED, "Connection: close"),
    "exception in initialize": request("/raisesininitialize", *TRACED, "Connection: close"),
    "exception in prepare": request("/raisesinprepare", *TRACED, "Connection: close"),
    "exception in write_error": request("/raisesinwriteerror", *TRACED, "Connection: close"),
    "exception in on_finish": request("/raisesinonfinish", *TRACED, "Connection: close"),
    "streamed upload": request("/upload", *TRACED, "Connection: close", method="POST", body="x" * 100),
    "async streamed upload": request("/asyncupload", *TRACED, "Connection: close", method="POST", body="x" * 100),
    "exception in data_received": request("/raisesinupload", *TRACED, method="POST", body="x" * 100),
    "fetches": request("/fetches?path=/plain&path=/raises&path=/redirects", *TRACED, "Connection: close"),
    "excluded": request("/excluded?path=/plain&path=/raises", *TRACED, "Connection: close"),
    "executor": request("/executor", *TRACED, "Connection: close"),
    "another Application": request("/inner/plain", *TRACED, "Connection: close"),
    "keep-alive": request("/plain", *TRACED) + request("/raises") + request("/async", "Connection: close"),
    "malformed": b"nonsense\r\n\r\n",
    "no WebSocket": request("/socket", *TRACED, "Connection: close"),
}.items():
    SITUATIONS[title] = functools.partial(exchange, data)


@situation
async def disconnect(world: World) -> None:
    async with connected(world) as (_, writer):
        writer.write(request("/waits", *TRACED))
        await world.came_to("get")
    await world.came_to("on_finish")


@situation
async def disconnect_during_upload(world: World) -> None:
    async with connected(world) as (_, writer):
        writer.write(request("/upload", *TRACED, "Content-Length: 100", method="POST") + b"x" * 10)
        await world.came_to("data_received")
    await world.came_to("on_connection_close")


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame as a client sends it, under the mask that changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


async def talk(path: str, last: bytes, world: World) -> bytes:
    handshake = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: aaaa")
    frames = [frame(TEXT, b"hi"), frame(BINARY, b"\0\1"), frame(PING, b"ping"), frame(TEXT, b"again"), last]
    answer = await exchange(request(path, *TRACED, *handshake) + b"".join(frames), world)
    await world.came_to("on_close")
    return answer


for title, path in {"WebSocket": "/socket", "async WebSocket": "/asyncsocket"}.items():
    SITUATIONS[title] = functools.partial(talk, path, frame(CLOSE, b"\x03\xe8"))
    SITUATIONS[f"exception in {title}"] = functools.partial(talk, path, frame(TEXT, b"raise"))


async def fetch(url: str, arguments: dict[str, Any], world: World) -> Any:
    try:
        return described(await world.client.fetch(url.format(world=world), **arguments))
    except Exception as error:
        return described(error)


FETCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "fetch": ("{world.url}/plain?token=secret", {}),
    "fetch 404": ("{world.url}/status?status=404", {}),
    "fetch 503": ("{world.url}/status?status=503", {}),
    "fetch without raise_error": ("{world.url}/status?status=503", {"raise_error": False}),
    "fetch follows a redirect": ("{world.url}/redirects", {}),
    "fetch does not follow a redirect": ("{world.url}/redirects", {"follow_redirects": False}),
    "fetch is refused": ("http://127.0.0.1:1/", {}),
    "fetch times out": ("{world.url}/waits", {"request_timeout": 0.03}),
    "fetch of no URL": ("nonsense", {}),
    "fetch with wrong arguments": ("{world.url}/plain", {"nonsense": 1}),
    "fetch without a body": ("{world.url}/plain", {"method": "POST"}),
}
for title, (url, arguments) in FETCHES.items():
    SITUATIONS[title] = functools.partial(fetch, url, arguments)


@situation
async def fetch_a_request(world: World) -> Any:
    chunks: list[bytes] = []
    made = HTTPRequest(
        f"{world.url}/flushes",
        headers={"X-Own": "own", "Ot-Tracer-Traceid": "a1"},
        streaming_callback=chunks.append,
        header_callback=lambda line: chunks.append(line.encode()),
    )
    response = await world.client.fetch(made)
    return described(response), world._neutral(b"".join(chunks)), response.request is made, made.headers["X-Own"]


@situation
async def fetch_is_cancelled(world: World) -> Any:
    future = world.client.fetch(f"{world.url}/waits")
    await world.came_to("get")
    future.cancel()
    try:
        await future
    except BaseException as error:
        found = described(error)
    world.application.settings["waiting"].set()
    await world.came_to("on_finish")
    return found


@situation
async def WebSocket_client(world: World) -> Any:  # noqa: N802 - becomes the situation's name
    seen: list[Any] = []
    opened = await websocket_connect(f"ws://127.0.0.1:{world.port}/socket")
    await opened.write_message("hi")
    seen.append(await opened.read_message())
    opened.close(1000)
    seen += [await opened.read_message(), opened.close_code]
    await world.came_to("on_close")
    return seen


async def connect(url: str, world: World) -> Any:
    try:
        await websocket_connect(url.format(world=world))
    except Exception as error:
        return described(error)
    raise AssertionError


SITUATIONS["WebSocket client is answered 200"] = functools.partial(connect, "ws://127.0.0.1:{world.port}/plain")
SITUATIONS["WebSocket client is refused"] = functools.partial(connect, "ws://127.0.0.1:1/")
SITUATIONS["WebSocket client with no URL"] = functools.partial(connect, "nonsense")


# The ways in which tracing is switched on.


def callbacks(faults: Faults) -> dict[str, Any]:
    """The application's callbacks, which work unless they are broken."""

    def start_span_cb(span: Span, subject: object) -> Any:
        return faults.call("start_span_cb", lambda: span.set_operation_name("renamed"))

    def finish_span_cb(span: Span, subject: object) -> Any:
        return faults.call("finish_span_cb", lambda: span.set_tag("own", 1))

    def operation_name(handler: RequestHandler) -> Any:
        return faults.call("operation_name", lambda: "named")

    def request_filter(request: HTTPServerRequest) -> Any:
        return faults.call("request_filter", lambda: True)

    return {
        "start_span_cb": start_span_cb,
        "finish_span_cb": finish_span_cb,
        "operation_name": operation_name,
        "request_filter": request_filter,
    }


def options(faults: Faults) -> dict[str, Any]:
    """Every feature there is."""
    return {
        **callbacks(faults),
        "traced_attributes": ["uri", "headers", "cookies", "arguments", "body", "protocol"],
        "excluded_paths": ["/excluded"],
        "traced_request_headers": ["Host", "Cookie", "X-Own"],
        "traced_response_headers": ["Server", "Content-Type", "X-Own"],
        "inject_response_headers": True,
        "trace_websocket_messages": True,
    }


Decorate = Callable[[Any], Any]


def plainly(tracer: MockTracer, faults: Faults) -> Decorate:
    init_tracing(tracer)
    return lambda method: method


def with_all_options(tracer: MockTracer, faults: Faults) -> Decorate:
    init_tracing(tracer, **options(faults))
    return lambda method: method


def by_decorator(tracer: MockTracer, faults: Faults) -> Decorate:
    """What needs no ``init_tracing``; the server only."""
    return TornadoTracing(tracer, **options(faults)).trace


def by_both(tracer: MockTracer, faults: Faults) -> Decorate:
    tracing = TornadoTracing(tracer, **options(faults))
    init_tracing(tracer, **options(faults))
    return tracing.trace("method", "uri")


#: Each with what goes wrong in it. All of it goes wrong where all features are on.
SETUPS: dict[Callable[[MockTracer, Faults], Decorate], tuple[str, ...]] = {
    with_all_options: tuple(ACTS),
    plainly: ("raises", "returns None"),
    by_decorator: ("raises",),
    by_both: ("raises when done",),
}

#: Situations that wait for a timeout: one way to fail will do.
SLOW = {"fetch times out"}


@asynccontextmanager
async def world_with(decorate: Decorate = lambda method: method) -> AsyncIterator[World]:
    world = World(decorate)
    try:
        yield world
    finally:
        await world.stop()


def recorded(tracer: MockTracer) -> list[Any]:
    """The spans since the last time, in a form that can be compared."""
    spans: list[Any] = tracer.finished_spans()
    tracer.reset()
    names = {span._context.span_id: span.operation_name for span in spans}
    found = [
        (span.operation_name, names.get(span.parent_id, span.parent_id), sorted(span.tags), len(span.logs))
        for span in spans
    ]
    return sorted(found, key=repr)


def what_is_wrong(act: str, observed: Any, expected: Any, reports: list[logging.LogRecord]) -> Any:
    if observed != expected:
        return observed
    if not all(record.exc_info for record in reports):
        return "reported without its traceback"
    is_reported = any(record.exc_info and record.exc_info[0] is BrokenError for record in reports)
    if act.startswith("raises") is not is_reported:
        return "reported" if is_reported else "not reported"
    return None


@pytest.fixture(autouse=True)
def _no_other_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tracebacks take longer than the tests."""
    monkeypatch.setattr(logging.getLogger("tornado_opentracing"), "propagate", False)


@pytest.mark.parametrize("title", SITUATIONS)
@pytest.mark.parametrize("setup", SETUPS)
async def test_a_failing_tracer_or_callback_changes_nothing(
    setup: Callable[[MockTracer, Faults], Decorate], title: str, reports: list[logging.LogRecord]
) -> None:
    """The application cannot tell it from no tracing at all; what failed is reported, and works again when it works."""
    situation = SITUATIONS[title]
    async with world_with() as world:
        expected = await world.observe(situation)

    faults = Faults()
    tracer = FaultyTracer(faults)
    wrong: dict[str, Any] = {}
    async with world_with(setup(tracer, faults)) as world:
        with faults.watched():
            assert await world.observe(situation) == expected
        spans = recorded(tracer)
        reached = [thing for thing in THINGS if thing in faults.reached]
        for thing in [*reached, "everything"] if reached else []:
            for act in SETUPS[setup][: 1 if title in SLOW else None]:
                _spans._reported.clear()
                reports.clear()
                with faults.of(thing, ACTS[act]):
                    observed = await world.observe(situation)
                problem = what_is_wrong(act, observed, expected, reports)
                if problem is not None:
                    wrong[f"{thing} {act}"] = problem
        assert not wrong, expected
        tracer.reset()
        assert await world.observe(situation) == expected
    assert recorded(tracer) == spans


async def test_everything_that_can_fail_is_reached_by_a_situation(reports: list[logging.LogRecord]) -> None:
    reached: set[str] = set()
    faults = Faults()
    async with world_with(with_all_options(FaultyTracer(faults), faults)) as world:
        for title in SITUATIONS.keys() - SLOW:
            with faults.watched():
                await world.observe(SITUATIONS[title])
            reached |= faults.reached
    assert reached == set(THINGS)


@pytest.mark.parametrize("setup", [with_all_options, by_decorator])
async def test_a_broken_tracer_cannot_flood_the_log(
    setup: Callable[[MockTracer, Faults], Decorate],
    reports: list[logging.LogRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand requests in which everything fails give one record a minute for each thing that does."""
    now = 1000.0
    monkeypatch.setattr(_spans, "time", types.SimpleNamespace(monotonic=lambda: now))
    faults = Faults()
    async with world_with(setup(FaultyTracer(faults), faults)) as world, connection(world.url) as opened:
        with faults.of("everything", raises):
            for _ in range(1000):
                assert await opened.get("/plain", *TRACED) == (200, "hello")
            first: list[Any] = [record.args for record in reports]
            assert 0 < len(first) == len({thing for thing, _ in first}) <= len(THINGS)
            now += 59.9
            await opened.get("/plain", *TRACED)
            assert len(reports) == len(first)
            now += 0.1
            await opened.get("/plain", *TRACED)
    assert [record.args for record in reports[len(first) :]] == [(thing, 1000) for thing, _ in first]


# What is no Exception goes on, as if the application itself had raised it. What Tornado makes of it is Tornado's affair
# (it swallows cancellation in many places, and everything while it reads a request): what counts is that it leaves the
# package.


class StopError(BaseException):
    """What asyncio does not treat as it treats ``KeyboardInterrupt``: it leaves the event loop running."""


def watch_doors(monkeypatch: pytest.MonkeyPatch, seen: list[BaseException | None]) -> None:
    """Note all that is raised out of a hook of the package, at once or by what it returns."""

    def noting(hook: Callable[..., Any]) -> Callable[..., Any]:
        async def awaiting(awaitable: Awaitable[Any]) -> Any:
            try:
                return await awaitable
            except BaseException as error:
                seen.append(error)
                raise

        @functools.wraps(hook)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = hook(*args, **kwargs)
            except BaseException as error:
                seen.append(error)
                raise
            return awaiting(result) if inspect.iscoroutine(result) else result

        return call

    for hooks in (_hooks.SERVER, _hooks.CLIENT, _hooks.EXECUTOR):
        for patch in hooks.patches:
            monkeypatch.setattr(patch.owner, patch.name, noting(getattr(patch.owner, patch.name)))


@pytest.mark.parametrize("title", ["exception", "disconnect during upload", "WebSocket", "executor", "fetch 404"])
@pytest.mark.parametrize("kind", [StopError, asyncio.CancelledError])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # what broke half-way is not tidied up
async def test_what_is_no_exception_leaves_the_package(
    kind: type[BaseException], title: str, reports: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException | None] = []
    faults = Faults()
    decorate = with_all_options(FaultyTracer(faults), faults)
    watch_doors(monkeypatch, seen)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context.get("exception")))
    swallowed = []
    async with world_with(decorate) as world:
        with faults.watched():
            await world.observe(SITUATIONS[title])
        for thing in [thing for thing in THINGS if thing in faults.reached]:
            seen.clear()
            error = kind(thing)
            with faults.of(thing, raising(error)):
                task = asyncio.ensure_future(world.observe(SITUATIONS[title]))
                while not task.done() and not any(found is error for found in seen):
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.wait([task])
            if not any(found is error for found in seen):
                swallowed.append((thing, seen[:]))
    assert not swallowed
    assert not reports
    gc.collect()


@pytest.mark.parametrize("thing", ["tracer.start_span", "tracer.inject", "span.context", "start_span_cb"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_what_is_no_exception_leaves_a_fetch(
    kind: type[BaseException], thing: str, client: AsyncHTTPClient
) -> None:
    faults = Faults()
    with_all_options(FaultyTracer(faults), faults)
    with faults.of(thing, raising(kind(thing))), pytest.raises(kind, match=thing):
        client.fetch("http://127.0.0.1:1/")


PROGRAM = """
import asyncio, sys
from opentracing import Tracer
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado_opentracing import ContextVarsScopeManager, init_tracing

def give_up(*args):
    raise {end}

async def main():
    where = sys.argv[1]
    if where != "get":
        init_tracing(Tracer(ContextVarsScopeManager()), **{{where: give_up}})
    methods = {{"get": give_up if where == "get" else lambda handler: None}}
    socket, port = bind_unused_port()
    HTTPServer(Application([("/", type("Handler", (RequestHandler,), methods))])).add_socket(socket)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    await reader.read()

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["SystemExit(7)", "KeyboardInterrupt()"])
def test_a_callback_can_end_the_process_as_a_handler_can(end: str) -> None:
    programs = {
        where: subprocess.Popen([sys.executable, "-c", PROGRAM.format(end=end), where], stderr=subprocess.DEVNULL)
        for where in ("get", "start_span_cb", "finish_span_cb")
    }
    codes = {where: program.wait(30) for where, program in programs.items()}
    assert codes["get"] != 0
    assert set(codes.values()) == {codes["get"]}, codes
