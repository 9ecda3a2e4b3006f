# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Where the time goes: what the spans of all traces took, by operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tornado_opentracing.viewer import _tree
from tornado_opentracing.viewer._text import pattern_of, routes_by_parent, service_of

if TYPE_CHECKING:
    from tornado_opentracing.viewer._trace import Trace

_BUCKETS = 24
_MOST_OPERATIONS = 500
#: Traces are looked at from the newest on, until so many spans were.
_MOST_SPANS = 50_000


@dataclasses.dataclass
class _Operation:
    durations: list[float] = dataclasses.field(default_factory=list)
    begins: list[float] = dataclasses.field(default_factory=list)
    errors: int = 0
    self_ms: float = 0.0


def operations(traces: Iterable[Trace]) -> dict[str, Any]:
    """By service and operation, the largest self time first; times in milliseconds.

    Finished spans alone are counted. ``spark`` is how many began in each part of the time from the first to the last.
    """
    found: dict[tuple[str, str], _Operation] = {}
    spans = looked_at = 0
    for trace in traces:
        if spans + len(trace) > _MOST_SPANS and looked_at:
            break
        looked_at += 1
        spans += len(trace)
        nodes = _tree.build(trace.spans).nodes
        routes = routes_by_parent(node.span for node in nodes)
        for node in nodes:
            if node.is_open:
                continue
            operation = found.setdefault((service_of(node.span), pattern_of(node.span, routes)), _Operation())
            operation.durations.append((node.end - node.begin) * 1000)
            operation.begins.append(node.begin)
            operation.errors += node.is_error
            operation.self_ms += node.self_time * 1000
    begins = [begin for operation in found.values() for begin in operation.begins]
    first, last = min(begins, default=0.0), max(begins, default=0.0)
    rows = [_row(service, name, operation, first, last) for (service, name), operation in found.items()]
    rows.sort(key=lambda row: -row["self_ms"])
    return {"traces": looked_at, "spans": spans, "operations": rows[:_MOST_OPERATIONS]}


def _row(service: str, name: str, operation: _Operation, first: float, last: float) -> dict[str, Any]:
    durations = sorted(operation.durations)
    spark = [0] * _BUCKETS
    for begin in operation.begins:
        spark[min(int((begin - first) / max(last - first, 1e-9) * _BUCKETS), _BUCKETS - 1)] += 1
    return {
        "service": service,
        "operation": name,
        "count": len(durations),
        "errors": operation.errors,
        "p50_ms": _percentile(durations, 50),
        "p95_ms": _percentile(durations, 95),
        "p99_ms": _percentile(durations, 99),
        "total_ms": sum(durations),
        "self_ms": operation.self_ms,
        "spark": spark,
    }


def _percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that so many percent of all do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def words(traces: Iterable[Trace]) -> dict[str, list[str]]:
    """What a search can be completed with, of the newest traces."""
    found: dict[str, set[str]] = {"service": set(), "route": set(), "operation": set(), "status": set(), "tag": set()}
    spans = 0
    for trace in traces:
        if spans > _MOST_SPANS // 10:
            break
        spans += len(trace)
        listed = trace.spans
        routes = routes_by_parent(listed)
        for span in listed:
            tags = dict(span.tags)
            found["service"].add(service_of(span))
            found["operation"].add(pattern_of(span, routes))
            found["tag"].update(tags)
            if tags.get("span.kind") == "server":
                found["route"].add(str(tags.get("http.route", "")))
                found["status"].add(str(tags.get("http.status_code", "")))
    return {name: sorted(values - {""})[:_MOST_OPERATIONS] for name, values in found.items()}
