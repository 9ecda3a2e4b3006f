# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The side of the soak test that is tested: a tracer that checks what it is given, and handlers of every kind.

Every handler says, in plain arguments, which span the spans that it starts must hang under; the ledger in place of the
tracer compares that with what it is given, span by span, and forgets a span when it is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import tornado
from opentracing.mocktracer import MockTracer
from soak_driver import CHUNK, ERRORS, STATUSES
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import ContextThreadPoolExecutor, ContextVarsScopeManager, TornadoTracing


class Ledger(MockTracer):
    """A tracer that checks spans instead of keeping them."""

    def __init__(self) -> None:
        super().__init__(ContextVarsScopeManager())
        self.lock = threading.Lock()
        self.open: dict[int, str] = {}
        self.count: Counter[str] = Counter()
        #: The fetches that are on their way: the trace and the span of each.
        self.sent: dict[str, tuple[int, int]] = {}
        self.wrong: Counter[str] = Counter()

    def complain(self, what: str) -> None:
        with self.lock:
            # The first few tell what it is, the number tells how bad it is.
            self.wrong[what if len(self.wrong) < 20 else "and more"] += 1

    def expect(self, is_right: bool, what: str) -> None:
        if not is_right:
            self.complain(what)

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        span: Any = super().start_span(*args, **kwargs)
        kind = span.tags.get("span.kind", "local")
        with self.lock:
            self.open[span.context.span_id] = f"{kind} {span.operation_name} {span.tags.get('http.url', '')}"
            self.count[kind] += 1
        found = (span.context.trace_id, span.parent_id)
        if kind == "local":
            self.expect(found[1] == span.tags["parent"], f"{span.operation_name} has a wrong parent")
        elif kind == "client":
            said = parse_qs(urlsplit(span.tags["http.url"]).query)
            self.expect(str(found[1]) == said["parent"][0], f"a fetch has a wrong parent: {span.tags['http.url']}")
            with self.lock:
                self.sent[said["fetch"][0]] = (span.context.trace_id, span.context.span_id)
        elif kind == "server":
            self.check_server_span(span, found)
        return span

    def check_server_span(self, span: Any, found: tuple[int, int | None]) -> None:
        said = parse_qs(urlsplit(span.tags["http.url"]).query)
        if "fetch" in said:
            with self.lock:
                wanted = self.sent.pop(said["fetch"][0], None)
            is_right = found == wanted if wanted is not None else (found[1], said["parent"]) == (None, ["untraced"])
        elif said["parent"] == ["none"]:
            is_right = found[1] is None
        else:
            is_right = found == (int(said["parent"][0]), int(said["parent"][0]))
        self.expect(is_right, f"a request has a wrong parent: {kind_of(span)}")

    def _append_finished_span(self, span: Any) -> None:
        with self.lock:
            was_open = self.open.pop(span.context.span_id, None)
        self.expect(was_open is not None, f"{span.operation_name} is finished twice")
        if span.tags.get("span.kind") == "server":
            where, status = kind_of(span), span.tags.get("http.status_code")
            self.expect(status == STATUSES[where], f"{where} has status {status}")
            self.expect(("error" in span.tags) is (where in ERRORS), f"{where}: error={span.tags.get('error')}")
        elif span.tags.get("span.kind") == "consumer":
            self.expect("error" not in span.tags, f"{span.operation_name} is an error")


def kind_of(span: Any) -> str:
    url: str = span.tags["http.url"]
    return urlsplit(url).path.split("/")[1]


LEDGER = Ledger()
PLAIN_POOL = ThreadPoolExecutor(4)
CONTEXT_POOL = ContextThreadPoolExecutor(4)
BACKENDS: list[str] = []

_fetches = itertools.count()
_tasks: set[asyncio.Future[Any]] = set()


def backend(path: str, parent: object) -> str:
    """The URL of a fetch, which says where it comes from."""
    number = next(_fetches)
    return f"{BACKENDS[number % len(BACKENDS)]}/{path}?parent={parent}&fetch={number}"


def active_id() -> int | None:
    span: Any = LEDGER.active_span
    return None if span is None else span.context.span_id


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Base(RequestHandler):
    """A handler that knows its span without asking what is active."""

    me: int

    def prepare(self) -> Awaitable[None] | None:
        span: Any = TornadoTracing.get_span(self)
        self.me = span.context.span_id
        self.see("prepare")
        return None

    def on_finish(self) -> None:
        self.see("on_finish")

    def log_exception(self, *exc_info: Any) -> None:
        self.see("log_exception")

    def see(self, where: str) -> None:
        LEDGER.expect(active_id() == self.me, f"{where} of {type(self).__name__} has a wrong span active")

    @contextlib.contextmanager
    def span(self, name: str, parent: int | None = None) -> Iterator[int]:
        with LEDGER.start_active_span(name, tags={"parent": parent or self.me}) as scope:
            opened: Any = scope.span
            yield opened.context.span_id

    async def fetch(self, parent: int | None = None) -> None:
        await AsyncHTTPClient().fetch(backend("item", parent or self.me))

    async def part(self) -> None:
        with self.span("part") as span:
            await self.fetch(span)
            with self.span("read", span):
                await asyncio.sleep(0)


