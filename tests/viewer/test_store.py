# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is kept where there is no room for all, and what the list knows without a look at the spans."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import pytest
from opentracing import Format
from support import Servers
from support.serving import connection, until
from tornado.web import RequestHandler
from viewer.serving import PREFIX, Plain, get, serve, spans

from tornado_opentracing.viewer import RecordingTracer, _pages, _trace, _tree


def roots(tracer: RecordingTracer) -> set[str]:
    return {str(trace.spans[0].operation_name) for trace in tracer.traces()}


def test_quick_and_successful_traces_go_first_and_what_runs_never() -> None:
    tracer = RecordingTracer(max_traces=20)
    running = tracer.start_span("running")
    tracer.start_span("slow", start_time=1).finish(3)
    with pytest.raises(ValueError, match="no"), tracer.start_active_span("failed"):
        raise ValueError("no")
    for _ in range(200):
        tracer.start_span("quick").finish()
    assert len(tracer.traces()) == 20
    assert roots(tracer) == {"running", "slow", "failed", "quick"}
    for _ in range(200):
        tracer.start_span("slower", start_time=1).finish(9)
    assert roots(tracer) == {"running", "failed", "slower"}
    tracer.start_span("later", child_of=running).finish()
    (trace,) = [trace for trace in tracer.traces() if trace.trace_id == running.context.trace_id]
    assert [span.operation_name for span in trace.spans] == ["running", "later"]


def test_what_runs_stays_where_nothing_else_is_left_to_go() -> None:
    """What there is no room for is not kept, nor are its children, and it is counted."""
    tracer = RecordingTracer(max_bytes=20_000)
    running = [tracer.start_span(f"running {number}") for number in range(100)]
    kept = roots(tracer)
    assert 5 < len(kept) < 25
    assert tracer.refused == 100 - len(kept)
    running[0].finish()
    tracer.start_span("child", child_of=running[-1]).finish()
    assert "child" not in roots(tracer)
    tracer.start_span("other").finish()
    assert kept - roots(tracer) == {"running 0"}
    assert "other" in roots(tracer)


@pytest.mark.parametrize("kind", ["one trace", "long URLs", "baggage", "tags", "logs", "unfinished"])
def test_memory_stays_within_its_bytes_whatever_is_sent(kind: str) -> None:
    most = 2_000_000
    tracer = RecordingTracer(max_bytes=most, max_spans_per_trace=10**6)
    baggage = ",".join(f"{number}={'x' * 90}" for number in range(80))

    def send(number: int) -> None:
        trace_id = 1 if kind == "one trace" else number + 1
        headers = {"traceparent": f"00-{trace_id:032x}-{1:016x}-01", "baggage": baggage if kind == "baggage" else ""}
        parent = tracer.extract(Format.HTTP_HEADERS, headers)
        tags = {"http.url": f"/{number}" + "x" * 9000} if kind == "long URLs" else {"span.kind": "server"}
        span = tracer.start_span("Page", child_of=parent, tags=tags)
        for entry in range(100 * (kind in {"tags", "logs"})):
            if kind == "tags":
                span.set_tag(f"tag {entry} {number}", f"{entry} {number}")
            else:
                span.log_kv({"event": f"{entry} {number}"})
        if kind != "unfinished":
            span.finish()

    send(0)  # and have what Python keeps of its own
    tracer.reset()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, 200 if kind in {"tags", "logs", "baggage"} else 3000):
            send(number)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert most / 10 < taken < most


def test_a_spans_error_status_and_exception_are_never_what_is_dropped(tracer: RecordingTracer) -> None:
    span = tracer.start_span("work", tags={f"tag {number}": "x" * 9000 for number in range(100)})
    for number in range(200):
        span.log_kv({"event": "note", "text": "x" * 9000})
        span.log_kv({"event": "error", "error.kind": "ValueError", "error.object": ValueError(number)})
    span.set_tag("more", 1).set_tag("error", True).set_tag("http.status_code", 500).finish()
    assert (span.tags["error"], span.tags["http.status_code"], "more" in span.tags) == (True, 500, False)
    assert span.logs[-1].key_values["message" if "message" in span.logs[-1].key_values else "error.object"] == "199"
    assert span.size < 200_000
    assert span.dropped > 400
    assert tracer.traces()[0].errors == 1


