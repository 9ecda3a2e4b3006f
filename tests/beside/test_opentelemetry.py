# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``opentelemetry-instrumentation-tornado``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record
from support.zero_code import ZeroCode, exported, of_kind


class OpenTelemetry(Peer):
    """It takes off its own wrappers where they are on top, and leaves them where they are not."""

    headers: ClassVar = {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"}

    def switch_on(self) -> None:
        from opentelemetry.instrumentation.tornado import TornadoInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.instrumentor = TornadoInstrumentor()
        self.instrumentor.instrument(tracer_provider=provider)

    def switch_off(self) -> None:
        self.instrumentor.uninstrument()

    def take_records(self) -> list[Record]:
        spans = self.exporter.get_finished_spans()
        self.exporter.clear()
        names = {SPAN_ID: "caller"} | {span.context.span_id: span.name for span in spans if span.context}
        return [
            {
                "name": span.name,
                "kind": span.kind.name,
                "status": span.status.status_code.name,
                "http status": (span.attributes or {}).get("http.status_code"),
                "events": [event.name for event in span.events],
                "parent": names.get(span.parent.span_id) if span.parent else None,
            }
            for span in spans
        ]


class TestOpenTelemetry(Guarantees):
    peer = OpenTelemetry


INSTRUMENTS = """
import asyncio
import sys

import shop
from opentelemetry.instrumentation.tornado import TornadoInstrumentor
from tornado_opentracing._instrumentor import TornadoOpenTracingInstrumentor

order = [TornadoInstrumentor, TornadoOpenTracingInstrumentor]
for instrumentor in order if sys.argv[1] == "theirs" else reversed(order):
    instrumentor().instrument()
asyncio.run(shop.main(["/book/1", "/book/2"]))
if sys.argv[2] == "theirs":
    TornadoInstrumentor().uninstrument()
    asyncio.run(shop.main(["/book/3"]))
"""


@pytest.mark.parametrize("removed", ["none", "theirs"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_without_code_requests_are_left_to_it_with_one_warning(first: str, removed: str, tmp_path: Path) -> None:
    zero_code = ZeroCode(tmp_path)
    zero_code.write("own.py", INSTRUMENTS)
    result = zero_code.run("own.py", first, removed, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    spans = exported(result.stdout)
    assert len(of_kind(spans, "SERVER")) == (3 if removed == "theirs" else 2)
    if removed == "none":  # it cannot take its wrapper of fetch off where ours lies on top
        assert len(of_kind(spans, "CLIENT")) == 2
    assert result.stderr.count("requests and fetches are left to it") == 1
    by_id = {span["context"]["span_id"]: span for span in spans}
    assert all(by_id[span["parent_id"]]["kind"] == "SpanKind.CLIENT" for span in of_kind(spans, "SERVER"))


def test_both_installed_no_request_has_two_spans(tmp_path: Path) -> None:
    result = ZeroCode(tmp_path).run("shop.py", "/book/1")
    spans = exported(result.stdout)
    assert (len(of_kind(spans, "SERVER")), len(of_kind(spans, "CLIENT"))) == (1, 1)
    assert result.stderr.count("requests and fetches are left to it") == 1


def test_where_it_is_disabled_this_package_traces(tmp_path: Path) -> None:
    spans = ZeroCode(tmp_path).spans("shop.py", "/book/1", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="tornado")
    # By the names of their attributes: the other's are old ones.
    attributes = [key for span in spans for key in span["attributes"] if key in ("url.full", "url.path", "http.url")]
    assert sorted(attributes) == ["url.full", "url.path"]
