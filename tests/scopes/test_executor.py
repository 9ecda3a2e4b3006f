# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Threads: what they run for a caller sees the caller's active span, and leaves nothing behind for the next."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import multiprocessing
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, active_id, children, only, span_id
from support.outcomes import UnhandledError
from support.serving import settled
from tornado.concurrent import run_on_executor
from tornado.httpclient import AsyncHTTPClient, HTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextThreadPoolExecutor, init_client_tracing, init_tracing, remove_tracing

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def pool() -> Iterator[ContextThreadPoolExecutor]:
    """One thread, so that each call follows the other on it."""
    with ContextThreadPoolExecutor(max_workers=1) as made:
        yield made


@pytest.fixture
def plain_pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as made:
        yield made


def by_tornado(executor: Executor | None) -> Run:
    return functools.partial(IOLoop.current().run_in_executor, executor)


def by_asyncio(executor: Executor | None) -> Run:
    return functools.partial(asyncio.get_running_loop().run_in_executor, executor)


def by_decorator(executor: Executor | None) -> Run:
    class Owner:
        def __init__(self) -> None:
            self.executor = executor

        @run_on_executor
        def run(self, function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

    made: Run = Owner().run
    return made


def by_named_decorator(executor: Executor | None) -> Run:
    class Owner:
        def __init__(self) -> None:
            self.threads = executor

        @run_on_executor(executor="threads")
        def run(self, function: Callable[..., Any], *args: Any) -> Any:
            return function(*args)

    made: Run = Owner().run
    return made


def by_submit(executor: Any) -> Run:
    def run(function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        return asyncio.wrap_future(executor.submit(function, *args))

    return run


def by_map(executor: Any) -> Run:
    def run(function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        results = (
            executor.map(function, *([argument] for argument in args))
            if args
            else executor.map(lambda _: function(), [None])
        )
        return asyncio.get_running_loop().run_in_executor(None, lambda: next(results))

    return run


EVERY_WAY = [by_tornado, by_asyncio, by_decorator, by_named_decorator, by_submit, by_map]
every_way = pytest.mark.parametrize("way", EVERY_WAY)

# The pools that IOLoop.run_in_executor is given, once init_tracing ran.


def default_pool() -> None:
    return None


class OwnPool(ThreadPoolExecutor):
    """A pool of the application's."""


ANY_POOL: list[Callable[[], Any]] = [
    default_pool,
    functools.partial(ThreadPoolExecutor, 1),
    functools.partial(OwnPool, 1),
    functools.partial(ContextThreadPoolExecutor, 1),
]
any_pool = pytest.mark.parametrize(
    "make_pool", ANY_POOL, ids=["default", "ThreadPoolExecutor", "subclass", "ContextThreadPoolExecutor"]
)


def in_thread(tracer: Any) -> int | None:
    """What is active in a thread."""
    assert threading.current_thread() is not threading.main_thread()
    return active_id(tracer)


def child_in_thread(tracer: Any) -> None:
    with tracer.start_active_span("thread"):
        pass


@every_way
async def test_the_callers_active_span_is_active_in_the_thread(
    each_recorder: Recorder, pool: ContextThreadPoolExecutor, way: Callable[[Executor], Run]
) -> None:
    """Without ``init_tracing``: the executor alone does it."""
    tracer = each_recorder.tracer
    run = way(pool)
    for name in ("first", "second"):
        with tracer.start_active_span(name) as scope:
            assert await run(in_thread, tracer) == span_id(scope.span)
            await run(child_in_thread, tracer)
    assert await run(in_thread, tracer) is None
    for name in ("first", "second"):
        only(children(each_recorder.finished, only(each_recorder.finished, name=name)), name="thread")
    assert len(each_recorder.finished) == 4


@any_pool
async def test_ioloop_run_in_executor_carries_the_active_span_into_any_thread_pool(
    each_recorder: Recorder, make_pool: Callable[[], Any]
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    made = make_pool()
    run = by_tornado(made)
    for name in ("first", "second"):
        with tracer.start_active_span(name) as scope:
            assert await run(in_thread, tracer) == span_id(scope.span)
            await run(child_in_thread, tracer)
    assert await run(in_thread, tracer) is None
    for name in ("first", "second"):
        only(children(each_recorder.finished, only(each_recorder.finished, name=name)), name="thread")
    if made is not None:
        made.shutdown()


async def test_calls_at_once_each_see_their_own_callers_span(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    together = threading.Barrier(3)

    def meet() -> int | None:
        together.wait(5)
        return active_id(tracer)

    async def caller(name: str, run: Run) -> bool:
        with tracer.start_active_span(name) as scope:
            return bool(await run(meet) == span_id(scope.span))

    with ContextThreadPoolExecutor(3) as carrying, ThreadPoolExecutor(3) as plain:
        for run in (by_asyncio(carrying), by_tornado(plain)):
            assert all(await asyncio.gather(*(caller(name, run) for name in "abc")))


# What a call leaves behind.


@every_way
async def test_a_span_left_open_in_the_thread_never_leaks_into_the_next_call(
    each_recorder: Recorder, pool: ContextThreadPoolExecutor, way: Callable[[Executor], Run]
) -> None:
    await never_leaks(each_recorder, way(pool))


@any_pool
async def test_a_span_left_open_in_any_thread_pool_never_leaks_into_the_next_call_of_a_caller_with_a_span(
    each_recorder: Recorder, make_pool: Callable[[], Any]
) -> None:
    init_tracing(each_recorder.tracer)
    made = make_pool()
    if made is None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await never_leaks(each_recorder, by_tornado(made))
    if made is not None:
        made.shutdown()


async def never_leaks(recorder: Recorder, run: Run) -> None:
    tracer = recorder.tracer
    kept = []  # OpenTelemetry's shim closes a scope that nobody refers to

    def leave_open() -> None:
        kept.append(tracer.scope_manager.activate(tracer.start_span("left"), True))

    with tracer.start_active_span("caller") as scope:
        for _ in range(2):
            await run(leave_open)
            assert await run(in_thread, tracer) == span_id(scope.span)
        assert active_id(tracer) == span_id(scope.span)
    assert await run(in_thread, tracer) is None


async def test_a_context_variable_set_in_the_thread_never_leaks_into_the_next_call(
    pool: ContextThreadPoolExecutor,
) -> None:
    token = variable.set("caller's")
    assert await by_asyncio(pool)(variable.get) == "caller's"
    await by_asyncio(pool)(variable.set, "thread's")
    assert await by_asyncio(pool)(variable.get) == "caller's"
    variable.reset(token)
    assert await by_asyncio(pool)(variable.get) == "unset"


async def test_a_plain_pool_is_given_the_span_but_no_other_context_variable(
    recorder: Recorder, plain_pool: ThreadPoolExecutor
) -> None:
    """What the application's own context variables do there is as without tracing."""
    init_tracing(recorder.tracer)
    variable.set("caller's")
    with recorder.tracer.start_active_span("caller"):
        assert await by_tornado(plain_pool)(variable.get) == "unset"
        await by_tornado(plain_pool)(variable.set, "thread's")
        assert await by_tornado(plain_pool)(variable.get) == "thread's"


# What a call is given and gives.


@every_way
async def test_results_and_exceptions_come_through(
    recorder: Recorder, pool: ContextThreadPoolExecutor, way: Callable[[Executor], Run]
) -> None:
    error = UnhandledError("oops")

    def fail(*args: Any) -> None:
        raise error

    run = way(pool)
    init_tracing(recorder.tracer)
    with recorder.tracer.start_active_span("caller") as scope:
        assert await run(divmod, 7, 2) == (3, 1)
        with pytest.raises(UnhandledError) as raised:
            await run(fail)
        assert raised.value is error
        assert await run(in_thread, recorder.tracer) == span_id(scope.span)


@any_pool
async def test_results_and_exceptions_come_through_any_pool(recorder: Recorder, make_pool: Callable[[], Any]) -> None:
    error = UnhandledError("oops")

    def fail(*args: Any) -> None:
        raise error

    init_tracing(recorder.tracer)
    made = make_pool()
    run = by_tornado(made)
    with recorder.tracer.start_active_span("caller") as scope:
        assert await run(divmod, 7, 2) == (3, 1)
        assert await run(functools.partial(int, base=16), "ff") == 255
        with pytest.raises(UnhandledError) as raised:
            await run(fail)
        assert raised.value is error
        assert await run(in_thread, recorder.tracer) == span_id(scope.span)
    if made is not None:
        made.shutdown()


def test_submit_hands_on_every_kind_of_argument(pool: ContextThreadPoolExecutor) -> None:
    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    names = {"fn": 1, "self": 2, "callable": 3, "context": 4, "args": 5, "kwargs": 6}
    assert pool.submit(function, 1, 2, **names).result() == ((1, 2), names)
    assert pool.submit(function).result() == ((), {})


def test_map_runs_each_call_in_a_context_of_its_own(recorder: Recorder, pool: ContextThreadPoolExecutor) -> None:
    tracer = recorder.tracer

    def leave_open(number: int) -> tuple[int, int | None]:
        found = active_id(tracer)
        tracer.scope_manager.activate(tracer.start_span("left"), True)
        return number, found

    with tracer.start_active_span("caller") as scope:
        results = list(pool.map(leave_open, range(3)))
    assert results == [(number, span_id(scope.span)) for number in range(3)]


def test_the_executor_takes_the_arguments_of_its_base_class() -> None:
    initialized: list[str] = []
    with ContextThreadPoolExecutor(1, "mine", initialized.append, ("yes",)) as pool:
        assert pool.submit(lambda: threading.current_thread().name).result().startswith("mine")
        assert isinstance(pool.submit(int), Future)
    assert initialized == ["yes"]
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_a_call_that_was_submitted_can_be_cancelled(pool: ContextThreadPoolExecutor) -> None:
    release = threading.Event()
    running = pool.submit(release.wait, 5)
    waiting = pool.submit(int)
    assert waiting.cancel()
    release.set()
    assert running.result()


# What is left alone.


class Keeping(ThreadPoolExecutor):
    """Keeps what it was asked to run."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(fn)
        return super().submit(fn, *args, **kwargs)


class NoThreads(Executor):
    """Runs everything at once, in the caller's own thread and context."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(fn)
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


async def test_without_an_active_span_the_function_is_untouched(recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    with Keeping() as pool:
        assert await by_tornado(pool)(abs, -1) == 1
        assert pool.asked == [abs]


@pytest.mark.parametrize("tracing", ["never", "client only", "removed"])
async def test_without_tracing_the_function_is_untouched(recorder: Recorder, tracing: str) -> None:
    if tracing == "client only":
        init_client_tracing(recorder.tracer)
    elif tracing == "removed":
        init_tracing(recorder.tracer)
        remove_tracing()
    with Keeping() as pool, recorder.tracer.start_active_span("caller"):
        assert await by_tornado(pool)(abs, -1) == 1
        assert pool.asked == [abs]


async def test_an_executor_without_threads_is_left_alone(recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    pool = NoThreads()
    with recorder.tracer.start_active_span("caller"):
        assert await by_tornado(pool)(abs, -1) == 1
    assert pool.asked == [abs]


async def test_process_pools_work_untouched(recorder: Recorder) -> None:
    """A function with a span around it could not be sent to another process."""
    init_tracing(recorder.tracer)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool, recorder.tracer.start_active_span("caller"):
        assert await by_tornado(pool)(math.factorial, 5) == 120
        assert await by_asyncio(pool)(math.factorial, 4) == 24


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="asyncio takes no pool of processes as its default any more")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_default_pool_of_processes_works_untouched(recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        executor: Any = pool
        asyncio.get_running_loop().set_default_executor(executor)
        with recorder.tracer.start_active_span("caller"):
            assert await by_tornado(None)(math.factorial, 5) == 120


async def test_asyncios_own_run_in_executor_is_never_patched(
    recorder: Recorder, plain_pool: ThreadPoolExecutor
) -> None:
    """It needs the executor of this package."""
    init_tracing(recorder.tracer)
    with recorder.tracer.start_active_span("caller"):
        assert await by_asyncio(plain_pool)(in_thread, recorder.tracer) is None


# In a request.


@pytest.mark.parametrize("way", [by_tornado, by_asyncio, by_decorator])
async def test_what_a_handler_runs_in_a_thread_belongs_to_its_request(
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    pool: ContextThreadPoolExecutor,
    way: Callable[[Executor], Run],
) -> None:
    tracer = each_recorder.tracer
    behind = servers.start(Application([("/", RequestHandler)], opentracing_trace_all=False))

    def work() -> None:
        child_in_thread(tracer)
        client = HTTPClient()
        client.fetch(f"{behind}/", raise_error=False)
        client.close()

    class Works(RequestHandler):
        async def get(self) -> None:
            await way(pool)(work)

    url = servers.start(Application([("/", Works)]))
    init_tracing(tracer)
    await asyncio.gather(client.fetch(url), client.fetch(url))
    spans = await settled(each_recorder, 8)
    requests = [span for span in spans if span.name == "Works"]
    assert len(requests) == 2
    for request in requests:
        assert {span.name for span in children(spans, request)} == {"thread", "GET"}


@any_pool
async def test_what_a_thread_does_for_a_request_is_traced_by_that_requests_application(
    servers: Servers, client: AsyncHTTPClient, make_pool: Callable[[], Any]
) -> None:
    mine, theirs = MockRecorder(), MockRecorder()
    made = make_pool()
    behind = servers.start(Application([("/", RequestHandler)], opentracing_trace_all=False))

    def fetch() -> None:
        client = HTTPClient()
        client.fetch(f"{behind}/", raise_error=False)
        client.close()

    class Works(RequestHandler):
        async def get(self) -> None:
            await IOLoop.current().run_in_executor(made, fetch)

    settings: Any = {"opentracing_tracer_callable": lambda: mine.tracer, "opentracing_trace_client": True}
    init_tracing(theirs.tracer, trace_client=False)
    url = servers.start(Application([("/", Works)], **settings))
    await client.fetch(url)
    spans = await settled(mine, 2)
    only(children(spans, only(spans, name="Works")), kind="client")
    assert theirs.finished == []
    if made is not None:
        made.shutdown()
