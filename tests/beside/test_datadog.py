# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``ddtrace``, with its integration for Tornado."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


class Datadog(Peer):
    """It takes off what lies on top, its own or not."""

    headers: ClassVar = {
        "x-datadog-trace-id": str(TRACE_ID),
        "x-datadog-parent-id": str(SPAN_ID),
        "x-datadog-sampling-priority": "1",
    }

    def switch_on(self) -> None:
        for name in ("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "DD_REMOTE_CONFIGURATION_ENABLED"):
            os.environ[name] = "false"
        # A span that is not finished would hold back all others of the caller's trace.
        os.environ["DD_TRACE_PARTIAL_FLUSH_MIN_SPANS"] = "1"
        import ddtrace
        from ddtrace.trace import TraceFilter, tracer

        self.spans: list[Any] = []
        spans = self.spans

        class Keep(TraceFilter):  # type: ignore[misc,unused-ignore]
            def process_trace(self, trace: Any) -> None:
                spans.extend(trace)

        ddtrace.patch(tornado=True)
        self.keep = Keep()
        tracer.configure(trace_processors=[self.keep])

    def equip(self, application: Any) -> None:
        from ddtrace.trace import tracer

        # Each Application configures the tracer anew.
        tracer.configure(trace_processors=[self.keep])

    def switch_off(self) -> None:
        from ddtrace.contrib.internal.tornado.patch import unpatch

        unpatch()

    def take_records(self) -> list[Record]:
        spans, self.spans[:] = self.spans[:], []
        names = {SPAN_ID: "caller"} | {span.span_id: f"{span.name} {span.resource}" for span in spans}
        return [
            {
                "name": names[span.span_id],
                "status": span.get_tag("http.status_code"),
                "route": span.get_tag("http.route"),
                "error": span.error,
                "exception": span.get_tag("error.type"),
                "parent": names.get(span.parent_id),
                "trace is caller's": span.trace_id == TRACE_ID,
            }
            for span in spans
        ]


class TestDatadog(Guarantees):
    peer = Datadog
