"""Server spans: what they are called and carry, whose children they are, and where they are active."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import tornado
from opentracing import Format, SpanContextCorruptedException
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.span import MockSpan
from support import MockRecorder, Recorder, Servers, active_id, only, span_id
from support.outcomes import UnhandledError, fail
from support.serving import Connection, connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_tracing, remove_tracing


class Hello(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("hello")


class Raising(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        fail()


# What a span is called and carries.


class KeepingTracer(MockTracer):
    """Keeps what it was asked, as it was at that time."""

    def __init__(self) -> None:
        super().__init__(ContextVarsScopeManager())
        self.started: list[tuple[str | None, dict[Any, Any]]] = []
        self.carriers: list[Any] = []

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        span = super().start_span(*args, **kwargs)
        self.started.append((span.operation_name, dict(kwargs["tags"])))
        return span

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002 - the name that it has in opentracing
        assert format == Format.HTTP_HEADERS
        self.carriers.append(carrier)
        return super().extract(format, carrier)


async def test_a_sampler_sees_name_and_tags_when_the_span_starts(servers: Servers, client: AsyncHTTPClient) -> None:
    tracer = KeepingTracer()
    init_tracing(tracer, trace_client=False, traced_attributes=["protocol", "path"])
    await client.fetch(servers.start(Application([("/.*", Hello)])) + "/there?word=value")
    ((name, tags),) = tracer.started
    assert name == "Hello"
    assert tags.items() >= {
        ("component", "tornado"),
        ("span.kind", "server"),
        ("http.method", "GET"),
        ("http.url", "/there?word=value"),
        ("protocol", "http"),
        ("path", "/there"),
    }


async def test_user_and_password_in_the_request_line_are_not_on_the_span(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(Application([("/.*", Hello)]))) as opened:
        await opened.get("http://user:secret@localhost/there")
    assert "secret" not in repr((await only_span(recorder)).tags)


async def test_traced_attributes_become_tags_where_the_request_has_them(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    settings: Any = {"opentracing_traced_attributes": ["uri", "remote_ip", "query", "no_such_attribute", "arguments"]}
    url = servers.start(Application([("/", Hello)], **settings))
    await client.fetch(url)
    await client.fetch(url + "/?a=1")
    plain, query = await settled(recorder, 2)
    assert plain.tags.items() >= {("uri", "/"), ("remote_ip", "127.0.0.1")}
    assert plain.tags.keys().isdisjoint({"query", "no_such_attribute", "arguments"})
    assert query.tags.items() >= {("uri", "/?a=1"), ("query", "a=1"), ("arguments", "{'a': [b'1']}")}


async def test_start_span_cb_may_rename_and_tag_the_span(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    calls: list[tuple[Any, Any]] = []
    found: list[Any] = []

    def name_it(span: Any, request: Any) -> None:
        calls.append((span, request))
        found.append(TornadoTracing.get_span(request))
        span.set_operation_name(f"{request.method} {request.path}")
        span.set_tag("custom", "yes")

    init_tracing(recorder.tracer, start_span_cb=name_it, trace_client=False)
    requests: list[Any] = []

    class Keeping(Hello):
        def prepare(self) -> None:
            assert TornadoTracing.get_span(self) is calls[0][0]
            requests.append(self.request)

    await client.fetch(servers.start(Application([("/", Keeping)])))
    recorded = await only_span(recorder)
    assert (recorded.name, recorded.tags["custom"], recorded.status) == ("GET /", "yes", 200)
    assert isinstance(requests[0], HTTPServerRequest)
    assert [request for _, request in calls] == requests
    assert found == [span for span, _ in calls]


async def test_a_start_span_cb_that_raises_is_logged_and_harmless(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[Any]
) -> None:
    init_tracing(recorder.tracer, start_span_cb=fail, trace_client=False)
    response = await client.fetch(servers.start(Application([("/", Hello)])))
    assert response.body == b"hello"
    span = await only_span(recorder)
    assert span.status == 200
    assert not span.is_error
    assert ["start_span_cb" in record.getMessage() for record in reports] == [True]
    assert reports[0].exc_info[0] is UnhandledError


async def test_get_span_returns_the_span_of_a_request_or_its_handler(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    found: list[Any] = []

    class Asking(RequestHandler):
        def initialize(self) -> None:
            found.append(TornadoTracing.get_span(self.request))

        def get(self) -> None:
            found.extend([TornadoTracing.get_span(self.request), TornadoTracing.get_span(self)])
            handlers.append(self)

    handlers: list[RequestHandler] = []
    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Asking)]))
    await client.fetch(url)
    span = await only_span(recorder)
    assert found[0] is None
    assert [span_id(each) for each in found[1:]] == [span.span_id] * 2
    # Also when all is over.
    assert TornadoTracing.get_span(handlers[0]) is found[1]

    remove_tracing()
    await client.fetch(url)
    assert found[3:] == [None, None, None]


# Whose child it is.


def injected(recorder: Recorder, span: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    recorder.tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    return headers


async def test_the_parent_is_what_the_headers_carry(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    caller = each_recorder.tracer.start_span("caller")
    await client.fetch(servers.start(Application([("/", Hello)])), headers=injected(each_recorder, caller))
    caller.finish()
    spans = await settled(each_recorder, 2)
    parent, span = only(spans, name="caller"), only(spans, name="Hello")
    assert (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)


async def test_baggage_arrives(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, trace_client=False)

    class Baggage(RequestHandler):
        def get(self) -> None:
            span: Any = recorder.tracer.active_span
            self.write(span.get_baggage_item("user"))

    with recorder.tracer.start_span("caller") as caller:
        caller.set_baggage_item("user", "ada")
    response = await client.fetch(servers.start(Application([("/", Baggage)])), headers=injected(recorder, caller))
    assert response.body == b"ada"


async def test_a_request_without_trace_headers_has_a_root_span_even_if_listen_ran_under_a_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    seen: list[int | None] = []

    class Looking(RequestHandler):
        def get(self) -> None:
            seen.append(active_id(each_recorder.tracer))

    with each_recorder.tracer.start_active_span("listening"):
        url = servers.start(Application([("/", Looking)]))
    await client.fetch(url)
    spans = await settled(each_recorder, 2)
    root, span = only(spans, name="listening"), only(spans, name="Looking")
    assert span.parent_id is None
    assert span.trace_id != root.trace_id
    assert seen == [span.span_id]


GARBAGE = {
    "no hex": {"ot-tracer-traceid": "xyz", "ot-tracer-spanid": "1", "traceparent": "00-xyz-1-01"},
    "half": {"ot-tracer-traceid": "1", "traceparent": "00"},
    "empty": {"ot-tracer-traceid": "", "ot-tracer-spanid": "", "traceparent": ""},
    "binary": {"ot-tracer-traceid": "\xff\x80", "ot-tracer-spanid": "\xe9", "traceparent": "\xff"},
    "twice": {"ot-tracer-traceid": "1", "Ot-Tracer-Traceid": "2", "ot-tracer-spanid": "3", "traceparent": "1,2"},
}


@pytest.mark.parametrize("headers", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_in_the_trace_headers_makes_a_root(
    headers: dict[str, str], each_recorder: Recorder, servers: Servers, reports: list[Any]
) -> None:
    init_tracing(each_recorder.tracer)
    async with connection(servers.start(Application([("/", Hello)]))) as opened:
        assert await opened.get("/", *(f"{name}: {value}" for name, value in headers.items())) == (200, "hello")
    span = await only_span(each_recorder)
    assert span.parent_id is None
    assert span.status == 200
    assert not span.is_error


async def test_garbage_in_the_trace_headers_is_logged(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[Any]
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Hello)])), headers=GARBAGE["no hex"])
    assert ["trace headers" in record.getMessage() for record in reports] == [True]
    assert reports[0].exc_info[0] is ValueError


class StrictTracer(KeepingTracer):
    """Raises for headers that are wrong, as the specification has it, but not for those that are not there."""

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002
        if "ot-tracer-traceid" not in carrier:
            return None
        return super().extract(format, carrier)


class PickyTracer(KeepingTracer):
    """Fails in another way for headers that are not there."""

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002
        return super().extract(format, {"ot-tracer-traceid": carrier["ot-tracer-traceid"]})


@pytest.mark.parametrize(
    ("make_tracer", "headers", "logged"),
    [
        (StrictTracer, {}, []),
        (StrictTracer, GARBAGE["half"], [SpanContextCorruptedException]),
        (PickyTracer, {}, [KeyError]),
        (PickyTracer, GARBAGE["half"], [SpanContextCorruptedException]),
    ],
)
async def test_corrupted_headers_are_logged_and_absent_ones_are_not(
    make_tracer: Callable[[], KeepingTracer],
    headers: dict[str, str],
    logged: list[type[Exception]],
    servers: Servers,
    client: AsyncHTTPClient,
    reports: list[Any],
) -> None:
    tracer = make_tracer()
    init_tracing(tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Hello)])), headers=headers)
    assert [record.exc_info[0] for record in reports] == logged
    assert [span.parent_id for span in tracer.finished_spans()] == [None]


async def test_the_carrier_is_a_plain_dict_with_lower_case_names_that_every_codec_can_read(servers: Servers) -> None:
    tracer = KeepingTracer()
    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Hello)]))) as opened:
        await opened.get("/", "X-B3-TraceId: abc", "Tracestate: a=1", "x-other: z", "TRACESTATE: b=2")
    carrier = tracer.carriers[0]
    assert type(carrier) is dict
    assert carrier == {"host": "localhost", "x-b3-traceid": "abc", "tracestate": "a=1,b=2", "x-other": "z"}


# Where it is active.


def watching(tracer: Any, seen: dict[str, int | None], method: Callable[[Any], Any]) -> Application:
    """An Application whose code notes, wherever it runs, which span is active there."""

    def note(where: str) -> None:
        seen[where] = active_id(tracer)

    class Watching(RequestHandler):
        def initialize(self) -> None:
            note("initialize")

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

    return Application([("/", Watching)], log_function=lambda _: note("log_function"))


async def _answer(handler: RequestHandler) -> None:
    await asyncio.sleep(0)


async def _send_error(handler: RequestHandler) -> None:
    handler.send_error(503)


async def _raise_http_error(handler: RequestHandler) -> None:
    raise HTTPError(404)


async def _raise(handler: RequestHandler) -> None:
    await asyncio.sleep(0)
    fail()


ALWAYS = {"prepare", "method", "on_finish", "log_function"}
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
            # The handler is made in the connection's context, which is where a leak would show, at the second request.
            assert seen.pop("initialize") is None
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
        assert seen.pop("initialize") is None
        assert set(seen.values()) == {span.span_id}
        assert set(seen) >= {"prepare", "method", "on_finish", "log_function"} | (
            {"write_error"} if how == "send_error" else set()
        )

        # Neither does it stay with the connection.
        worker = asyncio.ensure_future(work())
        await opened.get()
        await worker
        assert seen["initialize"] is None


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


# What it costs.


def _raise_always(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("the tracer is broken")


def _break_scopes(tracer: Any, patch: pytest.MonkeyPatch) -> None:
    activate = tracer.scope_manager.activate

    def activate_what_will_not_close(span: Any, finish_on_close: bool) -> Any:
        scope = activate(span, finish_on_close)
        close, scope.close = scope.close, lambda: (close(), _raise_always())
        return scope

    patch.setattr(tracer.scope_manager, "activate", activate_what_will_not_close)


BROKEN: dict[str, Callable[[Any, pytest.MonkeyPatch], None]] = {
    "start_span": lambda tracer, patch: patch.setattr(tracer, "start_span", _raise_always),
    "extract": lambda tracer, patch: patch.setattr(tracer, "extract", _raise_always),
    "activate": lambda tracer, patch: patch.setattr(tracer.scope_manager, "activate", _raise_always),
    "close": _break_scopes,
    "set_tag": lambda tracer, patch: patch.setattr(MockSpan, "set_tag", _raise_always),
    "log_kv": lambda tracer, patch: patch.setattr(MockSpan, "log_kv", _raise_always),
    "finish": lambda tracer, patch: patch.setattr(MockSpan, "finish", _raise_always),
}


@pytest.mark.parametrize("handler", [Hello, Raising])
@pytest.mark.parametrize("part", BROKEN)
async def test_a_broken_tracer_does_no_harm(
    part: str,
    handler: type[RequestHandler],
    recorder: Recorder,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[Any],
) -> None:
    async with connection(servers.start(Application([("/", handler)]))) as opened:
        without_tracing = await opened.get()
        init_tracing(recorder.tracer)
        BROKEN[part](recorder.tracer, monkeypatch)
        assert [await opened.get() for _ in range(2)] == [without_tracing] * 2
    assert active_id(recorder.tracer) is None
    if part == "log_kv" and handler is Hello:
        assert reports == []
    else:
        # Once, not for each request.
        assert [record.exc_info[0] for record in reports] == [RuntimeError]
    if part not in ("start_span", "finish"):
        assert len(await settled(recorder, 2)) == 2


class ForgetfulTracer(MockTracer):
    """Keeps nothing, so that what is left is not the tracer's."""

    def __init__(self) -> None:
        super().__init__(ContextVarsScopeManager())
        self.finished = 0

    def _append_finished_span(self, span: Any) -> None:
        self.finished += 1
        span.logs.clear()


