# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Where the span of a request is active, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import tornado
from support import MockRecorder, Recorder, Servers, active_id, only, span_id
from support.handlers import Hello
from support.outcomes import fail
from support.serving import connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing


def watching(tracer: Any, seen: dict[str, int | None], method: Callable[[Any], Any]) -> Application:
    """An Application whose code notes, wherever it runs, which span is active there."""

    def note(where: str) -> None:
        seen[where] = active_id(tracer)

    class Watching(RequestHandler):
        def initialize(self) -> None:
            note("initialize")

        def set_default_headers(self) -> None:
            note("set_default_headers")

        async def prepare(self) -> None:
            note("prepare")
            span = TornadoTracing.get_span(self)
            assert span is not None
            seen["span"] = span_id(span)

        def get(self) -> Any:
            note("method")
            return method(self)

        def log_exception(self, *exc_info: Any) -> None:
            note("log_exception")

        def write_error(self, status_code: int, **kwargs: Any) -> None:
            note("write_error")

        def on_finish(self) -> None:
            note("on_finish")

    class Application_(Application):  # noqa: N801
        def find_handler(self, *args: Any, **kwargs: Any) -> Any:
            """In the connection's context, which is where a leak would show, at the second request."""
            note("before")
            return super().find_handler(*args, **kwargs)

    return Application_([("/", Watching)], log_function=lambda _: note("log_function"))


async def _answer(handler: RequestHandler) -> None:
    await asyncio.sleep(0)


async def _send_error(handler: RequestHandler) -> None:
    handler.send_error(503)


async def _raise_http_error(handler: RequestHandler) -> None:
    raise HTTPError(404)


async def _raise(handler: RequestHandler) -> None:
    await asyncio.sleep(0)
    fail()


ALWAYS = {"initialize", "set_default_headers", "prepare", "method", "on_finish", "log_function"}
WATCHED: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "answer": (_answer, ALWAYS),
    "sync": (lambda handler: None, ALWAYS),
    "send_error": (_send_error, ALWAYS | {"write_error"}),
    "sync exception": (fail, ALWAYS | {"log_exception", "write_error"}),
    "HTTPError": (_raise_http_error, ALWAYS | {"log_exception", "write_error"}),
    "exception": (_raise, ALWAYS | {"log_exception", "write_error"}),
}


