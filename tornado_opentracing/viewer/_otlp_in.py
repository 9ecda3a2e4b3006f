# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans as OTLP brings them, from this package, from OpenTelemetry, or from any other language, as they are shown.

Names of OpenTelemetry's conventions keep their names; what the list shows of a request is there by OpenTracing's too.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from opentracing import logs as log_fields
from opentracing import tags as ext

from tornado_opentracing.viewer._otlp_out import BAGGAGE, KINDS, REF_TYPE, RUNNING, STATUS_ERROR

_KINDS = {number: kind for kind, number in KINDS.items()}
_MOST_NESTED = 20

#: By what name the list finds it, and where OpenTelemetry has it.
_ALSO = {
    ext.HTTP_STATUS_CODE: ("http.response.status_code",),
    ext.HTTP_METHOD: ("http.request.method",),
    ext.HTTP_URL: ("url.full", "http.target"),
}


@dataclasses.dataclass
class ReadSpan:
    """A span of which all is known that is to be recorded."""

    service: str
    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start_time: float
    finish_time: float | None
    tags: dict[str, Any]
    logs: list[tuple[float, dict[str, Any]]]
    baggage: dict[str, str]
    references: tuple[tuple[str, int], ...]
    dropped: int
    #: Whether its process says that it is running, and will say so again while it is.
    is_running: bool


def decode(message: Any) -> Iterator[ReadSpan | None]:
    """The spans of an ``ExportTraceServiceRequest``, or of a file; ``None`` for each that makes no sense."""
    for of_resource in _list(message, "resourceSpans"):
        resource = of_resource.get("resource")
        service = _values(_list(resource, "attributes")).get("service.name", "")
        for of_scope in _list(of_resource, "scopeSpans"):
            for span in _list(of_scope, "spans"):
                try:
                    yield _span(span, str(service))
                except (TypeError, ValueError, OverflowError):
                    yield None


def from_protobuf(body: bytes) -> Any:
    """The same message from protobuf's form of it.

    :raises ImportError: what reads that is not installed (the extra ``opentelemetry`` brings it).
    :raises ValueError: it is none.
    """
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - may not be there
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

    try:
        message = MessageToDict(ExportTraceServiceRequest.FromString(body), use_integers_for_enums=True)
    except DecodeError as error:
        raise ValueError(str(error)) from None
    for of_resource in _list(message, "resourceSpans"):
        for of_scope in _list(of_resource, "scopeSpans"):
            for span in _list(of_scope, "spans"):
                for each in (span, *_list(span, "links")):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        each[name] = base64.b64decode(each.get(name, "")).hex()
    return message


def _span(span: Mapping[str, Any], service: str) -> ReadSpan:
    tags = _values(_list(span, "attributes"))
    baggage = tags.pop(BAGGAGE, {})
    is_running = tags.pop(RUNNING, False) is True
    _describe(tags, span)
    trace_id, span_id = int(span["traceId"], 16), int(span["spanId"], 16)
    if not 0 < trace_id < 2**128 or not 0 < span_id < 2**64:
        raise ValueError("no valid id")
    end = int(span.get("endTimeUnixNano", 0))
    return ReadSpan(
        service,
        trace_id,
        span_id,
        int(span.get("parentSpanId") or "0", 16) or None,
        str(span.get("name", "")),
        int(span["startTimeUnixNano"]) / 1e9,
        end / 1e9 if end else None,
        tags,
        [_log(event) for event in _list(span, "events")],
        {str(name): str(value) for name, value in baggage.items()} if isinstance(baggage, dict) else {},
        tuple(
            (str(_values(_list(link, "attributes")).get(REF_TYPE, "link")), int(link["spanId"], 16))
            for link in _list(span, "links")
        ),
        int(span.get("droppedAttributesCount", 0)),
        is_running and not end,
    )


def _describe(tags: dict[str, Any], span: Mapping[str, Any]) -> None:
    """Add the tags by which the list knows a request."""
    kind = _KINDS.get(int(span.get("kind", 1)), "internal")
    if kind != "internal":
        tags.setdefault(ext.SPAN_KIND, kind)
    status = span.get("status")
    if isinstance(status, dict) and int(status.get("code", 0)) == STATUS_ERROR:
        tags.setdefault(ext.ERROR, True)
        if status.get("message"):
            tags.setdefault("status.message", status["message"])
    for name, theirs in _ALSO.items():
        found = next((tags[each] for each in theirs if each in tags), None)
        if found is not None:
            tags.setdefault(name, found)
    if "url.path" in tags:
        query = f"?{tags['url.query']}" if tags.get("url.query") else ""
        tags.setdefault(ext.HTTP_URL, f"{tags['url.path']}{query}")


def _log(event: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    fields, name = _values(_list(event, "attributes")), str(event.get("name", ""))
    if name == "exception" and log_fields.ERROR_KIND not in fields:
        kind = str(fields.get("exception.type", ""))
        fields = {
            log_fields.EVENT: "error",
            log_fields.ERROR_KIND: kind.rpartition(".")[2],
            log_fields.MESSAGE: fields.get("exception.message", ""),
            log_fields.STACK: fields.get("exception.stacktrace", ""),
        }
    elif name and log_fields.EVENT not in fields:
        fields = {log_fields.EVENT: name, **fields}
    return int(event.get("timeUnixNano", 0)) / 1e9, fields


def _list(message: Any, name: str) -> list[dict[str, Any]]:
    found = message.get(name) if isinstance(message, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {str(each.get("key", "")): _value(each.get("value")) for each in attributes}


def _value(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict) or depth > _MOST_NESTED:
        return ""
    for name, found in value.items():
        if name == "intValue":
            return int(found)
        if name == "arrayValue":
            return [_value(each, depth + 1) for each in _list(found, "values")]
        if name == "kvlistValue":
            return {str(each.get("key", "")): _value(each.get("value"), depth + 1) for each in _list(found, "values")}
        return found
    return ""
