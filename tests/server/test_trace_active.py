# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The span of a handler under ``@trace``: where it is active, and when it ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import opentracing
import pytest
from support import Recorder, Servers, active_id, children, only, span_id
from support.decorated import Plain, coroutine_keeps_context, decorated
from support.outcomes import fail
from support.serving import connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_client_tracing, no_parent_scope


async def test_the_parent_of_a_traced_handler_is_what_the_headers_carry(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    with tracer.start_active_span("listening"):
        url = servers.start(Application([("/", decorated(Plain, TornadoTracing(tracer).trace))]))
    headers: dict[str, str] = {}
    with tracer.start_span("caller") as caller:
        tracer.inject(caller.context, opentracing.Format.HTTP_HEADERS, headers)
    await client.fetch(url, headers=headers)
    await client.fetch(url)
    spans = await settled(each_recorder, 4)
    called, root = (span for span in spans if span.name == "Plain")
    assert (called.trace_id, called.parent_id) == (only(spans, name="caller").trace_id, span_id(caller))
    assert root.parent_id is None
    assert root.trace_id != only(spans, name="listening").trace_id


@pytest.mark.parametrize("how", ["answer", "exception", "another task"])
async def test_the_span_of_a_traced_handler_is_active_in_all_that_follows_and_nothing_is_afterwards(
    how: str, each_recorder: Recorder, servers: Servers
) -> None:
    tracer = each_recorder.tracer
    seen: dict[str, int | None] = {}
    waiting: asyncio.Queue[RequestHandler] = asyncio.Queue()

    def note(where: str) -> None:
        seen[where] = active_id(tracer)

    class Watching(RequestHandler):
        def initialize(self) -> None:
            note("initialize")

        def prepare(self) -> None:
            note("prepare")

        @TornadoTracing(tracer).trace
        async def get(self) -> None:
            await asyncio.sleep(0)
            note("method")
            if how == "exception":
                fail()
            if how == "another task":
                self._auto_finish = False
                waiting.put_nowait(self)

        def log_exception(self, *exc_info: Any) -> None:
            note("log_exception")

        def write_error(self, status_code: int, **kwargs: Any) -> None:
            note("write_error")

        def on_finish(self) -> None:
            note("on_finish")

    async def work() -> int | None:
        (await waiting.get()).finish()
        return active_id(tracer)

    expected = {"method", "on_finish", "log_function"}
    if how == "exception":
        expected |= {"log_exception", "write_error"}
    application = Application([("/", Watching)], log_function=lambda _: note("log_function"))
    async with connection(servers.start(application)) as opened:
        for number in range(2):
            seen.clear()
            worker = asyncio.ensure_future(work())
            await opened.get()
            if how == "another task":
                assert await worker is None
            span = (await settled(each_recorder, number + 1))[-1]
            # It starts with the method.
            assert (seen.pop("initialize"), seen.pop("prepare")) == (None, None)
            assert seen == dict.fromkeys(expected, span.span_id)
            worker.cancel()
    assert active_id(tracer) is None


async def test_the_span_of_a_traced_handler_is_active_in_what_it_does_after_the_traced_method(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)

    class Partly(RequestHandler):
        async def get(self) -> None:
            recorder.tracer.start_span("before").finish()
            with recorder.tracer.start_active_span("around"):
                await self.look_up()
                recorder.tracer.start_span("within").finish()

        @tracing.trace
        async def look_up(self) -> None:
            recorder.tracer.start_span("looked up").finish()

    class First(Partly):
        async def get(self) -> None:
            await self.look_up()
            recorder.tracer.start_span("after").finish()

    url = servers.start(Application([("/", Partly), ("/first", First)]))
    await client.fetch(url)
    spans = await settled(recorder, 5)
    around, request = only(spans, name="around"), only(spans, name="Partly")
    parents = {"before": None, "around": None, "within": around.span_id}
    assert {name: only(spans, name=name).parent_id for name in parents} == parents
    assert [child.name for child in children(spans, request)] == ["looked up"]
    await client.fetch(f"{url}/first")
    spans = (await settled(recorder, 8))[5:]
    assert [child.name for child in children(spans, only(spans, name="First"))] == ["looked up", "after"]


async def test_a_traced_method_may_run_in_a_thread(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer

    class Looking(RequestHandler):
        async def get(self) -> None:
            self.write(await asyncio.get_running_loop().run_in_executor(None, self.look_up))

        @TornadoTracing(tracer).trace
        def look_up(self) -> str:
            tracer.start_span("looked up").finish()
            return "found"

    response = await client.fetch(servers.start(Application([("/", Looking)])))
    assert response.body == b"found"
    spans = await settled(each_recorder, 2)
    assert [child.name for child in children(spans, only(spans, name="Looking"))] == ["looked up"]


async def test_a_traced_method_leaves_nothing_active_where_nothing_is_to_be(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer

    class Cutting(RequestHandler):
        async def get(self) -> None:
            with no_parent_scope():
                await self.look_up()
                tracer.start_span("apart").finish()

        @TornadoTracing(tracer).trace
        async def look_up(self) -> None:
            tracer.start_span("looked up").finish()

    await client.fetch(servers.start(Application([("/", Cutting)])))
    spans = await settled(each_recorder, 3)
    assert only(spans, name="apart").parent_id is None
    assert [child.name for child in children(spans, only(spans, name="Cutting"))] == ["looked up"]


async def test_traced_methods_of_a_websocket_each_run_with_the_span_active(
    each_recorder: Recorder, servers: Servers
) -> None:
    tracer, seen = each_recorder.tracer, dict[str, Any]()
    tracing = TornadoTracing(tracer)

    class Chat(WebSocketHandler):
        @tracing.trace
        def open(self, *args: str, **kwargs: str) -> None:
            seen["open"] = active_id(tracer)

        @tracing.trace
        async def on_message(self, message: str | bytes) -> None:
            seen[str(message)] = active_id(tracer)
            await self.write_message(message)

        def on_ping(self, data: bytes) -> None:
            seen["ping"] = active_id(tracer)

    connected = await websocket_connect(servers.start(Application([("/", Chat)])).replace("http", "ws"))
    for number in "12":
        connected.ping(b"")
        await connected.write_message(number)
        assert await connected.read_message() == number
    connected.close()
    span = await only_span(each_recorder)
    assert seen == {"open": span.span_id, "1": span.span_id, "2": span.span_id, "ping": None}


@stream_request_body
class Receiving(RequestHandler):
    recorder: Recorder
    seen: list[int | None]

    def prepare(self) -> None:
        self.seen.append(active_id(self.recorder.tracer))

    def data_received(self, chunk: bytes) -> None:
        self.receive()

    def receive(self) -> None:
        self.seen.append(active_id(self.recorder.tracer))

    def post(self) -> None:
        self.seen.append(active_id(self.recorder.tracer))


async def test_a_traced_method_that_the_connection_calls_leaves_nothing_active_there(
    each_recorder: Recorder, servers: Servers
) -> None:
    traced = TornadoTracing(each_recorder.tracer).trace(Receiving.receive)
    seen: list[int | None] = []
    handler = type("Receiving", (Receiving,), {"recorder": each_recorder, "seen": seen, "receive": traced})
    async with connection(servers.start(Application([("/", handler)]))) as opened:
        for number in range(2):
            opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc")
            await opened.answer()
            span = (await settled(each_recorder, number + 1))[-1]
            assert seen[:2] == [None, span.span_id]
            seen.clear()
    assert active_id(each_recorder.tracer) is None


async def test_the_span_of_a_traced_handler_ends_with_the_response_and_remains_the_parent(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    go_on = asyncio.Event()

    class Background(RequestHandler):
        @TornadoTracing(tracer).trace
        async def get(self) -> None:
            self.finish("hello")
            await go_on.wait()
            tracer.start_span("work").finish()

    await client.fetch(servers.start(Application([("/", Background)])))
    span = await only_span(each_recorder)
    go_on.set()
    spans = await settled(each_recorder, 2)
    assert [child.name for child in children(spans, span)] == ["work"]
    assert only(spans, name="Background") == span


async def test_a_traced_handler_that_is_cancelled_from_outside_has_one_finished_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    tasks: list[asyncio.Task[object]] = []

    class Waiting(RequestHandler):
        @TornadoTracing(each_recorder.tracer).trace
        async def get(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            await asyncio.get_running_loop().create_future()

    async with connection(servers.start(Application([("/", Waiting)]))) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: tasks)
        tasks[0].cancel()
        span = await only_span(each_recorder)
    assert (span.name, span.is_error) == ("Waiting", True)


async def test_the_very_first_traced_request_ends_when_its_client_leaves(
    each_recorder: Recorder, servers: Servers
) -> None:
    """The connection has made its arrangements by the time the method is called: decorating must do for that."""
    called: list[RequestHandler] = []

    class Postponing(RequestHandler):
        @TornadoTracing(each_recorder.tracer).trace
        def get(self) -> None:
            self._auto_finish = False
            called.append(self)

    async with connection(servers.start(Application([("/", Postponing)]))) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: called)
        assert each_recorder.finished == []
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("Postponing", None, False)


async def test_a_traced_handler_that_handles_its_exception_is_no_error(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)

    class Handling(RequestHandler):
        async def get(self) -> None:
            with contextlib.suppress(RuntimeError):
                await self.work()

        @tracing.trace
        async def work(self) -> None:
            raise RuntimeError

    assert (await client.fetch(servers.start(Application([("/", Handling)])))).code == 200
    span = await only_span(recorder)
    assert (span.status, span.is_error, span.logs) == (200, False, [])


@pytest.mark.parametrize("part", ["start_span", "extract"])
async def test_a_broken_tracer_does_no_harm_to_a_traced_handler(
    part: str,
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[Any],
) -> None:
    monkeypatch.setattr(recorder.tracer, part, fail)
    handler = decorated(Plain, TornadoTracing(recorder.tracer).trace("uri"))
    assert (await client.fetch(servers.start(Application([("/", handler)])))).body == b"hello"
    spans = await settled(recorder, int(part != "start_span"))
    assert [span.status for span in spans] == [200] * (part != "start_span")


# Concurrency.


@pytest.mark.parametrize("kind", ["async", pytest.param("coroutine", marks=coroutine_keeps_context)])
async def test_concurrent_requests_through_traced_handlers_have_the_right_parents(
    kind: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    tracing = TornadoTracing(tracer)

    class Back(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            for _ in range(len(self.request.uri or "") % 3):
                await asyncio.sleep(0)

    back = servers.start(Application([("/.*", Back)]))

    def urls(handler: RequestHandler) -> list[str]:
        return [f"{back}{handler.request.path}/{'x' * number}" for number in range(3)]

    class FrontAsync(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            await asyncio.gather(*map(client.fetch, urls(self)))
            await client.fetch(f"{back}{self.request.path}/last")

    class FrontCoroutine(RequestHandler):
        @tracing.trace
        @gen.coroutine
        def get(self) -> Any:
            yield [client.fetch(url) for url in urls(self)]
            yield client.fetch(f"{back}{self.request.path}/last")

    front = servers.start(Application([("/.*", FrontAsync if kind == "async" else FrontCoroutine)]))
    outside: Any = AsyncHTTPClient(force_instance=True)
    init_client_tracing(tracer)
    try:
        await asyncio.gather(*(outside.fetch(f"{front}/{number}") for number in range(5)))
    finally:
        outside.close()

    spans = await settled(each_recorder, 5 * (2 + 2 * 4))
    assert len(spans) == 50
    for number in range(5):
        root = only(spans, kind="client", path=f"/{number}")
        assert root.parent_id is None
        (server,) = children(spans, root)
        assert (server.kind, server.path) == ("server", root.path)
        fetches = children(spans, server)
        assert len(fetches) == 4
        for fetch in fetches:
            assert fetch.kind == "client"
            assert fetch.path.startswith(f"/{number}/")
            (behind,) = children(spans, fetch)
            assert (behind.kind, behind.name, behind.path) == ("server", "Back", fetch.path)