def test_a_tag_that_is_set_again_and_again_takes_no_more_room(tracer: RecordingTracer) -> None:
    span = tracer.start_span("work")
    for number in range(10_000):
        span.set_tag("progress", f"{number:05} of 10000")
    assert (span.tags["progress"], span.dropped) == ("09999 of 10000", 0)
    assert span.size < 2000


def test_no_tree_is_built_and_no_span_looked_at_for_a_list(
    tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracer.start_active_span("Page", tags={"http.url": "/a?b", "span.kind": "server"}) as scope:
        for number in range(5):
            tracer.for_service("stock").start_span("child", child_of=scope.span, tags={"error": number < 2}).finish()
        scope.span.set_tag("http.status_code", 503).set_tag("error", True).set_tag("error", False)
    monkeypatch.delattr(_tree, "build")
    monkeypatch.delattr(type(tracer.traces()[0]), "spans")
    found: Any = _pages.summary_of(tracer.traces()[0])
    assert (found.operation, found.path, found.status) == ("Page", "/a", "503")
    assert (found.spans, found.errors, found.is_open, found.services) == (6, 2, False, ["shop", "stock"])


def test_a_parent_that_comes_after_its_child_gives_the_trace_its_name(tracer: RecordingTracer) -> None:
    headers = {"traceparent": f"00-{1:032x}-{2:016x}-01"}
    parent: Any = tracer.extract(Format.HTTP_HEADERS, headers)
    child = tracer.start_span("child", child_of=parent, start_time=1)
    assert tracer.traces()[0].first is child
    late = tracer.start_span("parent", child_of=parent, start_time=2)
    assert tracer.traces()[0].first is child
    late.context.span_id = 2
    (trace,) = tracer.traces()
    trace.add(late)
    assert trace.first.operation_name == "parent"


def test_a_finalizer_may_finish_a_span_in_the_middle_of_anything(
    tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the collector has it, which runs whenever something is made."""
    waiting = [tracer.start_span("left to the collector") for _ in range(3)]
    add = _trace.Trace.add

    def collect(self: Any, span: Any) -> None:
        waiting.pop().finish()
        add(self, span)
        if len(waiting) == 2:
            tracer.start_span("of the finalizer's own").finish()

    monkeypatch.setattr(_trace.Trace, "add", collect)
    thread = threading.Thread(target=lambda: tracer.start_span("work").finish(), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert [trace.running for trace in tracer.traces()] == [0, 0, 0, 0, 1]


class Waits(RequestHandler):
    async def get(self) -> None:
        with self.settings["tracer"].start_active_span("fetch", tags={"span.kind": "client", "http.status_code": 200}):
            self.settings["entered"].append(self)
        await until(lambda: self.settings["left"])
        self.write("too late")


async def test_the_status_is_that_of_the_first_server_span_and_who_left_has_none(
    servers: Servers, tracer: RecordingTracer
) -> None:
    from tornado.web import Application

    from tornado_opentracing import init_tracing

    init_tracing(tracer, trace_client=False)
    settings: dict[str, Any] = {"tracer": tracer, "entered": [], "left": []}
    url = servers.start(Application([("/", Waits), ("/plain", Plain)], **settings))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: settings["entered"])
        (trace,) = tracer.traces()
        assert (trace.status, trace.running, trace.has_left) == ("", 1, False)
    settings["left"].append(True)
    await until(lambda: not trace.running)
    assert (trace.status, trace.has_left) == ("", True)
    await get(f"{url}/plain")
    await until(lambda: len(tracer.traces()) == 2 and not tracer.traces()[0].running)
    assert (tracer.traces()[0].status, tracer.traces()[0].has_left) == ("200", False)
    assert len(spans(tracer)) == 3
    assert (await get(f"{serve(servers, tracer)}{PREFIX}")).code == 200
