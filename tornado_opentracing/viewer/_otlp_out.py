# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans as OTLP writes them in JSON: what other tools read, and this viewer reads again without loss.

What OTLP has no place for is in attributes: each reference's kind in ``opentracing.ref_type`` of its link, a span's
baggage in ``tornado_opentracing.baggage``. A span that is running has an end of 0; whose process
says so, and will say so again, has ``tornado_opentracing.running`` too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentracing import tags as ext

from tornado_opentracing.viewer._span import RecordedSpan

REF_TYPE = "opentracing.ref_type"
BAGGAGE = "tornado_opentracing.baggage"
RUNNING = "tornado_opentracing.running"
KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUS_ERROR = 2
_SCOPE = {"name": "tornado_opentracing"}


def encode(spans: Iterable[RecordedSpan], *, are_running: bool = False) -> dict[str, Any]:
    """An ``ExportTraceServiceRequest``, or the content of a file.

    :param are_running: whether to say of the spans that they are running at this moment.
    """
    by_service: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        by_service.setdefault(span.service, []).append(_span(span, are_running))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes({"service.name": service})},
                "scopeSpans": [{"scope": _SCOPE, "spans": found}],
            }
            for service, found in by_service.items()
        ]
    }


def _span(span: RecordedSpan, is_running: bool) -> dict[str, Any]:
    context, tags = span.context, dict(span.tags)
    trace_id = f"{context.trace_id:032x}"
    attributes = _attributes(tags)
    if context.baggage:
        baggage = {"kvlistValue": {"values": _attributes(context.baggage)}}
        attributes.append({"key": BAGGAGE, "value": baggage})
    if is_running:
        attributes.append({"key": RUNNING, "value": _value(True)})
    return {
        "traceId": trace_id,
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": "" if span.parent_id is None else f"{span.parent_id:016x}",
        "name": span.operation_name,
        "kind": KINDS.get(str(tags.get(ext.SPAN_KIND, "internal")), 1),
        "startTimeUnixNano": _nanoseconds(span.start_time),
        "endTimeUnixNano": _nanoseconds(span.finish_time) if span.finished and not is_running else "0",
        "attributes": attributes,
        "droppedAttributesCount": span.dropped,
        "events": [
            {
                "timeUnixNano": _nanoseconds(log.timestamp),
                "name": str(log.key_values.get("event", "")),
                "attributes": _attributes(log.key_values),
            }
            for log in list(span.logs)
        ],
        "links": [
            {"traceId": trace_id, "spanId": f"{other:016x}", "attributes": _attributes({REF_TYPE: kind})}
            for kind, other in span.references
        ],
        "status": {"code": STATUS_ERROR} if span.is_error else {},
    }


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}


def _nanoseconds(moment: float | None) -> str:
    return str(round((moment or 0.0) * 1e9))
