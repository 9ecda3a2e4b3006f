# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the pages show of traces, as JSON, made of spans. Scripts in the browser only arrange it."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from tornado_opentracing.viewer import _tree
from tornado_opentracing.viewer._text import describe, outcome, path_of, pattern_of, routes_by_parent, service_of
from tornado_opentracing.viewer._trace import Trace

COLOURS = 6


@dataclasses.dataclass
class Summary:
    """A trace in the list."""

    trace_id: str
    begin: float
    operation: str
    path: str
    #: Of the response to the first request that a server took; of a fetch, or the first span, where there is none.
    status: str
    duration_ms: float
    spans: int
    dropped: int
    errors: int
    is_open: bool
    services: list[str]
    route: str = ""
    #: Whether the client of that request left before it had its response.
    has_left: bool = False

    @property
    def time(self) -> str:
        """When it began, by the server's clock."""
        return time.strftime("%H:%M:%S", time.localtime(self.begin)) + f".{int(self.begin % 1 * 1000):03}"

    @property
    def text(self) -> str:
        """What a row says, for whoever looks for words in it."""
        words = "client left" * self.has_left, "running" * self.is_open
        return " ".join([self.operation, self.path, self.status, *words, *self.services])

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {**vars(self), "time": self.time}


def summary_of(trace: Trace) -> Summary:
    """A trace in the list: named after its first span."""
    is_open = trace.running > 0
    of_no_kind = "" if trace.server or trace.client else str(trace.first.tags.get("http.status_code", ""))
    return Summary(
        f"{trace.trace_id:x}",
        trace.begin,
        str(trace.first.operation_name),
        path_of(trace.first),
        trace.status or of_no_kind,
        max((time.time() if is_open else trace.end) - trace.begin, 1e-6) * 1000,
        len(trace),
        trace.dropped,
        trace.errors,
        is_open,
        sorted(filter(None, trace.services)),
        "" if trace.server is None else str(trace.server.tags.get("http.route", "")),
        trace.has_left,
    )


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace with everything that is known of it; times in seconds since the epoch and in milliseconds.

    Its spans are in the order in which they are shown, each ``depth`` below the one that it is beneath. ``critical``
    is when it held the trace up, from and to, in milliseconds from the trace's beginning.
    """
    state = state_of(trace)  # first: what comes meanwhile is sent later
    tree = _tree.build(trace.spans)
    services = sorted({service_of(node.span) for node in tree.nodes})
    routes = routes_by_parent(node.span for node in tree.nodes)
    colours = {service: number % COLOURS for number, service in enumerate(services)}
    return {
        "trace_id": f"{trace.trace_id:032x}",
        "state": state,
        "start_time": tree.begin,
        "duration_ms": tree.duration * 1000,
        "dropped_spans": trace.dropped,
        "summary": summary_of(trace).as_json(),
        "spans": [
            {
                "span_id": _hex(node.span.context.span_id),
                "parent_id": None if node.span.parent_id is None else _hex(node.span.parent_id),
                "operation_name": node.span.operation_name,
                "service": service_of(node.span),
                "start_time": node.begin,
                "duration_ms": (node.end - node.begin) * 1000,
                "finished": not node.is_open,
                "tags": dict(node.span.tags),
                "logs": [
                    {"timestamp": log.timestamp, "fields": log.key_values}
                    for log in sorted(node.span.logs, key=lambda log: log.timestamp)
                ],
                "baggage": dict(node.span.context.baggage),
                "references": [{"type": kind, "span_id": _hex(other)} for kind, other in node.span.references],
                "depth": node.depth,
                "label": describe(node.span),
                "pattern": pattern_of(node.span, routes),
                "outcome": outcome(node).removeprefix("✗").lstrip(),
                "is_error": node.is_error,
                "colour": colours[service_of(node.span)],
                "offset_ms": _ms(node.begin - tree.begin),
                "self_ms": _ms(node.self_time),
                "critical": [[_ms(begin - tree.begin), _ms(end - tree.begin)] for begin, end in node.critical],
            }
            for node in tree.nodes
        ],
    }


def state_of(trace: Trace) -> str:
    """What changes whenever a span of a trace starts or finishes."""
    return f"{len(trace)}.{trace.dropped}.{trace.running}"


def to_text(value: Any) -> str:
    """JSON."""
    return json.dumps(value, allow_nan=False, default=str, separators=(",", ":"))


def to_script(value: Any) -> str:
    """JSON that may stand within a ``script`` element: nothing in it ends that."""
    text = to_text(value)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 4)


def _hex(span_id: int) -> str:
    return f"{span_id:016x}"
