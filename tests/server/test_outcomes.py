# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Server spans: one for each request, however it ends."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, Servers, only
from support.outcomes import OUTCOMES, Outcome, UnhandledError, fail
from support.serving import connection, only_span, settled, until
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from tornado_opentracing import init_tracing


@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
async def test_every_request_has_one_finished_span_that_tells_its_outcome(
    outcome: Outcome,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    span = await outcome.of(outcome.application(), each_recorder, servers, client)
    outcome.check(span)
    assert span.parent_id is None
    # How OpenTelemetry speaks of a span that is finished twice, or changed when finished.
    assert "ended span" not in caplog.text


class Elsewhere(HTTPConnection):
    """A connection that is not of Tornado's HTTP server: an adapter to some other one, say."""

    def __init__(self) -> None:
        self.is_finished = asyncio.Event()

    def write_headers(self, *args: Any, **kwargs: Any) -> asyncio.Future[None]:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        pass

    def finish(self) -> None:
        self.is_finished.set()


class Accepts(RequestHandler):
    def get(self) -> None:
        self.set_status(202)


async def test_a_request_that_came_by_a_connection_of_another_kind_has_its_status(recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    elsewhere = Elsewhere()
    start_line = RequestStartLine("GET", "/", "HTTP/1.1")
    headers = HTTPHeaders({"Host": "localhost"})
    request = HTTPServerRequest(start_line=start_line, headers=headers, connection=elsewhere)
    Application([("/", Accepts)])(request)
    await elsewhere.is_finished.wait()
    assert (await only_span(recorder)).status == 202


class Waiting(RequestHandler):
    """Tells the test when it runs, and waits for something that does not happen."""

    def initialize(self, tasks: list[asyncio.Task[object]]) -> None:
        self.tasks = tasks
        self.closed = asyncio.Event()

    async def get(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        await self.closed.wait()

    def on_connection_close(self) -> None:
        self.closed.set()


async def test_a_handler_that_is_cancelled_from_outside_has_one_finished_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    tasks: list[asyncio.Task[object]] = []
    url = servers.start(Application([("/", Waiting, {"tasks": tasks})]))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: tasks)
        tasks[0].cancel()
        span = await only_span(each_recorder)
    assert span.is_error


async def test_a_handler_that_answers_for_what_was_cancelled_in_it_has_no_error(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Answers(RequestHandler):
        async def get(self) -> None:
            try:
                raise asyncio.CancelledError
            except asyncio.CancelledError:
                self.send_error(404)

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Answers)])), raise_error=False)
    span = await only_span(recorder)
    assert (span.status, span.is_error, span.logs) == (404, False, [])


async def test_a_finish_that_raises_before_anything_went_out_leaves_the_span_to_the_next_one(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    handlers: list[RequestHandler] = []

    class Later(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            handlers.append(self)

    init_tracing(recorder.tracer, trace_client=False)
    fetching = client.fetch(servers.start(Application([("/", Later)])))
    await until(lambda: handlers)
    with pytest.raises(TypeError):
        handlers[0].finish(object())  # type: ignore[arg-type]
    assert recorder.unfinished == 1
    handlers[0].finish("hello")
    assert (await fetching).body == b"hello"
    assert (await only_span(recorder)).status == 200


async def test_a_handler_whose_client_leaves_has_one_finished_span(each_recorder: Recorder, servers: Servers) -> None:
    """The client's going away is no error of the server's."""
    init_tracing(each_recorder.tracer)
    tasks: list[asyncio.Task[object]] = []
    url = servers.start(Application([("/", Waiting, {"tasks": tasks})]))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: tasks)
        assert each_recorder.finished == []
    assert not (await only_span(each_recorder)).is_error


@stream_request_body
class Upload(RequestHandler):
    def initialize(self, received: list[bytes]) -> None:
        self.received = received

    def data_received(self, chunk: bytes) -> None:
        self.received.append(chunk)

    def post(self) -> None:
        self.write("thanks")


async def test_a_streamed_upload_has_one_finished_span(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    received: list[bytes] = []
    async with connection(servers.start(Application([("/", Upload, {"received": received})]))) as opened:
        opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 8\n\nhalf")
        await until(lambda: received)
        assert each_recorder.finished == []
        opened.send("half")
        assert await opened.answer() == (200, "thanks")
        assert (await only_span(each_recorder)).status == 200


async def test_a_streamed_upload_that_the_client_breaks_off_has_one_finished_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    """Tornado never calls ``finish()`` then, and nothing goes out."""
    init_tracing(each_recorder.tracer)
    received: list[bytes] = []
    async with connection(servers.start(Application([("/", Upload, {"received": received})]))) as opened:
        opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 8\n\nhalf")
        await until(lambda: received)
    span = await only_span(each_recorder)
    assert span.status is None
    assert not span.is_error


async def test_an_application_that_overrides_log_request_has_its_requests_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Without calling ``super()``, as for everything else that is there to be overridden."""
    logged: list[RequestHandler] = []

    class Quiet(Application):
        def log_request(self, handler: RequestHandler) -> None:
            logged.append(handler)

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Quiet()), raise_error=False)
    assert (await only_span(recorder)).status == 404
    assert len(logged) == 1


async def test_each_request_of_many_at_once_has_its_own_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)

    class Numbered(RequestHandler):
        async def get(self, number: str) -> None:
            for _ in range(int(number) % 3):
                await asyncio.sleep(0)
            if int(number) % 2:
                raise HTTPError(500 + int(number))

    url = servers.start(Application([("/(.*)", Numbered)]))
    await asyncio.gather(*(client.fetch(f"{url}/{number}", raise_error=False) for number in range(10)))
    spans = await settled(each_recorder, 10)
    assert len({span.trace_id for span in spans}) == len(spans) == 10
    for number in range(10):
        assert only(spans, path=f"/{number}").status == (500 + number if number % 2 else 200)


async def test_an_error_is_logged_with_the_standard_fields(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    raised: list[BaseException] = []

    class Raising(RequestHandler):
        def get(self) -> None:
            fail()

        def log_exception(self, typ: object, value: BaseException | None, tb: object) -> None:
            assert value is not None
            raised.append(value)

    await client.fetch(servers.start(Application([("/", Raising)])), raise_error=False)
    (log,) = (await only_span(recorder)).logs
    stack = log.pop("stack")
    assert log == {"event": "error", "error.object": raised[0], "error.kind": "UnhandledError", "message": "oops"}
    assert isinstance(raised[0], UnhandledError)
    assert isinstance(stack, str)
    assert stack.startswith("Traceback")
    assert 'raise UnhandledError("oops")' in stack
    assert "in get" in stack


async def test_the_stack_is_pythons_own_but_for_the_carets(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """With what it was raised for, and with Python's guess of the name that was meant."""
    stacks: list[str] = []

    class Raising(RequestHandler):
        def get(self) -> None:
            some_value = "hello"
            try:
                fail()
            except UnhandledError:
                self.write(some_valeu or some_value)  # type: ignore[name-defined] # noqa: F821

        def log_exception(self, *exc_info: Any) -> None:
            stacks.append("".join(traceback.format_exception(*exc_info)))

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Raising)])), raise_error=False)
    (log,) = (await only_span(recorder)).logs

    def without_carets(stack: str) -> list[str]:
        return [line for line in stack.splitlines() if set(line) - set(" ~^")]

    assert without_carets(log["stack"]) == without_carets(stacks[0])
    assert stacks[0].count("Traceback") == 2