class FinishedLater(RequestHandler):
    def get(self) -> None:
        self._auto_finish = False
        asyncio.get_running_loop().call_soon(self.finish)


class Coroutine(RequestHandler):
    @gen.coroutine
    def get(self) -> Any:
        yield gen.moment


class NotFound(RequestHandler):
    async def get(self) -> None:
        raise HTTPError(404)


async def left_behind(
    opened: Connection, path: str, handlers: list[weakref.ref[RequestHandler]]
) -> tuple[int, list[str]]:
    """After some requests: how many handlers live on by themselves, and what a garbage collection finds."""
    await opened.get(path)
    handlers.clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await opened.get(path)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(handlers) == 3
        alive = sum(handler() is not None for handler in handlers)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return alive, sorted(type(each).__qualname__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("path", ["/traced", "/decorated"])
@pytest.mark.parametrize("handler", [Hello, Raising, NotFound, Coroutine, FinishedLater])
async def test_a_request_leaves_no_more_to_the_garbage_collector_than_without_tracing(
    handler: type[RequestHandler], path: str, servers: Servers
) -> None:
    handlers: list[weakref.ref[RequestHandler]] = []
    tracer = ForgetfulTracer()

    def prepare(self: RequestHandler) -> None:
        handlers.append(weakref.ref(self))

    def log_exception(self: RequestHandler, *exc_info: object) -> None:
        """Tornado's logs it, and pytest keeps what is logged."""

    get: Any = handler.get
    plain = type("Plain", (handler,), {"prepare": prepare, "log_exception": log_exception})
    decorated = type("Decorated", (plain,), {"get": TornadoTracing(tracer).trace(get)})
    routes = [("/bare", plain), ("/traced", plain), ("/decorated", decorated)]
    async with connection(servers.start(Application(routes))) as opened:
        remove_tracing()
        bare = await left_behind(opened, "/bare", handlers)
        init_tracing(tracer, trace_all=path == "/traced")
        assert await left_behind(opened, path, handlers) == bare
    assert tracer.finished == 4