@pytest.mark.parametrize(("method", "where"), WATCHED.values(), ids=WATCHED)
async def test_the_span_is_active_wherever_the_request_is_handled_and_nothing_is_afterwards(
    method: Callable[[Any], Any], where: set[str], each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    seen: dict[str, int | None] = {}
    async with connection(servers.start(watching(each_recorder.tracer, seen, method))) as opened:
        spans = []
        for number in range(2):
            seen.clear()
            await opened.get()
            spans.append((await settled(each_recorder, number + 1))[-1].span_id)
            assert seen.pop("before") is None
            assert seen.pop("span") == spans[-1]
            assert seen == dict.fromkeys(where, spans[-1])
    assert len(set(spans)) == 2
    assert active_id(each_recorder.tracer) is None


@pytest.mark.parametrize("other", [True, False], ids=["another span active", "nothing active"])
@pytest.mark.parametrize("how", ["finish", "send_error"])
async def test_the_span_is_active_where_finish_is_called_from_another_task(
    other: bool, how: str, each_recorder: Recorder, servers: Servers
) -> None:
    """And what is active in that task is so again when ``finish()`` returns."""
    tracer = each_recorder.tracer
    init_tracing(tracer)
    seen: dict[str, int | None] = {}
    waiting: asyncio.Queue[RequestHandler] = asyncio.Queue()

    def hand_over(handler: RequestHandler) -> None:
        handler._auto_finish = False
        waiting.put_nowait(handler)

    async def work() -> tuple[int | None, int | None]:
        handler = await waiting.get()
        before = active_id(tracer)
        handler.finish() if how == "finish" else handler.send_error(500)
        return before, active_id(tracer)

    async def work_under_a_span() -> tuple[int | None, int | None]:
        with tracer.start_active_span("worker"):
            return await work()

    worker = asyncio.ensure_future(work_under_a_span() if other else work())
    async with connection(servers.start(watching(tracer, seen, hand_over))) as opened:
        await opened.get()
        before, after = await worker
        spans = await settled(each_recorder, 1 + other)
        span = only(spans, name="Watching")
        assert (before, after) == ((only(spans, name="worker").span_id,) * 2 if other else (None, None))
        assert seen.pop("before") is None
        assert set(seen.values()) == {span.span_id}
        assert set(seen) >= {"prepare", "method", "on_finish", "log_function"} | (
            {"write_error"} if how == "send_error" else set()
        )

        # Neither does it stay with the connection.
        worker = asyncio.ensure_future(work())
        await opened.get()
        await worker
        assert seen["before"] is None


async def test_who_finishes_a_request_for_another_application_goes_on_with_its_own_tracer(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Where the request belongs and what is active there counts during ``finish()``, and no longer."""
    own = MockRecorder()
    init_tracing(own.tracer)
    waiting: asyncio.Queue[RequestHandler] = asyncio.Queue()

    class HandingOver(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            waiting.put_nowait(self)

    tracing = TornadoTracing(recorder.tracer)
    untraced = servers.start(Application([("/", Hello)], opentracing_trace_all=False))
    url = servers.start(Application([("/", HandingOver)], opentracing_tracing=tracing))

    async def work() -> None:
        (await waiting.get()).finish()
        await client.fetch(untraced)

    worker = asyncio.ensure_future(work())
    async with connection(url) as opened:
        await opened.get()
        await worker
    assert (await only_span(own)).kind == "client"
    assert (await only_span(recorder)).name == "HandingOver"


async def test_the_span_is_active_in_what_a_handler_schedules(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer, trace_client=False)
    seen: dict[str, int | None] = {}

    def note(where: str) -> None:
        seen[where] = active_id(tracer)

    async def note_soon(where: str) -> None:
        await asyncio.sleep(0)
        note(where)

    class Scheduling(RequestHandler):
        async def get(self) -> None:
            loop = IOLoop.current()
            loop.add_callback(note, "add_callback")
            loop.call_later(0, note, "call_later")
            loop.spawn_callback(note, "spawn_callback")
            loop.asyncio_loop.call_soon(note, "call_soon")  # type: ignore[attr-defined]
            await asyncio.gather(note_soon("gather"), asyncio.create_task(note_soon("create_task")))
            await asyncio.wait_for(note_soon("wait_for"), 20)
            await gen.multi([note_soon("multi")])
            await until(lambda: len(seen) == 8)

    await client.fetch(servers.start(Application([("/", Scheduling)])))
    assert set(seen.values()) == {(await only_span(each_recorder)).span_id}


class _Noting(RequestHandler):
    def initialize(self, tracer: Any, seen: list[int | None]) -> None:
        self.tracer = tracer
        self.seen = seen

    def note(self) -> None:
        self.seen.append(active_id(self.tracer))


class AsyncNoting(_Noting):
    async def prepare(self) -> None:
        await asyncio.sleep(0)
        self.note()

    async def get(self) -> None:
        self.note()
        await asyncio.sleep(0)
        self.note()


class CoroutineNoting(_Noting):
    @gen.coroutine
    def prepare(self) -> Any:
        yield gen.moment
        self.note()

    @gen.coroutine
    def get(self) -> Any:
        self.note()
        yield gen.moment
        self.note()


@pytest.mark.parametrize(
    "handler",
    [
        AsyncNoting,
        pytest.param(
            CoroutineNoting,
            marks=pytest.mark.skipif(
                tornado.version_info < (6, 1), reason="Tornado 6.0's gen.coroutine loses context variables"
            ),
        ),
    ],
)
async def test_the_span_stays_active_from_await_to_await(
    handler: type[_Noting], each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Also where many requests take turns."""
    init_tracing(each_recorder.tracer, trace_client=False)
    seen: list[list[int | None]] = [[] for _ in range(5)]
    routes: list[Any] = [
        (f"/{number}", handler, {"tracer": each_recorder.tracer, "seen": seen[number]}) for number in range(5)
    ]
    url = servers.start(Application(routes))
    await asyncio.gather(*(client.fetch(f"{url}/{number}") for number in range(5)))
    spans = await settled(each_recorder, 5)
    assert seen == [[only(spans, path=f"/{number}").span_id] * 3 for number in range(5)]


# When it ends.


async def test_the_span_ends_with_the_response_and_remains_the_parent_of_work_that_goes_on(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer, trace_client=False)
    go_on = asyncio.Event()
    done: list[str] = []

    async def work(name: str) -> None:
        await go_on.wait()
        with tracer.start_active_span(name):
            await asyncio.sleep(0)
        done.append(name)

    class Background(RequestHandler):
        async def get(self) -> None:
            self.task = asyncio.create_task(work("task"))
            IOLoop.current().spawn_callback(work, "callback")
            self.finish("hello")
            await work("handler")

    await client.fetch(servers.start(Application([("/", Background)])))
    (span,) = await settled(each_recorder)
    assert (span.name, span.status, done) == ("Background", 200, [])

    go_on.set()
    await until(lambda: len(done) == 3)
    spans = await settled(each_recorder, 4)
    for name in ("task", "callback", "handler"):
        child = only(spans, name=name)
        assert (child.trace_id, child.parent_id) == (span.trace_id, span.span_id)
        assert child.start_time >= span.finish_time
    assert only(spans, name="Background").finish_time == span.finish_time


async def test_the_span_ends_after_on_finish(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    finished: list[int] = []

    class Slow(Hello):
        def on_finish(self) -> None:
            finished.append(len(each_recorder.finished))
            span = TornadoTracing.get_span(self)
            assert span is not None
            span.set_tag("from", "on_finish")

    await client.fetch(servers.start(Application([("/", Slow)])))
    assert (await only_span(each_recorder)).tags["from"] == "on_finish"
    assert finished == [0]


@pytest.mark.parametrize(("end", "names"), [("finish", ["on_finish"]), ("send_error", ["on_finish", "write_error"])])
async def test_what_the_application_has_active_stays_so_while_it_ends_the_request(
    end: str, names: list[str], each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer, trace_client=False)

    class Ends(RequestHandler):
        def get(self) -> None:
            with tracer.start_active_span("own"):
                getattr(self, end)()

        def write_error(self, status_code: int, **kwargs: Any) -> None:
            self.trace("write_error")
            self.finish()

        def on_finish(self) -> None:
            self.trace("on_finish")

        def trace(self, name: str) -> None:
            with tracer.start_active_span(name):
                pass

    await client.fetch(servers.start(Application([("/", Ends)])), raise_error=False)
    spans = await settled(each_recorder, 2 + len(names))
    assert only(spans, name="own").parent_id == only(spans, name="Ends").span_id
    for name in names:
        assert only(spans, name=name).parent_id == only(spans, name="own").span_id
