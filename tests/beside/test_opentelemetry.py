"""``opentelemetry-instrumentation-tornado``."""

from __future__ import annotations

from typing import ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


class OpenTelemetry(Peer):
    """It takes off its own wrappers where they are on top, and leaves them where they are not."""

    headers: ClassVar = {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"}
    can_be_removed = True

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
