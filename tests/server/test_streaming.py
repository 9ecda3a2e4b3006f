# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Streamed request bodies: ``data_received`` is part of the request, and an upload that breaks off ends its span."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest
import tornado
from support import Recorder, Servers, active_id, children, only, span_id
from support.outcomes import UnhandledError
from support.serving import connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from tornado_opentracing import TornadoTracing, init_tracing
from tornado_opentracing._spans.request import request_span


@dataclasses.dataclass
class Site:
    """What the handlers saw."""

    tracer: Any
    chunks: list[bytes] = dataclasses.field(default_factory=list)
    #: What was active where application code ran: id of the span, or ``None``.
    active: dict[str, list[int | None]] = dataclasses.field(default_factory=dict)
    #: The ids of the requests' spans, and the handlers, kept from the garbage collector.
    spans: list[int] = dataclasses.field(default_factory=list)
    handlers: list[RequestHandler] = dataclasses.field(default_factory=list)
    #: Scopes left open; OpenTelemetry's shim closes one that nobody refers to.
    scopes: list[Any] = dataclasses.field(default_factory=list)

    def saw(self, place: str) -> None:
        self.active.setdefault(place, []).append(active_id(self.tracer))


@stream_request_body
class Upload(RequestHandler):
    """Takes a body in chunks, and answers with how much it was."""

    def initialize(self, site: Site) -> None:
        self.site = site
        site.handlers.append(self)

    def prepare(self) -> Awaitable[None] | None:
        self.site.spans.append(span_id(TornadoTracing.get_span(self)))
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.site.chunks.append(chunk)
        self.site.saw("data_received")
        return None

    def post(self) -> None:
        self.site.saw("post")
        self.write(str(sum(map(len, self.site.chunks))))

    def on_connection_close(self) -> None:
        self.site.saw("on_connection_close")
        super().on_connection_close()


class AsyncUpload(Upload):
    async def data_received(self, chunk: bytes) -> None:
        super().data_received(chunk)
        await asyncio.sleep(0)
        self.site.saw("data_received")


class CoroutineUpload(Upload):
    @gen.coroutine
    def data_received(self, chunk: bytes) -> Any:
        super().data_received(chunk)
        yield gen.moment
        if tornado.version_info >= (6, 1):  # gen.coroutine of 6.0 loses context variables between yields
            self.site.saw("data_received")


UPLOADS = [Upload, AsyncUpload, CoroutineUpload]

HEAD = "POST / HTTP/1.1\nHost: localhost\n"


def serve(
    servers: Servers, recorder: Recorder, handler: type[RequestHandler], **server_arguments: Any
) -> tuple[str, Site]:
    init_tracing(recorder.tracer)
    site = Site(recorder.tracer)

    class Seeing(Application):
        def find_handler(self, *args: Any, **kwargs: Any) -> Any:
            """Called in the connection's context: what is left there shows here."""
            site.saw("connection")
            return super().find_handler(*args, **kwargs)

    application = Seeing([("/", handler, {"site": site})], log_function=lambda handler: None)
    return servers.start(application, **server_arguments), site


# While the body arrives.


@pytest.mark.parametrize("handler", UPLOADS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_the_span_is_active_in_data_received_for_every_chunk(
    each_recorder: Recorder, servers: Servers, handler: type[Upload], is_chunked: bool
) -> None:
    url, site = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        for number in (1, 2):
            opened.send(HEAD + ("Transfer-Encoding: chunked\n\n" if is_chunked else "Content-Length: 9\n\n"))
            for chunk in ("abc", "def", "ghi"):
                site.chunks.clear()
                opened.send(f"3\n{chunk}\n" if is_chunked else chunk)
                await until(lambda: site.chunks)
            if is_chunked:
                opened.send("0\n\n")
            assert await opened.answer() == (200, "3")
            spans = await settled(each_recorder, number)
            span = spans[-1]
            assert (span.status, span.is_error, span.logs) == (200, False, [])
            assert site.spans[-1] == span.span_id
            assert set(site.active.pop("data_received")) == {span.span_id}
            assert site.active.pop("post") == [span.span_id]
            assert span.parent_id is None
    assert len(each_recorder.finished) == 2
    assert site.active == {"connection": [None, None]}


class LeavesActive(Upload):
    """Activates a span for each chunk and forgets to close the scope."""

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        super().data_received(chunk)
        span = self.site.tracer.start_span("left")
        self.site.scopes.append(self.site.tracer.scope_manager.activate(span, True))
        return None


class AsyncLeavesActive(LeavesActive):
    async def data_received(self, chunk: bytes) -> None:
        super().data_received(chunk)
        await asyncio.sleep(0)


@pytest.mark.parametrize("handler", [LeavesActive, AsyncLeavesActive])
async def test_what_data_received_leaves_active_shows_neither_in_the_next_chunk_nor_in_the_next_request(
    each_recorder: Recorder, servers: Servers, handler: type[Upload]
) -> None:
    url, site = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        for _ in range(2):
            opened.send(HEAD + "Content-Length: 6\n\n")
            for chunk in ("abc", "def"):
                site.chunks.clear()
                opened.send(chunk)
                await until(lambda: site.chunks)
            await opened.answer()
    first, second = site.spans
    assert site.active["data_received"] == [first, first, second, second]
    assert site.active["post"] == [first, second]
    assert site.active["connection"] == [None, None]


async def test_a_connection_keeps_nothing_of_an_upload_that_is_over(recorder: Recorder, servers: Servers) -> None:
    states: list[weakref.ref[Any]] = []

    @stream_request_body
    class Forgotten(RequestHandler):
        def data_received(self, chunk: bytes) -> None:
            pass

        def post(self) -> None:
            states.append(weakref.ref(request_span(self.request)))

    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Forgotten)], log_function=lambda handler: None))
    async with connection(url) as opened:
        for _ in range(2):
            opened.send(HEAD + "Content-Length: 3\n\nabc")
            await opened.answer()

        def kept() -> int:
            gc.collect()
            return sum(state() is not None for state in states)

        await until(lambda: len(states) == 2 and not kept())


