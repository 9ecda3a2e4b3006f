# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A client that leaves before the response is finished: its request says so, ends once, and is no error by itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorded, Recorder, Servers, active_id, only, span_id
from support.outcomes import UnhandledError
from support.serving import Connection, connection, only_span, settled, until
from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing

#: More than the sockets of both ends hold.
LARGE = b"x" * 2**24


@dataclasses.dataclass
class Site:
    """What the test and the handlers tell each other."""

    tracer: Any
    #: The handler is where the test wants it.
    entered: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    #: The handler may go on.
    release: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    #: The handler has done all it will do.
    over: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    #: What was active in ``on_connection_close``, each time.
    active_at_close: list[int | None] = dataclasses.field(default_factory=list)
    #: The request's span, and the handler, kept from the garbage collector.
    spans: list[int] = dataclasses.field(default_factory=list)
    handlers: list[RequestHandler] = dataclasses.field(default_factory=list)
    tasks: list[Any] = dataclasses.field(default_factory=list)


class Left(RequestHandler):
    """A handler whose client leaves while it waits in ``get``."""

    def initialize(self, site: Site) -> None:
        self.site = site
        site.handlers.append(self)

    async def wait(self) -> None:
        """The client leaves while this waits, and is gone when it returns."""
        self.site.spans.append(span_id(TornadoTracing.get_span(self)))
        self.site.entered.set()
        await self.site.release.wait()

    def on_connection_close(self) -> None:
        self.site.active_at_close.append(active_id(self.site.tracer))


class Returns(Left):
    async def get(self) -> None:
        await self.wait()


class Writes(Left):
    async def get(self) -> None:
        await self.wait()
        self.write("too late")


class Finishes(Left):
    async def get(self) -> None:
        await self.wait()
        self.finish("too late")


class AwaitsFinish(Left):
    async def get(self) -> None:
        await self.wait()
        await self.finish("too late")


class Flushes(Left):
    """``flush()`` raises ``StreamClosedError``, and Tornado means to answer with a 500."""

    async def get(self) -> None:
        await self.wait()
        self.write("too late")
        await self.flush()


class FlushesAndCatches(Left):
    async def get(self) -> None:
        await self.wait()
        self.write("too late")
        with contextlib.suppress(StreamClosedError):
            await self.flush()


class SendsError(Left):
    """What would have been a 503 never went out."""

    async def get(self) -> None:
        await self.wait()
        self.send_error(404)


class GivesUp(Left):
    """As in Tornado's chat demo."""

    async def get(self) -> None:
        self.waiting = asyncio.ensure_future(self.wait())
        with contextlib.suppress(asyncio.CancelledError):
            await self.waiting

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.waiting.cancel()


class FinishesInClose(Left):
    """The last chance, and a futile one."""

    async def get(self) -> None:
        await self.wait()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.finish("too late")


class CallsSuper(Returns):
    def on_connection_close(self) -> None:
        super().on_connection_close()
        RequestHandler.on_connection_close(self)


class LeftInPrepare(Left):
    async def prepare(self) -> None:
        await self.wait()

    def get(self) -> None:
        self.write("too late")


class ReturnsToAnswerLater(Left):
    """When it returns, the client is gone already: nobody will call ``finish()``, nobody will tell it again."""

    async def get(self) -> None:
        self._auto_finish = False
        await self.wait()


RUNNING: list[type[Left]] = [
    Returns,
    Writes,
    Finishes,
    AwaitsFinish,
    Flushes,
    FlushesAndCatches,
    SendsError,
    GivesUp,
    FinishesInClose,
    CallsSuper,
    ReturnsToAnswerLater,
]


class AnswersLater(Left):
    """Returns from ``get`` without an answer; there will be none."""

    def get(self) -> None:
        self._auto_finish = False
        self.site.tasks.append(asyncio.ensure_future(self.later()))

    async def later(self) -> None:
        await self.wait()
        self.site.over.set()


class AnswersTooLate(AnswersLater):
    async def later(self) -> None:
        await self.wait()
        with contextlib.suppress(StreamClosedError):
            await self.finish("too late")
        self.site.over.set()


class AnswersWithErrorTooLate(AnswersLater):
    async def later(self) -> None:
        await self.wait()
        self.send_error(500)
        self.site.over.set()


