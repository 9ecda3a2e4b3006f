# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``accept_parent``: whether a request may choose its trace, its sampling and its baggage."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.shim.opentracing_shim import create_tracer
from support import Recorder, Servers, ShimRecorder
from support.serving import connection, only_span, settled
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, current_tracer, init_tracing
from tornado_opentracing import opentelemetry as bridge

THEIR_TRACE, THEIR_SPAN = 0x11111111111111111111111111111111, 0x2222222222222222
THEIRS = [
    f"Traceparent: 00-{THEIR_TRACE:032x}-{THEIR_SPAN:016x}-01",
    "Tracestate: theirs=1",
    "Baggage: user=them",
    f"Ot-Tracer-TraceId: {THEIR_TRACE:x}",
    f"Ot-Tracer-SpanId: {THEIR_SPAN:x}",
    "Ot-Baggage-User: them",
]
FOUND: list[Any] = []


class Inner(RequestHandler):
    def get(self) -> None:
        tracer = current_tracer()
        with tracer.start_active_span("inner") as scope:
            FOUND.append((dict(scope.span.context.baggage or {}), dict(baggage.get_all())))


@pytest.fixture(autouse=True)
def _nothing_found() -> None:
    FOUND.clear()


async def get(servers: Servers, *headers: str, **settings: Any) -> None:
    async with connection(servers.start(Application([("/", Inner)], **settings))) as opened:
        assert (await opened.get("/", *headers))[0] == 200


async def test_by_default_the_parent_is_accepted(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    await get(servers, *THEIRS)
    span = (await settled(each_recorder, 2))[1]
    assert (span.trace_id, span.parent_id) == (THEIR_TRACE, THEIR_SPAN)


@pytest.mark.parametrize("level", ["init", "setting"])
async def test_a_parent_that_is_not_accepted_leaves_nothing_but_a_reference(
    level: str, each_recorder: Recorder, servers: Servers
) -> None:
    is_setting = level == "setting"
    init_tracing(each_recorder.tracer, accept_parent=is_setting)
    await get(servers, *THEIRS, **({"opentracing_accept_parent": False} if is_setting else {}))
    inner, span = await settled(each_recorder, 2)
    assert span.trace_id != THEIR_TRACE
    assert span.parent_id is None
    assert (inner.trace_id, inner.parent_id) == (span.trace_id, span.span_id)
    assert FOUND == [({}, {})], "no baggage"
    if not isinstance(each_recorder, ShimRecorder):  # tracers that take a reference for a parent
        assert span.tags["follows_from"] == f"ot-tracer-traceid={THEIR_TRACE:x}; ot-tracer-spanid={THEIR_SPAN:x}"


@pytest.mark.parametrize("make_tracer", [create_tracer, bridge.create_tracer])
async def test_in_opentelemetry_it_is_a_link_from_the_start(make_tracer: Any, servers: Servers) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    init_tracing(make_tracer(provider), accept_parent=False)
    await get(servers, *THEIRS)
    await get(servers)
    without, with_link = sorted(
        (span for span in exporter.get_finished_spans() if span.name in ("Inner", "GET /")),
        key=lambda span: len(span.links),
    )
    (link,) = with_link.links
    assert (link.context.trace_id, link.context.span_id) == (THEIR_TRACE, THEIR_SPAN)
    assert with_link.parent is without.parent is None
    assert not without.links


async def test_where_there_is_none_there_is_no_reference(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer, accept_parent=False)
    await get(servers)
    span = (await settled(each_recorder, 2))[1]
    assert span.parent_id is None
    assert "follows_from" not in span.tags


@pytest.mark.parametrize(
    ("header", "is_accepted"), [("X-Inside: 1", True), ("X-Inside:", False), ("X-Other: 1", False)]
)
async def test_a_function_of_the_request_may_decide(
    header: str, is_accepted: bool, each_recorder: Recorder, servers: Servers
) -> None:
    """Any true answer accepts; ``None``, say, does not."""

    def accept(request: HTTPServerRequest) -> object:
        return request.headers.get("X-Inside")

    init_tracing(each_recorder.tracer, accept_parent=accept)
    await get(servers, *THEIRS, header)
    span = (await settled(each_recorder, 2))[1]
    assert (span.trace_id == THEIR_TRACE) is is_accepted
    assert (span.parent_id == THEIR_SPAN) is is_accepted


class _Undecided:
    def __bool__(self) -> bool:
        raise ArithmeticError

    def __await__(self) -> Any:
        yield


def fails(request: HTTPServerRequest) -> bool:
    raise ArithmeticError


@pytest.mark.parametrize("broken", [fails, lambda request: _Undecided()])
async def test_where_it_has_no_answer_the_parent_is_not_accepted(
    broken: Any, each_recorder: Recorder, servers: Servers, reports: list[logging.LogRecord]
) -> None:
    init_tracing(each_recorder.tracer, accept_parent=broken)
    await get(servers, *THEIRS)
    assert (await settled(each_recorder, 2))[1].trace_id != THEIR_TRACE
    assert [report.args for report in reports] == [("accept_parent",)]


async def test_the_decorators_requests_are_no_exception(each_recorder: Recorder, servers: Servers) -> None:
    class Decorated(RequestHandler):
        @TornadoTracing(each_recorder.tracer, accept_parent=False).trace
        def get(self) -> None:
            pass

    async with connection(servers.start(Application([("/", Decorated)]))) as opened:
        assert (await opened.get("/", *THEIRS))[0] == 200
    span = await only_span(each_recorder)
    assert (span.parent_id, span.trace_id == THEIR_TRACE) == (None, False)