async def test_a_fetch_in_data_received_is_a_child_of_the_request(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Store(RequestHandler):
        def put(self) -> None:
            pass

    store = servers.start(Application([(r"/part/\d", Store)]))

    class Forwards(Upload):
        async def data_received(self, chunk: bytes) -> None:
            await client.fetch(f"{store}/part/{len(self.site.chunks)}", method="PUT", body=chunk)
            super().data_received(chunk)

    url, site = serve(servers, each_recorder, Forwards)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\n")
        for number, chunk in enumerate(("abc", "def"), 1):
            opened.send(chunk)
            await until(lambda number=number: len(site.chunks) == number)  # type: ignore[misc]
        await opened.answer()
    spans = await settled(each_recorder, 5)
    upload = only(spans, name="Forwards")
    assert [fetch.path for fetch in children(spans, upload)] == ["/part/0", "/part/1"]


# The body ends before its time.


class Fails(Upload):
    error: BaseException = UnhandledError("oops")

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        raise self.error


class AsyncFails(Fails):
    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        raise self.error


class FailsWithHTTPError(Fails):
    error = HTTPError(413)


@pytest.mark.parametrize("handler", [Fails, AsyncFails, FailsWithHTTPError])
async def test_an_exception_in_data_received_is_an_error_on_the_one_span(
    each_recorder: Recorder, servers: Servers, handler: type[Fails]
) -> None:
    """Tornado answers nothing then, whatever the exception: it closes the connection."""
    url, _ = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == (handler.__name__, None, True)
    assert [log["error.kind"] for log in span.logs if "error.kind" in log] == [type(handler.error).__name__]


class KeepsCloseToItself(Upload):
    def on_connection_close(self) -> None:
        self.site.saw("on_connection_close")


class AnswersLater(Upload):
    def prepare(self) -> Awaitable[None] | None:
        self._auto_finish = False
        return super().prepare()


def leave(opened: Any) -> None:
    """The client goes away in the middle of the body."""
    opened._writer.close()


def stay(opened: Any) -> None:
    pass


def check_broken_off(recorder: Recorder, site: Site, span: Any, handler: type[Upload]) -> None:
    assert (span.name, span.status, span.is_error) == (handler.__name__, None, False)
    assert [log["event"] for log in span.logs] == ["connection closed"]
    assert site.spans == [span.span_id]
    assert site.active["on_connection_close"] == [span.span_id]
    assert "post" not in site.active


@pytest.mark.parametrize("handler", [*UPLOADS, KeepsCloseToItself, AnswersLater])
@pytest.mark.parametrize("sent", ["", "abc"], ids=["no chunk", "a chunk"])
async def test_an_upload_that_the_client_aborts_ends_its_span_at_once(
    each_recorder: Recorder, servers: Servers, handler: type[Upload], sent: str
) -> None:
    """The handler is kept alive: it is not the garbage collector that ends the span."""
    url, site = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\n" + sent)
        await until(lambda: site.chunks if sent else site.spans)
        assert not each_recorder.finished
    span = await only_span(each_recorder)
    check_broken_off(each_recorder, site, span, handler)


@pytest.mark.parametrize("handler", [Upload, AsyncUpload, KeepsCloseToItself, AnswersLater])
@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ({"max_body_size": 5}, "Content-Length: 6\n\nabc"),
        ({"max_body_size": 5}, "Transfer-Encoding: chunked\n\n3\nabc\n3\ndef\n"),
        ({"body_timeout": 0.01}, "Content-Length: 6\n\nabc"),
    ],
    ids=["length", "chunked", "timeout"],
)
async def test_an_upload_that_exceeds_a_limit_ends_its_span_at_once(
    each_recorder: Recorder, servers: Servers, handler: type[Upload], arguments: dict[str, Any], body: str
) -> None:
    """Tornado ends the connection by itself, past the handler."""
    url, site = serve(servers, each_recorder, handler, **arguments)
    async with connection(url) as opened:
        opened.send(HEAD + body)
        span = await only_span(each_recorder)
    check_broken_off(each_recorder, site, span, handler)