class FlushesTooLate(AnswersLater):
    async def later(self) -> None:
        await self.wait()
        with contextlib.suppress(StreamClosedError):
            await self.flush()
        self.site.over.set()


class AnswersInClose(AnswersLater):
    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.finish("too late")


RETURNED: list[type[AnswersLater]] = [
    AnswersInClose,
    AnswersLater,
    AnswersTooLate,
    AnswersWithErrorTooLate,
    FlushesTooLate,
]

Trace = Callable[[Recorder, type[Left]], type[Left]]


def all_traced(recorder: Recorder, handler: type[Left]) -> type[Left]:
    init_tracing(recorder.tracer)
    return handler


def decorated(recorder: Recorder, handler: type[Left]) -> type[Left]:
    get: Any = handler.get
    return type(handler.__name__, (handler,), {"get": TornadoTracing(recorder.tracer).trace(get)})


traced_either_way = pytest.mark.parametrize("trace", [all_traced, decorated])


def serve(servers: Servers, recorder: Recorder, handler: type[Left], trace: Trace = all_traced) -> tuple[str, Site]:
    site = Site(recorder.tracer)
    handler = trace(recorder, handler)
    return servers.start(Application([("/", handler, {"site": site})], log_function=lambda handler: None)), site


REQUEST = "GET / HTTP/1.1\nHost: localhost\n\n"


async def leave(url: str, site: Site) -> None:
    """Send a request and go away when the handler waits; return when the server has seen it."""
    async with connection(url) as opened:
        opened.send(REQUEST)
        await site.entered.wait()
    await until(lambda: site.active_at_close)


def check(site: Site, span: Recorded, handler: type[Left], status: int | None = None) -> None:
    assert (span.name, span.status) == (handler.__name__, status)
    assert not span.is_error
    # A response that had begun says when.
    assert ("http.response.first_byte_ms" in span.tags) == (status is not None)
    assert [log for log in span.logs if "message" in log] == [
        {"event": "connection closed", "message": "the connection was closed before the response was finished"}
    ]
    assert site.spans == [span.span_id]
    assert site.active_at_close == [span.span_id]


@traced_either_way
@pytest.mark.parametrize("handler", RUNNING)
async def test_a_request_whose_client_leaves_while_the_handler_runs_ends_with_the_handler(
    each_recorder: Recorder, servers: Servers, handler: type[Left], trace: Trace
) -> None:
    """Nothing went out, so that there is no status."""
    url, site = serve(servers, each_recorder, handler, trace)
    await leave(url, site)
    if handler not in (GivesUp, FinishesInClose):
        assert each_recorder.finished == []
    site.release.set()
    check(site, await only_span(each_recorder), handler)


async def test_a_client_that_leaves_while_prepare_runs_is_told_too(each_recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, each_recorder, LeftInPrepare)
    await leave(url, site)
    assert each_recorder.finished == []
    site.release.set()
    check(site, await only_span(each_recorder), LeftInPrepare)


@traced_either_way
@pytest.mark.parametrize("handler", RETURNED)
async def test_a_request_whose_client_leaves_when_the_handler_has_returned_ends_then(
    each_recorder: Recorder, servers: Servers, handler: type[AnswersLater], trace: Trace
) -> None:
    url, site = serve(servers, each_recorder, handler, trace)
    await leave(url, site)
    check(site, await only_span(each_recorder), handler)
    site.release.set()
    await site.over.wait()
    check(site, await only_span(each_recorder), handler)


@pytest.mark.parametrize("handler", [Returns, AnswersLater])
async def test_a_connection_that_the_server_closes_is_told_too(
    each_recorder: Recorder, servers: Servers, handler: type[Left]
) -> None:
    """When it is stopped, say."""
    url, site = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        opened.send(REQUEST)
        await site.entered.wait()
        await servers.stop()
        site.release.set()
        check(site, await only_span(each_recorder), handler)


