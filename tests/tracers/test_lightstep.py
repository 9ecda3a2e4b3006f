# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``lightstep``, with a collector of the test's own."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import Any

import pytest
from support import Servers
from support.serving import settled, until
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler
from tracers.guarantees import Greeting, Guarantees, TracerRecorder
from tracers.test_basictracer import read

from tornado_opentracing import ContextVarsScopeManager, init_tracing

# It holds code that an old protobuf generated.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from lightstep import Tracer
    from lightstep.collector_pb2 import ReportRequest, ReportResponse


def make_recorder(port: int = 1, **kwargs: Any) -> TracerRecorder:
    """A tracer that sends to the collector at a port, if there is one, and remembers what it took for sending."""
    taken: list[Any] = []
    tracer = Tracer(
        component_name="shop",
        collector_host="127.0.0.1",
        collector_port=port,
        collector_encryption="none",
        periodic_flush_seconds=3600,
        **kwargs,
    )
    record_span = tracer.recorder.record_span

    def record(span: Any) -> None:
        record_span(span)
        taken.append(span)

    tracer.recorder.record_span = record
    return TracerRecorder(tracer, lambda: taken, read)


class TestLightstep(Guarantees):
    corrupt_header = ("ot-tracer-traceid", "nonsense")

    def make_recorder(self, **kwargs: Any) -> TracerRecorder:
        return make_recorder(**kwargs)


async def test_its_spans_reach_the_collector(servers: Servers) -> None:
    received = []

    class Collector(RequestHandler):
        def post(self) -> None:
            received.extend(ReportRequest.FromString(self.request.body).spans)
            self.write(ReportResponse().SerializeToString())

    collector = servers.start(Application([("/api/v2/reports", Collector)], opentracing_excluded_paths=["/api/.*"]))
    recorder = make_recorder(int(collector.rpartition(":")[2]), scope_manager=ContextVarsScopeManager())
    init_tracing(recorder.tracer)
    await AsyncHTTPClient().fetch(servers.start(Application([("/", Greeting)])))
    await settled(recorder, 2)
    # Its thread and the test both flush; neither may have come first.
    while len(received) < 2:
        await asyncio.to_thread(recorder.tracer.flush)
    handler, fetch = sorted(received, key=lambda span: span.operation_name, reverse=True)
    assert (handler.operation_name, fetch.operation_name) == ("Greeting", "GET")
    assert handler.references[0].span_context.span_id == fetch.span_context.span_id
    assert {tag.key: tag.string_value for tag in handler.tags}["http.status_code"] == "200"


async def test_a_caller_s_trace_id_of_128_bits_costs_the_span_and_not_the_request(
    servers: Servers, reports: list[logging.LogRecord]
) -> None:
    recorder = make_recorder(scope_manager=ContextVarsScopeManager())
    init_tracing(recorder.tracer, trace_client=False)
    headers = {"ot-tracer-traceid": "1" * 32, "ot-tracer-spanid": "1" * 16, "ot-tracer-sampled": "true"}
    url = servers.start(Application([("/", Greeting)]))
    response = await AsyncHTTPClient().fetch(url, headers=headers)
    assert response.body == b"hello"
    await until(lambda: reports)
    assert [report.getMessage().partition(";")[0] for report in reports] == ["finishing a span failed"]
    assert not recorder.finished