async def test_a_limit_that_the_handler_sets_ends_its_span_at_once(each_recorder: Recorder, servers: Servers) -> None:
    class Limits(Upload):
        def prepare(self) -> Awaitable[None] | None:
            connection: Any = self.request.connection
            connection.set_max_body_size(5)
            return super().prepare()

    url, site = serve(servers, each_recorder, Limits)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        span = await only_span(each_recorder)
    check_broken_off(each_recorder, site, span, Limits)


class RefusesInPrepare(Upload):
    def prepare(self) -> Awaitable[None] | None:
        raise HTTPError(413)


class RefusesInDataReceived(Upload):
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.set_status(413)
        self.finish()
        return None


class RefusesInAsyncDataReceived(RefusesInDataReceived):
    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        super().data_received(chunk)


@pytest.mark.parametrize("handler", [RefusesInPrepare, RefusesInDataReceived, RefusesInAsyncDataReceived])
async def test_an_upload_that_the_handler_refuses_ends_with_its_answer(
    each_recorder: Recorder, servers: Servers, handler: type[Upload]
) -> None:
    """What becomes of the rest of the body, and of the connection, is no longer told."""
    url, _ = serve(servers, each_recorder, handler)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        assert (await opened.answer())[0] == 413
        await only_span(each_recorder)
    span = await only_span(each_recorder)
    assert (span.status, span.is_error, span.logs) == (413, False, [])


async def test_a_stream_of_the_handlers_own_that_closes_in_data_received_is_an_error(
    each_recorder: Recorder, servers: Servers
) -> None:
    """``StreamClosedError`` means that the client left only if it did."""

    class Relays(Fails):
        error = StreamClosedError()

    url, _ = serve(servers, each_recorder, Relays)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        span = await only_span(each_recorder)
    assert span.is_error


class ClosesBadly(Upload):
    def on_connection_close(self) -> None:
        raise UnhandledError


async def test_an_exception_in_on_connection_close_is_an_error_on_the_one_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    url, site = serve(servers, each_recorder, ClosesBadly)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        await until(lambda: site.chunks)
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (None, True)
    assert "UnhandledError" in [log.get("error.kind") for log in span.logs]


@pytest.mark.parametrize("prepared", [False, True])
async def test_an_upload_aborted_while_prepare_still_runs_has_one_finished_span(
    each_recorder: Recorder, servers: Servers, prepared: bool
) -> None:
    """Tornado looks at the connection again when ``prepare`` is done."""
    entered, release = asyncio.Event(), asyncio.Event()

    class Prepares(Upload):
        async def prepare(self) -> None:
            super().prepare()
            entered.set()
            await release.wait()
            if not prepared:
                raise HTTPError(401)

    url, site = serve(servers, each_recorder, Prepares)
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
        await entered.wait()
    release.set()
    span = await only_span(each_recorder)
    assert not span.is_error
    assert "post" not in site.active


async def test_an_aborted_upload_of_an_ordinary_handler_reaches_no_handler_and_has_no_span(
    recorder: Recorder, servers: Servers
) -> None:
    class Ordinary(RequestHandler):
        def post(self) -> None:
            raise AssertionError

    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Ordinary), ("/next", RequestHandler)]))
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 6\n\nabc")
    async with connection(url) as opened:
        await opened.get("/next")
    assert (await only_span(recorder)).name == "RequestHandler"


@pytest.mark.parametrize("handler", [Upload, AsyncUpload])
async def test_an_excluded_upload_runs_untraced(recorder: Recorder, servers: Servers, handler: type[Upload]) -> None:
    class Unnamed(handler):  # type: ignore[misc,valid-type]
        def prepare(self) -> None:
            assert TornadoTracing.get_span(self) is None

    init_tracing(recorder.tracer, excluded_paths=["/"])
    site = Site(recorder.tracer)
    url = servers.start(Application([("/", Unnamed, {"site": site})]))
    async with connection(url) as opened:
        opened.send(HEAD + "Content-Length: 3\n\nabc")
        assert await opened.answer() == (200, "3")
        opened.send(HEAD + "Content-Length: 3\n\nab")
        await until(lambda: len(site.handlers) == 2)
    await until(lambda: "on_connection_close" in site.active)
    assert {each for ids in site.active.values() for each in ids} == {None}
    assert recorder.finished == []
