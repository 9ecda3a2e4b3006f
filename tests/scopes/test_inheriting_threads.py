# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Threads that start with a copy of their starter's context, as Python 3.14 can have it.

A pool's thread then has, for as long as it lives, what was active where the pool was first needed.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, active_id, only, span_id
from support.serving import ask, settled
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextThreadPoolExecutor, TornadoTracing, current_tracer, init_tracing

INHERITS = bool(getattr(sys.flags, "thread_inherit_context", False))

variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable", default=None)

every_pool = pytest.mark.parametrize("make_pool", [ThreadPoolExecutor, ContextThreadPoolExecutor])


def in_thread(pool: Executor, function: Callable[..., Any], *args: Any) -> Any:
    return IOLoop.current().run_in_executor(pool, function, *args)


@pytest.mark.skipif(sys.version_info < (3, 14) or INHERITS, reason="only Python 3.14 and later can have it either way")
def test_what_holds_of_threads_holds_where_they_inherit_a_context() -> None:
    """These tests and those of executors, in a Python that is told so."""
    here = Path(__file__)
    # What becomes of an application's variables, and that a plain pool is given the bare function, is different there.
    others = "not no_other_context_variable and not function_is_untouched and not never_patched"
    command = [sys.executable, "-X", "thread_inherit_context=1", "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    run = subprocess.run(
        [*command, "-k", others, str(here), str(here.with_name("test_executor.py"))],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


@every_pool
async def test_a_pools_thread_shows_nobody_the_span_within_which_it_was_started(
    each_recorder: Recorder, make_pool: Callable[[int], Executor]
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    with make_pool(1) as pool:
        with tracer.start_active_span("first") as scope:
            assert await in_thread(pool, active_id, tracer) == span_id(scope.span)
        assert await in_thread(pool, active_id, tracer) is None
        with tracer.start_active_span("second") as scope:
            assert await in_thread(pool, active_id, tracer) == span_id(scope.span)
        assert await in_thread(pool, active_id, tracer) is None


@every_pool
async def test_a_pools_thread_knows_nothing_of_the_request_that_started_it(
    each_recorder: Recorder, servers: Servers, make_pool: Callable[[int], Executor]
) -> None:
    """Two applications, each with a tracer of its own, and code outside of both."""
    other = MockRecorder()
    init_tracing()
    pool = make_pool(1)

    def look() -> tuple[Any, Any, Any]:
        return current_tracer(), active_id(each_recorder.tracer), active_id(other.tracer)

    seen: list[Any] = []

    class Looking(RequestHandler):
        async def get(self) -> None:
            seen.append(await in_thread(pool, look))

    # A span's id and that of the shim's spans come from one recorder each.
    for recorder in (each_recorder, other):
        tracing = TornadoTracing(recorder.tracer)
        url = servers.start(Application([("/", Looking)], opentracing_tracing=tracing))
        assert (await ask(url, "/"))[0] == 200
    ours, theirs = only(await settled(each_recorder)), only(await settled(other))
    assert seen == [(each_recorder.tracer, ours.span_id, None), (other.tracer, None, theirs.span_id)]
    outside: Any = contextvars.Context().run(in_thread, pool, look)
    assert await outside == (current_tracer(), None, None)
    pool.shutdown()


async def test_a_context_pools_thread_keeps_nothing_of_whoever_started_it(recorder: Recorder) -> None:
    class Value:
        pass

    with ContextThreadPoolExecutor(1) as pool:

        def start() -> Any:
            value = Value()
            variable.set(value)
            future = pool.submit(lambda: variable.get() is not None)
            assert future.result(10)
            return weakref.ref(value)

        kept = contextvars.copy_context().run(start)
        assert pool.submit(variable.get).result(10) is None  # the thread has let go of the call before
        gc.collect()
        assert kept() is None


async def test_a_call_carries_its_span_once(each_recorder: Recorder) -> None:
    """What the call closes in the thread is closed there: below it nothing is found a second time."""
    tracer = each_recorder.tracer
    init_tracing(tracer)

    def child() -> None:
        with tracer.start_active_span("child"):
            with tracer.start_active_span("grandchild"):
                pass
            with tracer.start_active_span("second grandchild"):
                pass

    for make_pool in (ThreadPoolExecutor, ContextThreadPoolExecutor):
        with make_pool(1) as pool, tracer.start_active_span("caller") as scope:
            for _ in range(2):
                await in_thread(pool, child)
                assert await in_thread(pool, active_id, tracer) == span_id(scope.span)
            await asyncio.to_thread(child)
    spans = each_recorder.finished
    callers = {span.span_id for span in spans if span.name == "caller"}
    parents = {span.span_id for span in spans if span.name == "child"}
    assert [span.parent_id in callers for span in spans if span.name == "child"] == [True] * 6
    assert [span.parent_id in parents for span in spans if "grandchild" in span.name] == [True] * 12
    assert len({span.span_id for span in spans}) == len(spans) == 20


@pytest.mark.skipif(not INHERITS, reason="this Python's threads start with nothing")
async def test_a_thread_of_ones_own_inherits_the_active_span(each_recorder: Recorder) -> None:
    """Also when it goes on after the span is over; nothing that it does is seen where it was started."""
    tracer = each_recorder.tracer
    go_on = threading.Event()
    found: list[int | None] = []

    def work() -> None:
        found.append(active_id(tracer))
        with tracer.start_active_span("inner"):
            go_on.wait(10)

    with tracer.start_active_span("starter") as scope:
        thread = threading.Thread(target=work)
        thread.start()
        assert active_id(tracer) == span_id(scope.span)
    assert active_id(tracer) is None
    go_on.set()
    await asyncio.get_running_loop().run_in_executor(None, functools.partial(thread.join, 10))
    starter, inner = (only(each_recorder.finished, name=name) for name in ("starter", "inner"))
    assert found == [starter.span_id]
    assert inner.parent_id == starter.span_id