class Item(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("item")


class Echo(WebSocketHandler):
    """A WebSocket whose messages have no spans: nothing is active there."""

    def open(self) -> None:
        LEDGER.expect(active_id() is None, "something is active in open")

    def on_close(self) -> None:
        LEDGER.expect(active_id() is None, "something is active in on_close")

    def on_message(self, message: str | bytes) -> None:
        LEDGER.expect(active_id() is None, "something is active in a message")
        # It stays so, whatever a message leaves active.
        scope: Any = LEDGER.start_active_span("forgotten", tags={"parent": None})
        scope.span.finish()
        self.write_message(message)


class Plain(Base):
    async def get(self, number: str) -> None:
        with self.span("work"):
            await asyncio.sleep(0)
        self.write(number)


class Gather(Base):
    async def get(self, number: str) -> None:
        await asyncio.gather(self.part(), self.part(), self.fetch())
        self.see("get")


class Socket(Base):
    """Opens a WebSocket."""

    async def get(self, number: str) -> None:
        connection = await websocket_connect(backend("echo", self.me).replace("http", "ws"))
        for _ in range(2):
            await connection.write_message(number)
            LEDGER.expect(await connection.read_message() == number, "a wrong echo")
        connection.close()
        self.see("get")


@stream_request_body
class Upload(Base):
    def prepare(self) -> None:
        super().prepare()
        self.size = 0

    async def data_received(self, chunk: bytes) -> None:
        self.see("data_received")
        with self.span("chunk"):
            await asyncio.sleep(0)
            self.size += len(chunk)

    def put(self, number: str) -> None:
        self.write(str(self.size))

    def on_connection_close(self) -> None:
        self.see("on_connection_close")
        super().on_connection_close()


@stream_request_body
class Abort(Upload):
    """Its client leaves in the middle of the upload."""

    def data_received(self, chunk: bytes) -> None:  # type: ignore[override]
        self.see("data_received")
        with self.span("chunk"):
            self.size += len(chunk)


class Left(Base):
    """Its client leaves while it waits."""

    async def get(self, number: str) -> None:
        self.gone = asyncio.Event()
        # The client is told that it has come here by another connection, for this one is to stay silent.
        ARRIVED.setdefault(number, asyncio.Event()).set()
        await self.gone.wait()
        await self.part()

    def on_connection_close(self) -> None:
        self.see("on_connection_close")
        self.gone.set()


class Waiting(Base):
    """Its client leaves before anybody else answers."""

    def get(self, number: str) -> None:
        self._auto_finish = False
        ARRIVED.setdefault(number, asyncio.Event()).set()

    def on_connection_close(self) -> None:
        self.see("on_connection_close")


ARRIVED: dict[str, asyncio.Event] = {}


class Arrived(RequestHandler):
    """Answers when a request has arrived at its handler."""

    async def get(self, number: str) -> None:
        event = ARRIVED.setdefault(number, asyncio.Event())
        await event.wait()
        del ARRIVED[number]


class Stream(Base):
    """Streams until its client leaves."""

    async def get(self, number: str) -> None:
        while True:
            with self.span("event"):
                self.write(CHUNK)
                await self.flush()


class Cancel(Base):
    """Cancels fetches on their way."""

    async def get(self, number: str) -> None:
        parts = asyncio.gather(self.part(), self.fetch(), self.part())
        await turns(int(number) % 40)
        parts.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await parts
        self.see("get")


class GiveUp(Base):
    """Is cancelled itself."""

    async def get(self, number: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda task: LEDGER.expect(task.cancelled(), "a cancellation is swallowed"))
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await asyncio.gather(self.part(), self.part())
        except asyncio.CancelledError:
            if tornado.version_info < (6, 6):  # Tornado leaves the client waiting
                self.send_error(500)
            raise


class Threads(Base):
    async def get(self, number: str) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            loop.run_in_executor(CONTEXT_POOL, self.work),
            IOLoop.current().run_in_executor(PLAIN_POOL, self.work),
        )

    def work(self) -> None:
        with self.span("in a thread"):
            self.set_header("X-Thread", threading.current_thread().name)


class Early(Base):
    """Goes on, in a task of its own too, when the response is finished."""

    async def get(self, number: str) -> None:
        await self.finish(number)
        task = asyncio.ensure_future(self.part())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        await self.fetch()


class Fail(Base):
    async def get(self, number: str) -> None:
        with contextlib.suppress(ValueError), self.span("work"):
            raise ValueError(number)
        raise LookupError(number)


class Health(RequestHandler):
    """Is excluded, with what it fetches."""

    async def get(self, number: str) -> None:
        LEDGER.expect(active_id() is None, "something is active in a request that is excluded")
        await AsyncHTTPClient().fetch(backend("item", "untraced"))


class Chat(WebSocketHandler):
    """A WebSocket whose messages have spans."""

    def prepare(self) -> None:
        span: Any = TornadoTracing.get_span(self)
        self.me = span.context.trace_id

    def see(self, where: str) -> None:
        span: Any = LEDGER.active_span
        follows = None if span is None else span.tags.get("websocket.handshake.trace_id")
        is_right = span is not None and (span.operation_name, follows) == (f"Chat.{where}", f"{self.me:x}")
        LEDGER.expect(is_right, f"{where} has a wrong span active")

    def open(self, number: str) -> None:
        self.see("open")

    async def on_message(self, message: str | bytes) -> None:
        self.see("on_message")
        await self.write_message(message)
        await AsyncHTTPClient().fetch(backend("item", active_id()))
        self.see("on_message")

    def on_close(self) -> None:
        self.see("on_close")


HANDLERS: dict[str, type[RequestHandler]] = {
    "plain": Plain,
    "gather": Gather,
    "socket": Socket,
    "upload": Upload,
    "abort": Abort,
    "left": Left,
    "waiting": Waiting,
    "stream": Stream,
    "cancel": Cancel,
    "give-up": GiveUp,
    "threads": Threads,
    "early": Early,
    "fail": Fail,
    "health": Health,
    "chat": Chat,
}