async def test_a_connection_that_the_handler_closes_is_told_too(each_recorder: Recorder, servers: Servers) -> None:
    """In a context in which the request's span is active already."""

    class HangsUp(Returns):
        async def wait(self) -> None:
            self.request.connection.stream.close()  # type: ignore[union-attr]
            await super().wait()

    url, site = serve(servers, each_recorder, HangsUp)
    async with connection(url) as opened:
        opened.send(REQUEST)
        await site.entered.wait()
        await until(lambda: site.active_at_close)
        site.release.set()
        check(site, await only_span(each_recorder), HangsUp)


# In the middle of the response.


class Streams(Left):
    """Server-sent events, until ``flush()`` raises."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        while True:
            await self.send()

    async def send(self) -> None:
        self.write(LARGE)
        flushed = self.flush()
        if not flushed.done() and not self.site.entered.is_set():
            self.site.spans.append(span_id(TornadoTracing.get_span(self)))
            self.site.entered.set()
        await flushed


class StreamsAndCatches(Streams):
    async def get(self) -> None:
        with contextlib.suppress(StreamClosedError):
            await super().get()


class StreamsUntilClosed(Streams):
    async def get(self) -> None:
        while not self.site.active_at_close:
            await self.send()


class StreamsFromTask(Streams):
    async def get(self) -> None:
        self._auto_finish = False
        self.site.tasks.append(asyncio.ensure_future(self.later()))

    async def later(self) -> None:
        with contextlib.suppress(StreamClosedError):
            await super().get()
        self.site.over.set()


STREAMS: list[type[Streams]] = [Streams, StreamsAndCatches, StreamsUntilClosed, StreamsFromTask]


@traced_either_way
@pytest.mark.parametrize("handler", STREAMS)
async def test_a_stream_whose_client_leaves_in_the_middle_of_flush_has_one_finished_span(
    each_recorder: Recorder, servers: Servers, handler: type[Streams], trace: Trace
) -> None:
    """The status went out with the first event."""
    url, site = serve(servers, each_recorder, handler, trace)
    await leave(url, site)
    if handler is StreamsFromTask:
        await site.over.wait()
    check(site, await only_span(each_recorder), handler, 200)


class LongPoll(Left):
    """The response has begun, but the event that it waits for never comes."""

    async def get(self) -> None:
        await self.flush()
        await self.wait()
        self.write("too late")
        await self.flush()


class LongPollAnswersLater(LongPoll):
    async def get(self) -> None:
        self._auto_finish = False
        await self.flush()
        self.site.tasks.append(asyncio.ensure_future(self.wait()))


@traced_either_way
@pytest.mark.parametrize("handler", [LongPoll, LongPollAnswersLater])
async def test_a_long_poll_whose_client_leaves_has_the_status_that_went_out(
    each_recorder: Recorder, servers: Servers, handler: type[Left], trace: Trace
) -> None:
    url, site = serve(servers, each_recorder, handler, trace)
    await leave(url, site)
    site.release.set()
    check(site, await only_span(each_recorder), handler, 200)


# Errors.


class RaisesAfterwards(Left):
    async def get(self) -> None:
        await self.wait()
        raise UnhandledError("oops")


async def test_a_handler_that_fails_after_its_client_left_is_an_error(
    each_recorder: Recorder, servers: Servers
) -> None:
    """The error counts, though the 500 did not go out."""
    url, site = serve(servers, each_recorder, RaisesAfterwards)
    await leave(url, site)
    site.release.set()
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (None, True)
    assert [log.get("error.kind") for log in span.logs] == [None, "UnhandledError"]


class RaisesInClose(Returns):
    def on_connection_close(self) -> None:
        super().on_connection_close()
        raise UnhandledError("oops")


class RaisesInCloseLater(AnswersTooLate):
    def on_connection_close(self) -> None:
        super().on_connection_close()
        raise UnhandledError("oops")


@traced_either_way
@pytest.mark.parametrize("handler", [RaisesInClose, RaisesInCloseLater])
async def test_an_exception_in_on_connection_close_is_an_error_on_the_one_span(
    each_recorder: Recorder, servers: Servers, handler: type[Left], trace: Trace
) -> None:
    url, site = serve(servers, each_recorder, handler, trace)
    await leave(url, site)
    site.release.set()
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (None, True)
    assert [log.get("error.kind") for log in span.logs] == [None, "UnhandledError"]
    assert site.active_at_close == [span.span_id]


class LosesItsOwnStream(Left):
    async def get(self) -> None:
        raise StreamClosedError


async def test_a_stream_of_the_handlers_own_that_closes_is_an_error(each_recorder: Recorder, servers: Servers) -> None:
    """``StreamClosedError`` means that the client left only if it did."""
    url, _ = serve(servers, each_recorder, LosesItsOwnStream)
    async with connection(url) as opened:
        assert (await opened.get())[0] == 500
        span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (500, True)
    assert [log.get("error.kind") for log in span.logs] == ["StreamClosedError"]


# What is not told.


class Answers(Left):
    async def get(self) -> None:
        self.write("in time")


class AnswersFromTask(Left):
    async def get(self) -> None:
        self._auto_finish = False
        self.site.tasks.append(asyncio.ensure_future(self.later()))

    async def later(self) -> None:
        self.finish("in time")


@pytest.mark.parametrize("handler", [Answers, AnswersFromTask])
async def test_a_client_that_leaves_after_the_response_leaves_no_trace(
    each_recorder: Recorder, servers: Servers, handler: type[Left]
) -> None:
    url, site = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        for _ in range(2):
            assert await opened.get() == (200, "in time")
    first, second = await settled(each_recorder, 2)
    assert first.logs == second.logs == []
    assert (first.status, second.status) == (200, 200)
    assert site.active_at_close == []


async def test_nothing_is_active_where_the_connection_was_closed_from(
    each_recorder: Recorder, servers: Servers
) -> None:
    """``on_connection_close`` leaves nothing behind for the other callbacks of the event loop."""

    class Schedules(Returns):
        def on_connection_close(self) -> None:
            super().on_connection_close()
            site.tasks.append(asyncio.ensure_future(self.child()))

        async def child(self) -> None:
            with site.tracer.start_active_span("clean up"):
                site.over.set()

    url, site = serve(servers, each_recorder, Schedules)
    await leave(url, site)
    assert active_id(each_recorder.tracer) is None
    await site.over.wait()
    site.release.set()
    spans = await settled(each_recorder, 2)
    assert only(spans, name="clean up").parent_id == only(spans, name="Schedules").span_id


async def test_only_the_request_whose_client_leaves_is_told(each_recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, each_recorder, Returns)

    async def stay() -> Connection:
        opened = await stack.enter_async_context(connection(url))
        opened.send(REQUEST)
        await site.entered.wait()
        site.entered.clear()
        return opened

    async with contextlib.AsyncExitStack() as stack:
        before = await stay()
        await leave(url, site)
        site.entered.clear()
        after = await stay()
        site.release.set()
        assert (await before.answer())[0] == (await after.answer())[0] == 200
        spans = await settled(each_recorder, 3)
    left = only(span for span in spans if span.logs)
    assert left.span_id == site.spans[1] == site.active_at_close[0]
    assert [span.status for span in spans if span is not left] == [200, 200]
    assert left.status is None


async def test_finish_span_cb_is_called_once_for_a_client_that_left(recorder: Recorder, servers: Servers) -> None:
    seen: list[Any] = []

    def trace(recorder: Recorder, handler: type[Left]) -> type[Left]:
        init_tracing(recorder.tracer, finish_span_cb=lambda span, handler: seen.append((span, handler)))
        return handler

    url, site = serve(servers, recorder, AnswersTooLate, trace)
    await leave(url, site)
    site.release.set()
    await site.over.wait()
    span = await only_span(recorder)
    ((seen_span, handler),) = seen
    assert (span_id(seen_span), handler) == (span.span_id, site.handlers[0])


async def test_an_untraced_request_whose_client_leaves_runs_as_ever(recorder: Recorder, servers: Servers) -> None:
    class Untraced(Returns):
        async def wait(self) -> None:
            self.site.entered.set()
            await self.site.release.wait()
            self.site.over.set()

    def trace(recorder: Recorder, handler: type[Left]) -> type[Left]:
        init_tracing(recorder.tracer, excluded_paths=["/"])
        return handler

    url, site = serve(servers, recorder, Untraced, trace)
    await leave(url, site)
    site.release.set()
    await site.over.wait()
    assert site.active_at_close == [None]
    assert (recorder.finished, recorder.unfinished) == ([], 0)
