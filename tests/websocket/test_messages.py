# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans of messages, if asked for, and the fetches that a message leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import tornado
from support import MockRecorder, Recorded, Recorder, Servers, children, only
from support.outcomes import UnhandledError
from support.serving import only_span, settled, until
from support.sockets import Site, Socket, connected, exchange, serve
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing


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
        assert event.parent_id is None
        assert event.trace_id != handshake.trace_id
        assert int(event.tags["websocket.handshake.trace_id"], 16) == handshake.trace_id
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
