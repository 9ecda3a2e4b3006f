"""``@trace``: single handlers, without ``init_tracing``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
import tornado
from support import MockRecorder, Recorder, Servers, active_id, children, only, span_id
from support.outcomes import OUTCOMES, Outcome, fail
from support.serving import connection, only_span, settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler, authenticated

from tornado_opentracing import (
    TornadoTracing,
    init_client_tracing,
    init_tracing,
    remove_tracing,
    trace,
)

coroutine_keeps_context = pytest.mark.skipif(
    tornado.version_info < (6, 1), reason="gen.coroutine of Tornado 6.0 loses context variables between yields"
)


def decorated(
    handler: type[RequestHandler], decorator: Callable[[Any], Any], method: str = "get"
) -> type[RequestHandler]:
    return type(handler.__name__, (handler,), {method: decorator(getattr(handler, method))})


class Plain(RequestHandler):
    def get(self) -> None:
        self.write("hello")


# The outcomes: as where every request is traced.

TRACED_OUTCOMES = {name: outcome for name, outcome in OUTCOMES.items() if outcome.reaches_method}


@pytest.mark.parametrize("outcome", TRACED_OUTCOMES.values(), ids=TRACED_OUTCOMES)
async def test_a_traced_handler_has_one_finished_span_that_tells_its_outcome(
    outcome: Outcome,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracing = TornadoTracing(each_recorder.tracer)
    handler = decorated(outcome.handler, tracing.trace, outcome.method.lower())
    span = await outcome.of(outcome.application(handler), each_recorder, servers, client)
    outcome.check(span)
    assert span.parent_id is None
    assert "ended span" not in caplog.text


@pytest.mark.parametrize("outcome", TRACED_OUTCOMES.values(), ids=TRACED_OUTCOMES)
async def test_a_traced_handler_has_no_second_span_where_every_request_is_traced(
    outcome: Outcome, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    handler = decorated(outcome.handler, TornadoTracing(recorder.tracer).trace, outcome.method.lower())
    outcome.check(await outcome.of(outcome.application(handler), recorder, servers, client))


async def test_a_handler_that_is_not_decorated_has_no_span(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)
    routes = [("/traced", decorated(Plain, tracing.trace)), ("/plain", Plain)]
    url = servers.start(Application(routes))
    await client.fetch(url + "/plain")
    await client.fetch(url + "/traced")
    assert (await only_span(recorder)).path == "/traced"


async def test_decorated_methods_that_call_each_other_share_one_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(each_recorder.tracer)

    class Nested(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            await self.post()
            assert active_id(each_recorder.tracer) is not None

        @tracing.trace("path")
        async def post(self) -> None:
            await asyncio.sleep(0)

    await client.fetch(servers.start(Application([("/", Nested)])))
    span = await only_span(each_recorder)
    assert (span.name, span.tags["path"]) == ("Nested", "/")


# Among other decorators.


def passing_on(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as they are often written: a plain function, whatever it decorates."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return wrapper


def awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    return wrapper


def scheduling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(method(*args, **kwargs))

    return wrapper


def stacks(trace: Callable[[Any], Any], seen: list[Any], tracer: Any) -> dict[str, Any]:
    """``@trace`` above and below what else may decorate a method."""

    def sync(self: RequestHandler) -> None:
        seen.append(active_id(tracer))

    async def native(self: RequestHandler) -> None:
        seen.append(active_id(tracer))
        await asyncio.sleep(0)
        seen.append(active_id(tracer))

    def generator(self: RequestHandler) -> Any:
        seen.append(active_id(tracer))
        yield gen.moment
        seen.append(active_id(tracer))

    return {
        "sync": trace(sync),
        "async": trace(native),
        "trace above coroutine": trace(gen.coroutine(generator)),
        "trace below coroutine": gen.coroutine(trace(generator)),
        "trace above authenticated sync": trace(authenticated(sync)),
        "trace below authenticated sync": authenticated(trace(sync)),
        "trace above authenticated async": trace(authenticated(native)),
        "trace below authenticated async": authenticated(trace(native)),
        "trace above authenticated coroutine": trace(authenticated(gen.coroutine(generator))),
        "trace below authenticated coroutine": authenticated(trace(gen.coroutine(generator))),
        "trace above wrapper of sync": trace(passing_on(sync)),
        "trace below wrapper of sync": passing_on(trace(sync)),
        "trace above wrapper of async": trace(passing_on(native)),
        "trace below wrapper of async": passing_on(trace(native)),
        "trace above async wrapper of async": trace(awaiting(native)),
        "trace below async wrapper of async": awaiting(trace(native)),
        "trace above async wrapper of coroutine": trace(awaiting(gen.coroutine(generator))),
        "trace above task of async": trace(scheduling(native)),
        "trace below task of async": scheduling(trace(native)),
        "trace below coroutine of wrapper": gen.coroutine(trace(passing_on(generator))),
        "trace between": authenticated(trace(passing_on(gen.coroutine(generator)))),
        "trace twice": trace(trace(native)),
    }


STACKS = list(stacks(lambda method: method, [], None))


@pytest.mark.parametrize(
    "stack", [pytest.param(name, marks=coroutine_keeps_context if "coroutine" in name else ()) for name in STACKS]
)
async def test_trace_may_stand_above_and_below_other_decorators(
    stack: str, each_recorder: Recorder, servers: Servers
) -> None:
    """The span is active in the method from its start to its end, and not in what comes next."""
    tracer = each_recorder.tracer
    seen: list[int | None] = []
    before: list[int | None] = []

    class Decorated(RequestHandler):
        get = stacks(TornadoTracing(tracer).trace, seen, tracer)[stack]

        def initialize(self) -> None:
            before.append(active_id(tracer))

        def get_current_user(self) -> str:
            return "ada"

    async with connection(servers.start(Application([("/", Decorated)]))) as opened:
        assert (await opened.get())[0] == 200
        assert (await opened.get())[0] == 200
    first, second = await settled(each_recorder, 2)
    half = len(seen) // 2
    assert half >= 1
    assert seen == [first.span_id] * half + [second.span_id] * half
    assert before == [None, None]
    assert (first.name, first.status, first.is_error) == ("Decorated", 200, False)


@pytest.mark.parametrize("above", [True, False])
async def test_what_authenticated_refuses_is_traced_if_trace_stands_above_it(
    above: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)

    class Members(RequestHandler):
        async def post(self) -> None:
            raise AssertionError

    def decorator(method: Any) -> Any:
        return tracing.trace(authenticated(method)) if above else authenticated(tracing.trace(method))

    url = servers.start(Application([("/", decorated(Members, decorator, "post"))]))
    response = await client.fetch(url, method="POST", body="", raise_error=False)
    assert response.code == 403
    spans = await settled(recorder, int(above))
    assert [(span.status, span.is_error) for span in spans] == ([(403, False)] if above else [])


async def _native(self: RequestHandler, name: str = "x", *, flag: bool = False) -> None:
    """What it does."""


def _sync(self: RequestHandler, name: str = "x", *, flag: bool = False) -> None:
    """What it does."""


@pytest.mark.parametrize("method", [_native, _sync, gen.coroutine(_sync)])
@pytest.mark.parametrize("how", ["bare", "with names", "module"])
def test_a_decorated_method_looks_like_the_method(method: Any, how: str) -> None:
    tracing = TornadoTracing()
    decorator: Any = {"bare": tracing.trace, "with names": tracing.trace("uri"), "module": trace}[how]
    traced = decorator(method)
    assert traced is not method
    assert inspect.iscoroutinefunction(traced) == inspect.iscoroutinefunction(method)
    assert gen.is_coroutine_function(traced) == gen.is_coroutine_function(method)
    assert inspect.signature(traced) == inspect.signature(method)
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(traced, attribute) == getattr(method, attribute)
    assert traced.__wrapped__ is method


async def test_path_arguments_and_the_result_pass_through(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)
    results: list[Any] = []

    class Passing(RequestHandler):
        @tracing.trace
        async def get(self, number: str, *, word: str) -> None:
            results.extend([await self.double(int(number)), self.shout(word)])

        @tracing.trace
        async def double(self, number: int) -> int:
            return 2 * number

        @tracing.trace
        def shout(self, word: str) -> str:
            return word.upper()

    class Positional(RequestHandler):
        @tracing.trace
        def get(self, *words: str) -> None:
            results.extend(words)

    url = servers.start(Application([(r"/(?P<number>\d)/(?P<word>.)", Passing), (r"/(.)(.)", Positional)]))
    url = url.rstrip("/")
    await client.fetch(url + "/ab")
    assert results == ["a", "b"]
    await settled(recorder)


# The tags it is told to set.


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        (lambda tracing: tracing.trace, {}),
        (lambda tracing: tracing.trace(), {}),
        (lambda tracing: tracing.trace("uri"), {"uri": "/"}),
        (lambda tracing: tracing.trace("uri", "method"), {"uri": "/", "method": "GET"}),
        (lambda tracing: tracing.trace(["uri", "method"]), {"uri": "/", "method": "GET"}),
        (lambda tracing: tracing.trace(("uri", "missing")), {"uri": "/"}),
        (lambda tracing: tracing.trace([]), {}),
        (lambda tracing: trace, {}),
        (lambda tracing: trace("uri", "method"), {"uri": "/", "method": "GET"}),
        (lambda tracing: trace(["uri"]), {"uri": "/"}),
    ],
    ids=["bare", "called", "name", "names", "list", "tuple", "empty list", "module", "module names", "module list"],
)
@pytest.mark.parametrize("trace_all", [False, True], ids=["alone", "under trace-all"])
async def test_trace_takes_names_of_attributes_to_set_as_tags(
    decorator: Callable[[TornadoTracing], Any],
    expected: dict[str, str],
    trace_all: bool,
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    """Where every request is traced there is one span all the same, and it has the tags."""
    opentracing.set_global_tracer(recorder.tracer)
    if trace_all:
        init_tracing(recorder.tracer, trace_client=False)
    handler = decorated(Plain, decorator(TornadoTracing(recorder.tracer)))
    await client.fetch(servers.start(Application([("/", handler)])))
    span = await only_span(recorder)
    assert {name: span.tags[name] for name in ("uri", "method", "missing") if name in span.tags} == expected
    assert span.tags.keys() >= {"component", "span.kind", "http.method", "http.url", "http.status_code"}


@pytest.mark.parametrize("arguments", [(1,), ("uri", 1), (["uri", 1],), (["uri"], "method"), (None,)])
def test_what_is_no_name_is_refused_when_decorating(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="@trace"):
        TornadoTracing().trace(*arguments)
    with pytest.raises(TypeError, match="@trace"):
        trace(*arguments)


async def test_trace_uses_the_options_of_its_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    calls: list[tuple[Any, Any]] = []

    def name_it(span: Any, request: Any) -> None:
        calls.append((span, request))
        span.set_operation_name("renamed")

    tracing = TornadoTracing(recorder.tracer, name_it, traced_attributes=["path"])
    await client.fetch(servers.start(Application([("/", decorated(Plain, tracing.trace("method")))])))
    span = await only_span(recorder)
    assert (span.name, span.tags["path"], span.tags["method"]) == ("renamed", "/", "GET")
    assert len(calls) == 1
    assert TornadoTracing.get_span(calls[0][1]) is calls[0][0]


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


# Where the span is active, and when it ends.


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


# Misuse.


def _plain_function(*args: Any) -> None:
    raise AssertionError


async def _plain_coroutine_function(*args: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("function", [_plain_function, _plain_coroutine_function])
@pytest.mark.parametrize("decorator", [lambda: trace, lambda: trace("uri"), lambda: TornadoTracing().trace])
@pytest.mark.parametrize("argument", ["a string", object(), None])
async def test_trace_on_something_else_than_a_handler_method_is_a_type_error_when_called(
    function: Any, decorator: Callable[[], Any], argument: object
) -> None:
    traced = decorator()(function)
    with pytest.raises(TypeError, match=rf"@trace is for methods of .*RequestHandler.*{function.__name__}"):
        await traced(argument)


@pytest.mark.parametrize("function", [_plain_function, _plain_coroutine_function])
async def test_a_function_called_without_arguments_is_a_type_error_too(function: Any) -> None:
    with pytest.raises(TypeError):
        await trace(function)()


# Which tracer.


async def served_by(handler: type[RequestHandler], servers: Servers, client: AsyncHTTPClient, **settings: Any) -> None:
    await client.fetch(servers.start(Application([("/", handler)], **settings)))


class ByModule(RequestHandler):
    @trace
    async def get(self) -> None:
        await asyncio.sleep(0)


async def test_the_modules_trace_uses_the_global_tracer_without_init_tracing(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    opentracing.set_global_tracer(each_recorder.tracer)
    await served_by(ByModule, servers, client)
    assert (await only_span(each_recorder)).name == "ByModule"


async def test_the_modules_trace_uses_the_tracer_of_init_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    opentracing.set_global_tracer(MockRecorder().tracer)
    init_tracing(recorder.tracer, trace_all=False, trace_client=False)
    await served_by(ByModule, servers, client)
    assert (await only_span(recorder)).name == "ByModule"


@pytest.mark.parametrize("initialised", [True, False], ids=["init_tracing", "without init_tracing"])
async def test_the_modules_trace_uses_the_tracer_of_the_application(
    initialised: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    others = MockRecorder()
    opentracing.set_global_tracer(others.tracer)
    if initialised:
        init_tracing(others.tracer, trace_all=False, trace_client=False)
    await served_by(ByModule, servers, client, opentracing_tracing=TornadoTracing(recorder.tracer, trace_client=False))
    assert (await only_span(recorder)).name == "ByModule"
    assert others.finished == []


async def test_a_tracing_without_a_tracer_uses_the_global_one_of_the_time(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    handler = decorated(Plain, TornadoTracing().trace)
    opentracing.set_global_tracer(recorder.tracer)
    await served_by(handler, servers, client)
    assert (await only_span(recorder)).name == "Plain"


async def test_a_traced_handler_keeps_its_tracer_where_all_are_not_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    others = MockRecorder()
    init_tracing(others.tracer, trace_all=False, trace_client=False)
    await served_by(decorated(Plain, TornadoTracing(recorder.tracer).trace), servers, client)
    assert (await only_span(recorder)).name == "Plain"
    assert others.finished == []


# Where ``init_tracing`` comes and goes.


@pytest.mark.parametrize("outcome", ["FinishedByTask-GET-200", "AsyncRaises-GET-500", "Coroutine-GET-200"])
async def test_a_traced_handler_is_still_traced_after_remove_tracing(
    outcome: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    expected = OUTCOMES[outcome]
    handler = decorated(expected.handler, TornadoTracing(each_recorder.tracer).trace)
    init_tracing(each_recorder.tracer, trace_client=False)
    remove_tracing()
    expected.check(await expected.of(expected.application(handler), each_recorder, servers, client))


async def test_a_traced_request_that_runs_during_remove_tracing_still_has_one_finished_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Removing(RequestHandler):
        @TornadoTracing(each_recorder.tracer).trace
        async def get(self) -> None:
            remove_tracing()
            await asyncio.sleep(0)

    assert (await client.fetch(servers.start(Application([("/", Removing)])))).code == 200
    assert (await only_span(each_recorder)).status == 200


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
