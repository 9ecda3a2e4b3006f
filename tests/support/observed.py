# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An application that notes all that it can see of what Tornado does with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application, FallbackHandler, Finish, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler
from tornado.wsgi import WSGIContainer

from support.faults import Tracing
from support.serving import until


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
        self.settings["exceptions"].append(value)
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
        with contextlib.closing(client):
            for path in self.get_arguments("path"):
                try:
                    outcome = await client.fetch(self.settings["url"] + path, follow_redirects=False)
                except Exception as error:
                    outcome = error
                self.note("fetched", described(outcome))
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
        if message == "close":
            self.close(1001, reason="going away")
            return None
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


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"from wsgi"]


class World:
    """A live server, a client, and what they saw."""

    def __init__(self, tracing: Tracing) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.logged: list[tuple[str, str, object]] = []
        self.exceptions: list[BaseException | None] = []
        self._socket, self.port = bind_unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings: dict[str, Any] = {
            "url": self.url,
            "events": self.events,
            "exceptions": self.exceptions,
            "log_function": lambda handler: self.events.append(("log_function", handler.get_status())),
            "default_handler_class": Noting,
            **tracing.settings,
        }
        decorate = tracing.decorate
        inner = Application([(r"/inner/plain", decorated(Plain, decorate))], **settings)
        self.application = Application(
            [
                *((path, decorated(handler, decorate)) for path, handler in HANDLERS.items()),
                ("/inner/.*", FallbackHandler, {"fallback": inner}),
                ("/wsgi", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
                ("/excluded", Fetches),
            ],
            **settings,
        )
        self.server = HTTPServer(self.application)
        self.server.add_sockets([self._socket])
        # Fetches that broke half-way keep their places.
        self.client: Any = AsyncHTTPClient(force_instance=True, max_clients=1000)

    async def stop(self) -> None:
        self.client.close()
        self.server.stop()
        # Where a connection broke it never closes, and its task is left to the end of the event loop.
        await asyncio.wait([asyncio.ensure_future(self.server.close_all_connections())], timeout=0.2)

    async def came_to(self, event: str, count: int = 1) -> None:
        await until(lambda: sum(seen[0] == event for seen in self.events) >= count)

    async def observe(self, situation: Callable[[World], Awaitable[Any]]) -> tuple[Any, ...]:
        """Run a situation; what the application, its clients and its log saw of it, without what differs each time."""
        self.events.clear()
        self.logged.clear()
        with self._logging():
            result = await situation(self)
            for _ in range(5):
                await asyncio.sleep(0)
        return self.neutral(result), self.neutral(self.events), tuple(self.logged)

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

    def neutral(self, value: Any) -> Any:
        """The same without the server's port, the date, and what ``inject_response_headers`` adds."""
        if isinstance(value, bytes):
            value = re.sub(rb"(?i)(?:^|(?<=\n))(?:Date|Ot-[^:]*): [^\n]*\n", b"", value)
            return value.replace(str(self.port).encode(), b"PORT")
        if isinstance(value, str):
            return value.replace(str(self.port), "PORT")
        if isinstance(value, (list, tuple)):
            return tuple(self.neutral(item) for item in value)
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


@asynccontextmanager
async def world_with(tracing: Tracing) -> AsyncIterator[World]:
    world = World(tracing)
    try:
        yield world
    finally:
        await world.stop()
