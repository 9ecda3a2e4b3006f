"""What the pages show of traces: rows, numbers and JSON, made of spans. The templates only arrange it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from typing import Any

from tornado_opentracing.viewer import _tree
from tornado_opentracing.viewer._text import describe, outcome, path_of, service_of
from tornado_opentracing.viewer._trace import Trace

COLOURS = 6
_DEEPEST = 30


@dataclasses.dataclass
class Summary:
    """A trace in the list."""

    trace_id: str
    begin: float
    operation: str
    path: str
    status: str
    duration_ms: float
    spans: int
    dropped: int
    errors: int
    is_open: bool
    services: list[str]

    @property
    def time(self) -> str:
        """When it began, by the server's clock."""
        return time.strftime("%H:%M:%S", time.localtime(self.begin)) + f".{int(self.begin % 1 * 1000):03}"


@dataclasses.dataclass(frozen=True)
class Filter:
    """Which traces are in the list."""

    operation: str = ""
    status: str = ""
    min_ms: float = 0.0

    def admits(self, summary: Summary) -> bool:
        """Whether a trace is shown; a status may be a class, such as ``5xx``, or ``error``."""
        wanted = self.status.lower()
        return (
            self.operation.lower() in f"{summary.operation} {summary.path}".lower()
            and (summary.errors > 0 if wanted == "error" else summary.status.startswith(wanted.rstrip("x")))
            and summary.duration_ms >= self.min_ms
        )


def summaries(traces: Iterable[Trace], wanted: Filter, known: dict[int, Summary] | None = None) -> list[Summary]:
    """The traces that a filter admits, in their order.

    :param known: those of a call before, which spares the work for traces that are over; it is replaced.
    """
    before = dict(known or {})
    found: dict[int, Summary] = {}
    for trace in traces:
        summary = before.get(trace.trace_id)
        if summary is None or summary.is_open or (summary.spans, summary.dropped) != (len(trace.spans), trace.dropped):
            summary = summary_of(trace)
        found[trace.trace_id] = summary
    if known is not None:
        known.clear()
        known.update(found)
    return [summary for summary in found.values() if wanted.admits(summary)]


def summary_of(trace: Trace) -> Summary:
    """A trace in the list: named after its first span."""
    is_open = trace.running > 0
    return Summary(
        f"{trace.trace_id:x}",
        trace.begin,
        str(trace.first.operation_name),
        path_of(trace.first),
        trace.status,
        max((time.time() if is_open else trace.end) - trace.begin, 1e-6) * 1000,
        len(trace),
        trace.dropped,
        trace.errors,
        is_open,
        sorted(filter(None, trace.services)),
    )


@dataclasses.dataclass
class Row:
    """A span in the waterfall; positions are percentages of the trace's duration."""

    span_id: str
    level: int
    indent: int
    has_children: bool
    operation: str
    outcome: str
    service: str
    colour: int
    is_error: bool
    is_open: bool
    duration_ms: float
    begin_ms: float
    left: float
    width: float
    critical: list[tuple[float, float]]
    parent_row: int


def rows(trace: Trace) -> tuple[list[Row], float]:
    """A trace's waterfall, and its duration in milliseconds."""
    tree = _tree.build(trace.spans)
    services = sorted({service_of(node.span) for node in tree.nodes})
    numbers = {id(node): number for number, node in enumerate(tree.nodes)}
    parents = {id(child): numbers[id(node)] for node in tree.nodes for child in node.children}

    def percent(begin: float, end: float) -> tuple[float, float]:
        return round(tree.fraction(begin) * 100, 3), round((tree.fraction(end) - tree.fraction(begin)) * 100, 3)

    return [
        Row(
            _hex(node.span.context.span_id),
            node.depth + 1,
            min(node.depth, _DEEPEST),
            bool(node.children),
            describe(node),
            outcome(node).removeprefix("✗ "),
            service_of(node.span),
            services.index(service_of(node.span)) % COLOURS,
            node.is_error,
            node.is_open,
            (node.end - node.begin) * 1000,
            (node.begin - tree.begin) * 1000,
            *percent(node.begin, node.end),
            [percent(begin, end) for begin, end in node.critical],
            parents.get(id(node), -1),
        )
        for node in tree.nodes
    ], tree.duration * 1000


def as_json(trace: Trace) -> dict[str, Any]:
    """A trace with everything that is known of it; times in seconds since the epoch and in milliseconds."""
    tree = _tree.build(trace.spans)
    return {
        "trace_id": f"{trace.trace_id:032x}",
        "start_time": tree.begin,
        "duration_ms": tree.duration * 1000,
        "dropped_spans": trace.dropped,
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
            }
            for node in tree.nodes
        ],
    }


def to_script(value: Any) -> str:
    """JSON that may stand within a ``script`` element: nothing in it ends that."""
    text = json.dumps(value, allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hex(span_id: int) -> str:
    return f"{span_id:016x}"
