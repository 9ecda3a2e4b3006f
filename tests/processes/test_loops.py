# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Event loops, as many as there may be: in threads, and one after the other.

Each program runs under asyncio's own event loop and under uvloop's, where that is installed.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opentracing
import pytest
from support import RECORDERS, MockRecorder, Recorder, active_id
from support.loops import LEAVES, NewLoop, application, check_tree, each_loop, run, serving
from support.serving import connection, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.platform.asyncio import BaseAsyncIOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_tracing, no_parent_scope, remove_tracing

HOOKED: tuple[Callable[[], Any], ...] = (
    lambda: RequestHandler._execute,
    lambda: RequestHandler.finish,
    lambda: AsyncHTTPClient.fetch,
    lambda: Application.__init__,
    lambda: BaseAsyncIOLoop.run_in_executor,
)


def depth(function: Any) -> int:
    """How many layers are wrapped around a function."""
    return 0 if not hasattr(function, "__wrapped__") else 1 + depth(function.__wrapped__)


# Threads.


@each_loop
@pytest.mark.parametrize("stack", RECORDERS)
def test_loops_in_threads_keep_their_traces_apart(stack: str, new_loop: NewLoop) -> None:
    """Each thread has an event loop, an Application and a tracer of its own."""
    threads, rounds = 4, 5
    init_tracing()
    everywhere = threading.Barrier(threads)

    async def main() -> None:
        recorder = RECORDERS[stack]()
        app = application(recorder.tracer, opentracing_tracing=TornadoTracing(recorder.tracer))
        async with serving(app) as url, connection(url) as opened:
            everywhere.wait(10)
            for _ in range(rounds):
                seen = len(recorder.finished)
                assert await opened.get("/tree") == (200, "leaf")
                spans = (await settled(recorder, seen + 2 + 2 * LEAVES))[seen:]
                assert len(spans) == 2 + 2 * LEAVES
                check_tree(spans, spans)
            assert active_id(recorder.tracer) is None

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(run, new_loop, main()) for _ in range(threads)]:
            future.result(30)


@each_loop
def test_a_trace_goes_through_the_loops_of_several_threads(each_recorder: Recorder, new_loop: NewLoop) -> None:
    """One tracer for all; each thread's handler fetches from the next thread."""
    threads = 3
    init_tracing(each_recorder.tracer)
    urls: dict[int, str] = {}
    everywhere = threading.Barrier(threads)
    is_over = threading.Barrier(threads)

    async def main(number: int) -> None:
        async with serving(application(each_recorder.tracer)) as url, connection(url) as opened:
            urls[number] = url
            everywhere.wait(10)
            assert await opened.get(f"/tree?beyond={urls[(number + 1) % threads]}/leaf") == (200, "leaf")
            # The event loop has to run on for the others.
            await asyncio.get_running_loop().run_in_executor(None, is_over.wait, 10)

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(run, new_loop, main(number)) for number in range(threads)]:
            future.result(30)
    spans = each_recorder.finished
    assert each_recorder.unfinished == 0
    assert len(spans) == threads * (2 + 2 * LEAVES)
    for tree in [span for span in spans if span.name == "Tree"]:
        trace = [span for span in spans if span.trace_id == tree.trace_id]
        check_tree(trace, trace)


@each_loop
def test_tracing_is_switched_while_other_threads_serve(reports: list[Any], new_loop: NewLoop) -> None:
    """Whatever the moment, requests are answered, and every span that was started is finished once."""
    recorder = MockRecorder()
    is_over = threading.Event()

    async def main() -> None:
        async with serving(application(recorder.tracer)) as url, connection(url) as opened:
            while not is_over.is_set():
                assert await opened.get("/tree") == (200, "leaf")

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run, new_loop, main()) for _ in range(2)]
        try:
            for _ in range(100):
                init_tracing(recorder.tracer)
                is_over.wait(0.002)
                remove_tracing()
        finally:
            is_over.set()
        for future in futures:
            future.result(30)
    assert not reports
    assert recorder.unfinished == 0
    assert len(recorder.finished) == len({span.span_id for span in recorder.finished})


