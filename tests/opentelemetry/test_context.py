# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One context with OpenTelemetry: what either has active, the other sees."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.trace import SpanKind
from support import Servers
from support.otel import OpenTelemetry, parent_of, shop
from support.serving import until
from tornado.httpclient import AsyncHTTPClient

from tornado_opentracing import init_tracing


@pytest.mark.parametrize("instrumentor", [SQLite3Instrumentor, HTTPXClientInstrumentor])
async def test_what_other_instrumentations_open_in_a_handler_are_children_of_its_span(
    otel: OpenTelemetry, servers: Servers, instrumentor: Any
) -> None:
    instrumentor().instrument(tracer_provider=otel.provider)
    try:
        init_tracing(otel.tracer)
        plain = shop(servers, OpenTelemetry())
        item = "database" if instrumentor is SQLite3Instrumentor else "httpx"
        await AsyncHTTPClient().fetch(f"{shop(servers, otel, plain)}/{item}")
    finally:
        instrumentor().uninstrument()
    await until(lambda: len(otel.finished) >= (3 if item == "database" else 4))
    theirs = [span for span in otel.finished if span.instrumentation_scope.name != "tornado_opentracing"]
    handlers = {span.context.span_id: span for span in otel.finished if span.kind is SpanKind.SERVER}
    assert theirs
    for span in theirs:
        assert handlers[parent_of(span)].attributes["url.path"] == f"/{item}"
    if item == "httpx":
        # And the request that it sent goes on with that trace.
        assert len({span.context.trace_id for span in otel.finished}) == 1
        assert [s for s in otel.finished if parent_of(s) == theirs[0].context.span_id]


async def test_fetches_in_a_span_of_opentelemetry_are_its_children(
    otel: OpenTelemetry, servers: Servers, url: str
) -> None:
    await AsyncHTTPClient().fetch(f"{shop(servers, otel, url)}/around")
    await until(lambda: len(otel.finished) >= 9)
    (around,) = [span for span in otel.finished if span.name == "around"]
    fetches = [span for span in otel.finished if parent_of(span) == around.context.span_id]
    assert [span.kind for span in fetches] == [SpanKind.CLIENT] * 3
    handlers = {span.context.span_id: span for span in otel.finished if span.kind is SpanKind.SERVER}
    assert handlers[parent_of(around)].attributes["url.path"] == "/around"


def test_the_active_span_is_the_same_in_both(otel: OpenTelemetry) -> None:
    theirs = otel.provider.get_tracer("app")
    with otel.tracer.start_active_span("a") as a:
        assert trace.get_current_span() is a.span.unwrap()
        with theirs.start_as_current_span("b") as b:
            active: Any = otel.tracer.active_span
            assert active.unwrap() is b
            active.set_tag("seen", True)
            with otel.tracer.start_active_span("c") as c:
                assert trace.get_current_span() is c.span.unwrap()
            assert trace.get_current_span() is b
            # Only OpenTelemetry ends what OpenTelemetry began.
            otel.tracer.scope_manager.active.close()
            assert b.is_recording()
        assert otel.tracer.scope_manager.active is a
    assert otel.tracer.active_span is None
    c_, b_, a_ = otel.finished
    assert (parent_of(c_), parent_of(b_), parent_of(a_)) == (b_.context.span_id, a_.context.span_id, None)
    assert b_.attributes == {"seen": True}


def test_a_scope_closed_under_a_span_of_opentelemetry_ends_its_span_at_once(otel: OpenTelemetry) -> None:
    outer = otel.tracer.start_active_span("outer")
    scope = otel.tracer.start_active_span("a")
    with otel.provider.get_tracer("app").start_as_current_span("b") as b:
        scope.close()
        assert [span.name for span in otel.finished] == ["a"]
        assert trace.get_current_span() is b
    assert otel.tracer.scope_manager.active is outer
    outer.close()
    assert otel.tracer.active_span is None


def test_ignore_active_span_is_honoured(otel: OpenTelemetry) -> None:
    parent = otel.tracer.start_span("parent").set_baggage_item("user", "ada")
    with otel.tracer.start_active_span("a", child_of=parent):
        assert baggage.get_all() == {"user": "ada"}
        with otel.tracer.start_active_span("b", ignore_active_span=True) as b:
            assert b.span.context.baggage == baggage.get_all() == {}
        otel.tracer.start_span("c", ignore_active_span=True).finish()
    assert len({span.context.trace_id for span in otel.finished}) == 3
