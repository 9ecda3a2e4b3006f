# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans that run in another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import Servers
from support.serving import until
from viewer.serving import receive

from tornado_opentracing.viewer import RecordingTracer, _export, _receiver, _remote
from tornado_opentracing.viewer._otlp_in import decode
from tornado_opentracing.viewer._otlp_out import encode
from tornado_opentracing.viewer._span import RecordedSpan


@pytest.fixture
def tracer() -> RecordingTracer:
    """Where the traces are shown."""
    return RecordingTracer()


@pytest.fixture
def sender(
    tracer: RecordingTracer, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], RecordingTracer]]:
    """Makes a tracer that stands for one of another process."""
    monkeypatch.setattr(_export, "_RUNNING_INTERVAL", 0.05)
    made: list[RecordingTracer] = []

    def make() -> RecordingTracer:
        made.append(RecordingTracer(service="shop", export_to=receive(servers, tracer)))
        return made[0]

    yield make
    for each in made:
        each.close()


def shown(tracer: RecordingTracer, span: RecordedSpan) -> RecordedSpan | None:
    ids: Any = span.context
    return tracer._store.find(ids.trace_id, ids.span_id)


async def test_what_runs_in_another_process_is_shown_as_it_goes_on_and_as_it_ends(
    tracer: RecordingTracer, sender: Callable[[], RecordingTracer]
) -> None:
    span = sender().start_span("Page", tags={"span.kind": "server"}, start_time=time.time() - 2)
    await until(lambda: shown(tracer, span) is not None)
    (trace,) = tracer.traces()
    (found,) = trace.spans
    assert (found.finished, found.start_time, found.service) == (False, span.start_time, "shop")
    assert found.tags == span.tags
    assert (trace.running, trace.server) == (1, found)
    span.log_kv({"event": "half way"})
    await until(lambda: len(found.logs) == 1)
    span.set_tag("error", True)
    span.finish()
    await until(lambda: found.finished)
    assert (found.finish_time, found.tags, trace.spans) == (span.finish_time, span.tags, [found])
    assert (trace.running, trace.errors, trace.end) == (0, 1, span.finish_time)


async def test_a_process_that_is_gone_leaves_nothing_running(
    tracer: RecordingTracer, sender: Callable[[], RecordingTracer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_remote, _receiver):
        monkeypatch.setattr(module, "BELIEVED", 0.3)
    gone = sender()
    span = gone.start_span("Page", start_time=time.time() - 2)
    await until(lambda: shown(tracer, span) is not None)
    found = shown(tracer, span)
    assert found is not None
    assert gone._exporter is not None
    gone._exporter.pause()
    await until(lambda: found.finished)
    assert found.tags == {"unfinished": True}
    assert span.start_time < found.finish_time <= time.time()
    assert (tracer.traces()[0].running, tracer._store.elsewhere) == (0, {})
    # It was only held up: what it says in the end is right.
    span.finish()
    gone._exporter.go_on()
    await until(lambda: not found.tags)
    assert (found.finish_time, found.finished) == (span.finish_time, True)
    assert tracer.traces()[0].running == 0


async def test_what_ran_when_a_process_was_forked_is_not_told_of_by_the_child(
    tracer: RecordingTracer, sender: Callable[[], RecordingTracer]
) -> None:
    forked = sender()
    of_parent = forked.start_span("of the parent")
    assert forked._exporter is not None
    forked._exporter.pause()
    forked._exporter.leave()
    of_child = forked.start_span("of the child")
    await until(lambda: shown(tracer, of_child) is not None)
    assert shown(tracer, of_parent) is None


def test_what_runs_in_this_process_is_never_what_somebody_else_says_of_it(tracer: RecordingTracer) -> None:
    """As where a tracer sends its spans to its own viewer."""
    of_here = tracer.start_span("of here", start_time=time.time() - 2)
    for are_running in (True, False):
        message = encode([of_here], are_running=are_running)
        assert _remote.record(tracer._store, decode(message)) == (1, 0)
    assert (of_here.finished, of_here.tags, tracer._store.elsewhere) == (False, {}, {})
    of_here.finish()
    assert [span.finished for span in tracer.traces()[0].spans] == [True]


def test_what_there_is_no_room_for_is_not_kept_as_running() -> None:
    full = RecordingTracer(max_spans_per_trace=1)
    kept = full.start_span("kept")
    other = RecordingTracer(export_to="").start_span("no room", child_of=kept)
    assert _remote.record(full._store, decode(encode([other], are_running=True))) == (1, 0)
    assert full.traces()[0].dropped == 1
    assert full._store.elsewhere == {}