def test_a_context_without_parent_is_there_while_other_threads_make_tracers(busy_threads: None) -> None:
    """It looks at all the tracers that there are. Not too many: each costs it a little time."""

    def work() -> list[ContextVarsScopeManager]:
        return [ContextVarsScopeManager() for _ in range(200)]

    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            futures = [pool.submit(work) for _ in range(2)]
            while not all(future.done() for future in futures):
                with no_parent_scope():
                    pass


def test_several_threads_that_initialise_tracing_at_once_install_it_once(busy_threads: None) -> None:
    tracer = opentracing.Tracer(ContextVarsScopeManager())
    originals = [function() for function in HOOKED]
    assert [depth(original) for original in originals] == [0] * len(HOOKED)
    everywhere = threading.Barrier(4)

    def work() -> None:
        everywhere.wait(10)
        init_tracing(tracer)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            for future in [pool.submit(work) for _ in range(4)]:
                future.result(10)
            assert [depth(function()) for function in HOOKED] == [1] * len(HOOKED)
            remove_tracing()
            assert [function() for function in HOOKED] == originals


# One after the other.


async def everything(url: str) -> None:
    """A request of each kind."""
    async with connection(url) as opened:
        assert await opened.get("/tree") == (200, "leaf")
        opened.send("POST /upload HTTP/1.1\nHost: localhost\nContent-Length: 5\n\nhello")
        assert await opened.answer() == (200, "5")
    async with connection(url) as opened:  # closed while the request is on its way
        opened.send("POST /upload HTTP/1.1\nHost: localhost\nContent-Length: 9\n\nhello")
    websocket = await websocket_connect(url.replace("http", "ws") + "/echo")
    await websocket.write_message("hello")
    assert await websocket.read_message() == "hello"
    websocket.close()
    assert await websocket.read_message() is None


@pytest.fixture
def collected() -> None:
    """What earlier tests left is not looked at: pytest-asyncio 1.0 does not close its first loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.set_event_loop(None)
        gc.collect()


def population() -> dict[str, int]:
    """How many objects there are of the kinds that a request makes."""
    gc.collect()
    kinds = ("Context", "ContextVar", "Task", "HTTPServerRequest", "RequestSpan", "ClientSpan", "EventSpan", "_Scope")
    names = [type(thing).__name__ for thing in gc.get_objects()]
    return {kind: names.count(kind) for kind in kinds}


@pytest.mark.usefixtures("collected")
@each_loop
def test_loops_one_after_the_other_leave_nothing_behind(new_loop: NewLoop) -> None:
    """No task, no context, no span, and no layer of hooks more than after the first."""
    tracer = opentracing.Tracer(ContextVarsScopeManager())

    async def main() -> None:
        init_tracing(tracer, trace_websocket_messages=True)
        async with serving(application(tracer)) as url:
            await everything(url)

    for _ in range(3):
        run(new_loop, main())
    before = population()
    for _ in range(20):
        run(new_loop, main())
    assert population() == before
    assert [depth(function()) for function in HOOKED] == [1] * len(HOOKED)


@pytest.mark.usefixtures("collected")
@each_loop
def test_tracing_that_is_removed_after_each_loop_leaves_nothing_behind(new_loop: NewLoop) -> None:
    """Each loop has a tracer of its own, and none is remembered."""

    async def main() -> None:
        tracer = opentracing.Tracer(ContextVarsScopeManager())
        init_tracing(tracer)
        async with serving(application(tracer)) as url:
            await everything(url)
        remove_tracing()

    originals = [function() for function in HOOKED]
    assert [depth(original) for original in originals] == [0] * len(HOOKED)
    run(new_loop, main())
    before = population()
    for _ in range(5):
        run(new_loop, main())
    assert population() == before
    assert [function() for function in HOOKED] == originals
