# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Of the trace headers that an application forwards, none goes out beside those of the fetch's own span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator
from opentracing import Format
from opentracing.mocktracer import MockTracer
from support import MockRecorder, Recorder, Servers, ShimRecorder
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_client_tracing
from tornado_opentracing._spans import trace_headers
from tornado_opentracing.viewer import RecordingTracer

#: What somebody else's trace may have in its headers.
THEIRS = {
    "Traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
    "tracestate": "theirs=1",
    "BAGGAGE": "user=them",
    "X-B3-TraceId": "11111111111111111111111111111111",
    "X-B3-ParentSpanId": "3333333333333333",
    "x-b3-flags": "1",
    "B3": "0",
    "uber-trace-id": "1:2:3:1",
    "Uberctx-user": "them",
    "Ot-Tracer-TraceId": "999",
    "ot-tracer-sampled": "true",
    "OT-Baggage-User": "them",
    "X-Request-Id": "7",
}
#: By what a tracer writes: what of theirs is not sent beside it.
FAMILIES = {
    "traceparent": {"tracestate", "baggage"},
    "ot-tracer-traceid": {"ot-tracer-sampled", "ot-baggage-user"},
}
ASKED: list[HTTPServerRequest] = []


class Leaf(RequestHandler):
    def get(self) -> None:
        ASKED.append(self.request)


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    ASKED.clear()


async def sent(
    servers: Servers, client: AsyncHTTPClient, headers: Mapping[str, str], **settings: Any
) -> dict[str, list[str]]:
    """The headers of a fetch as the server sees them, by lower-case names."""
    await client.fetch(servers.start(Application([("/", Leaf)], **settings)), headers=headers)
    return {name.lower(): ASKED[-1].headers.get_list(name) for name in ASKED[-1].headers}


@pytest.mark.parametrize("kind", [dict, HTTPHeaders])
async def test_what_a_tracer_would_write_is_not_sent_of_somebody_elses(
    kind: Any, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_client_tracing(each_recorder.tracer)
    headers = kind(THEIRS)
    found = await sent(servers, client, headers)
    own = "traceparent" if isinstance(each_recorder, ShimRecorder) else "ot-tracer-traceid"
    (value,) = found[own]
    assert value not in THEIRS.values()
    assert not FAMILIES[own] & found.keys()
    assert found["x-request-id"] == ["7"]
    assert found["uber-trace-id"] == ["1:2:3:1"], "is none of the tracer's business"
    assert headers == kind(THEIRS), "the caller's own headers are the caller's"


async def test_the_viewers_tracer_sends_no_others_tracestate(servers: Servers, client: AsyncHTTPClient) -> None:
    init_client_tracing(RecordingTracer())
    found = await sent(servers, client, THEIRS)
    assert found["traceparent"] != [THEIRS["Traceparent"]]
    assert not {"tracestate", "baggage"} & found.keys()


class B3(TextMapPropagator):
    """OpenTelemetry's own does not name the parent's either."""

    fields = {"x-b3-traceid", "x-b3-spanid"}  # noqa: RUF012

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        found = trace.get_current_span(context).get_span_context()
        carrier["X-B3-TraceId"], carrier["X-B3-SpanId"] = f"{found.trace_id:032x}", f"{found.span_id:016x}"

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        return context


@pytest.fixture
def b3() -> Iterator[None]:
    before = get_global_textmap()
    set_global_textmap(B3())
    yield
    set_global_textmap(before)


@pytest.mark.usefixtures("b3")
@pytest.mark.parametrize("headers", [THEIRS, {"x-B3-parentSPANid": "3"}])
async def test_of_opentelemetrys_tracers_the_global_propagator_tells(
    headers: dict[str, str], servers: Servers, client: AsyncHTTPClient
) -> None:
    recorder = ShimRecorder()
    init_client_tracing(recorder.tracer)
    found = await sent(servers, client, headers)
    assert len(found["x-b3-traceid"]) == 1
    assert not {"x-b3-parentspanid", "x-b3-flags", "b3"} & found.keys()


class _OnlyAtTimes(TextMapPropagator):
    """Writes nothing now, and would write more than it does."""

    fields = {"x-acme-trace", "x-acme-parent"}  # noqa: RUF012

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        pass

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        return context


async def test_the_propagators_fields_count_whatever_it_writes_now(servers: Servers, client: AsyncHTTPClient) -> None:
    before = get_global_textmap()
    set_global_textmap(_OnlyAtTimes())
    try:
        init_client_tracing(ShimRecorder().tracer)
        found = await sent(servers, client, {"X-ACME-Parent": "3", "X-Acme-Other": "4"})
    finally:
        set_global_textmap(before)
    assert "x-acme-parent" not in found
    assert found["x-acme-other"] == ["4"]


class _Acme:
    """The headers of a tracer that nobody knows: it writes a parent where there is one."""

    def inject(self, span_context: Any, carrier: Any) -> None:
        carrier["X-Acme-Trace"] = "1"
        if span_context.baggage:
            carrier["X-Acme-Parent"] = "2"

    def extract(self, carrier: Any) -> Any:
        return None


async def test_of_other_tracers_what_they_were_ever_seen_to_write_counts(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    class Tracer(type(MockRecorder().tracer)):  # type: ignore[misc]
        pass

    tracer = Tracer(ContextVarsScopeManager())
    tracer.register_propagator(Format.HTTP_HEADERS, _Acme())
    with_baggage = [True, False]

    def callback(span: Any, request: HTTPRequest) -> None:
        if with_baggage.pop(0):
            span.set_baggage_item("a", "b")

    init_client_tracing(tracer, callback)
    assert (await sent(servers, client, {}))["x-acme-parent"] == ["2"]
    found = await sent(servers, client, {"x-acme-PARENT": "3", "X-Acme-Other": "4"})
    assert found["x-acme-trace"] == ["1"]
    assert "x-acme-parent" not in found
    assert found["x-acme-other"] == ["4"]


async def test_what_is_remembered_of_names_from_outside_is_bounded(servers: Servers, client: AsyncHTTPClient) -> None:
    count = [0]

    def callback(span: Any, request: HTTPRequest) -> None:
        for _ in range(100):
            count[0] += 1
            span.set_baggage_item(f"i{count[0]}", "")

    recorder = MockRecorder()
    init_client_tracing(recorder.tracer, callback)
    url = servers.start(Application([("/", Leaf)]))
    for _ in range(20):
        await client.fetch(url)
    assert len(trace_headers.known[type(recorder.tracer)].names) <= 512


async def test_when_no_more_is_remembered_a_header_is_not_sent_twice_either(
    servers: Servers, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_headers.Written, "_MOST", 0)
    monkeypatch.setattr(trace_headers, "known", {})
    tracer: Any = MockTracer(ContextVarsScopeManager())
    tracer.register_propagator(Format.HTTP_HEADERS, _Acme())
    init_client_tracing(tracer)
    assert (await sent(servers, client, {"x-ACME-trace": "9"}))["x-acme-trace"] == ["1"]
