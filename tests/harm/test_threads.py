# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What several threads touch at once is right afterwards, and nothing of it is lost or done twice.

What an ordinary Python cannot interleave, one without its global lock can: there these promises rest on locks, and on
what dictionaries, lists and context variables promise of a single operation.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import MockRecorder
from support.scopes import CountingSpan
from tornado.web import Application

from tornado_opentracing import (
    ContextVarsScopeManager,
    TornadoTracing,
    current_tracer,
    init_tracing,
    no_parent_scope,
    remove_tracing,
)
from tornado_opentracing._guard import report
from tornado_opentracing.viewer import RecordingTracer, _pages

pytestmark = pytest.mark.usefixtures("busy_threads")

THREADS = 4


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread, all beginning together."""
    together = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        together.wait(20)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(run, work) for work in works]]


def test_a_failure_in_many_threads_is_logged_once_and_every_other_one_is_counted(
    reports: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    each = 50

    def fail_once(doing: str) -> None:
        try:
            raise ValueError("oops")
        except ValueError:
            report(doing)

    def fail(doing: str) -> None:
        for _ in range(each):
            fail_once(doing)

    for number in range(40):
        at_once(*[functools.partial(fail, f"failing {number}")] * THREADS)
        assert len(reports) == number + 1
    # A minute later each says how many there were.
    monkeypatch.setattr("tornado_opentracing._guard.time.monotonic", lambda: float("inf"))
    for number in range(40):
        fail_once(f"failing {number}")
        found = re.search(r"\((\d+) more", reports[-1].getMessage())
        assert found is not None
        assert int(found[1]) == THREADS * each - 1


@pytest.mark.parametrize("order", ["below first", "above first"])
def test_scopes_that_threads_close_at_once_finish_each_span_once(order: str) -> None:
    """In contexts that inherited them; below and above, so that one may have to wait for the other."""
    manager = ContextVarsScopeManager()
    for _ in range(1000):
        spans = [CountingSpan(name) for name in "abc"]
        scopes = [manager.activate(span, True) for span in spans]
        if order == "above first":
            scopes.reverse()
        at_once(*[functools.partial(contextvars.copy_context().run, scope.close) for scope in scopes])
        assert [span.finishes for span in spans] == [1, 1, 1]
        assert manager.active is None


def test_one_scope_that_threads_close_at_once_finishes_its_span_once() -> None:
    manager = ContextVarsScopeManager()
    for _ in range(500):
        span = CountingSpan()
        scope = manager.activate(span, True)
        at_once(*[functools.partial(contextvars.copy_context().run, scope.close) for _ in range(THREADS)])
        assert span.finishes == 1
        assert manager.active is None


def test_the_recorder_keeps_what_threads_record_while_others_look() -> None:
    tracer = RecordingTracer(max_traces=50, max_spans_per_trace=2000)
    over = threading.Event()
    shared = tracer.start_span("shared")

    def record() -> None:
        for number in range(300):
            with tracer.start_active_span("root", ignore_active_span=True), tracer.start_active_span("child") as scope:
                scope.span.set_tag(f"tag {number}", number).log_kv({"event": number})
            tracer.start_span("of all", child_of=shared).finish()
            shared.set_tag(f"tag {number % 90}", number)
            shared.log_kv({"event": number})
            shared.set_baggage_item(f"item {number % 50}", "value")

    def look() -> int:
        looks = 0
        while not over.is_set():
            for trace in tracer.traces():
                assert _pages.as_json(trace)
            for trace in tracer.traces():
                assert trace.dropped or trace.spans
            looks += 1
        return looks

    def record_all() -> None:
        try:
            at_once(*[record] * THREADS)
        finally:
            over.set()

    looks = at_once(record_all, look)[1]
    assert looks > 0
    traces = tracer.traces()
    assert len(traces) == 50
    # Where a root's trace was already gone, its child's began anew.
    names = {tuple(span.operation_name for span in t.spans) for t in traces if t.trace_id != shared.context.trace_id}
    assert names <= {("root", "child"), ("child",)}
    assert all(span.finished for trace in traces for span in trace.spans if span.operation_name != "shared")


def test_a_trace_that_threads_share_has_every_span_of_theirs() -> None:
    tracer = RecordingTracer()
    root = tracer.start_span("root")

    def record() -> None:
        for _ in range(200):
            tracer.start_span("child", child_of=root).finish()

    at_once(*[record] * THREADS)
    (trace,) = tracer.traces()
    assert (len(trace.spans), trace.dropped) == (1 + THREADS * 200, 0)
    assert len({span.context.span_id for span in trace.spans}) == len(trace.spans)
    assert tracer.version == 1 + THREADS * 200 * 2


def test_applications_that_threads_build_while_tracing_is_switched_are_all_known() -> None:
    """The hooks, and what is known of Applications."""

    def build() -> list[Application]:
        return [Application([], opentracing_tracing=TornadoTracing(MockRecorder().tracer)) for _ in range(50)]

    def switch() -> None:
        for _ in range(50):
            init_tracing()
            remove_tracing()

    originals = Application.__init__
    for _ in range(5):
        at_once(build, build, switch, switch)
        remove_tracing()
        assert Application.__init__ is originals
    init_tracing()
    built = [app for made in at_once(*[build] * THREADS) for app in made]
    tracers = [app.settings["opentracing_tracing"].tracer for app in built]
    assert current_tracer() in tracers


def test_nothing_is_active_within_no_parent_scope_while_threads_open_and_close() -> None:
    manager = ContextVarsScopeManager()

    def work() -> None:
        for _ in range(200):
            with manager.activate(CountingSpan("outer"), True) as outer:
                with no_parent_scope():
                    assert manager.active is None
                assert manager.active is outer

    at_once(*[work] * THREADS)
