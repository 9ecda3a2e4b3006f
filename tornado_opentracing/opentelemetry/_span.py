# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTracing's span and span context on OpenTelemetry's: tags and logs arrive where its back ends look for them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Protocol

import opentracing
from opentelemetry import trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation import _SPAN_KEY
from opentracing.tags import ERROR, HTTP_STATUS_CODE

from tornado_opentracing.opentelemetry import _attributes
from tornado_opentracing.opentelemetry._context import NO_ITEMS, SpanContext, attach, get_current
from tornado_opentracing.opentelemetry._recorded import RecordedSpan


class _Tracer(Protocol):
    is_dup: bool


# An enumeration's member is slow to look up.
_CLIENT = SpanKind.CLIENT
_new = object.__new__


def started(
    tracer: _Tracer, otel_span: trace.Span, items: dict[str, Any], kind: SpanKind, error_statuses: Container[int] = ()
) -> Span:
    """OpenTracing's span of one of OpenTelemetry's."""
    span = _new(Span)
    span._tracer = tracer
    span._context = None  # made when somebody asks for it
    span._otel_span = otel_span
    span._items = items
    span._kind = kind
    span._error_statuses = error_statuses
    return span


class Span(opentracing.Span):
    """A span whose tags and logs arrive where OpenTelemetry's back ends look for them."""

    _context: SpanContext | None
    _tracer: _Tracer
    _status_code: int | None = None
    _has_error = False
    _is_ok = False

    # What __init__ would set, and OpenTracing's: to have it do so takes CPython twice as long. See started().
    _otel_span: trace.Span
    _items: dict[str, Any]
    _kind: SpanKind
    _error_statuses: Container[int]

    @property
    def context(self) -> SpanContext:
        """The identity of the span, and its baggage."""
        if self._context is None:
            self._context = SpanContext(self._otel_span.get_span_context(), self._items)
        return self._context

    def unwrap(self) -> trace.Span:
        """OpenTelemetry's span."""
        return self._otel_span

    def is_recording(self) -> bool:
        """Whether what is told to the span is kept: it was sampled, and has not ended."""
        return self._otel_span.is_recording()

    @property
    def operation_name(self) -> str:
        """What the span is called; the empty string where nothing is kept of it."""
        return getattr(self._otel_span, "name", "")

    def set_operation_name(self, operation_name: str) -> Span:
        """Rename the span."""
        if self._otel_span.is_recording():
            self._otel_span.update_name(_attributes.text(operation_name))
        return self

    def set_tag(self, key: str, value: Any) -> Span:
        """Set the attribute that says the same; ``error`` is the span's status instead."""
        otel_span = self._otel_span
        if (
            key == HTTP_STATUS_CODE
            and type(otel_span) is RecordedSpan
            and type(value) is int
            and 100 <= value < 600
            and value not in self._error_statuses
            and not self._tracer.is_dup
        ):
            # As below, for what nearly all are.
            self._status_code = value
            otel_span.put("http.response.status_code", value)
            return self
        if not otel_span.is_recording():
            return self
        if key == ERROR:
            self._set_error(value)
            return self
        attributes = _attributes.of_tags({key: value}, self._kind, self._tracer.is_dup)
        if key == HTTP_STATUS_CODE:
            self.note_status(value)
        self._put(attributes)
        return self

    def log_kv(self, key_values: Mapping[str, Any] | None, timestamp: float | None = None) -> Span:
        """Add an event; that of an error is an ``exception``, and the span's status.

        :param key_values: the fields; ``event`` is the event's name.
        :param timestamp: when it happened, in seconds since the epoch; now if it is ``None``.
        """
        otel_span = self._otel_span
        if not otel_span.is_recording():
            return self
        name, attributes = _attributes.of_log(key_values or {})
        if name == _attributes.EXCEPTION:
            self._has_error, self._is_ok = True, False
            otel_span.set_status(Status(StatusCode.ERROR, attributes.get("exception.message")))
            self._put({"error.type": attributes.get("exception.type", "_OTHER")})
        nanoseconds = None if timestamp is None else int(timestamp * 1e9)
        if type(otel_span) is RecordedSpan:
            otel_span.put_event(name, attributes, nanoseconds)
        else:
            otel_span.add_event(name, attributes, nanoseconds)
        return self

    def set_baggage_item(self, key: str, value: str) -> Span:
        """Give a baggage item to the children that are yet to start."""
        before, self._items = self._items, {**self._items, key: value}
        self._context = None
        current = get_current()
        if current.get(_SPAN_KEY) is self._otel_span:
            # For OpenTelemetry's own propagation too; what made the span active takes it away with the span.
            carried: Any = current.get(_BAGGAGE_KEY, NO_ITEMS)
            items = self._items if carried is before else {**carried, key: value}
            attach(Context({**current, _BAGGAGE_KEY: items}))
        return self

    def get_baggage_item(self, key: str) -> Any:
        """A baggage item; ``None`` where there is none of that name."""
        return self._items.get(key)

    def finish(self, finish_time: float | None = None) -> None:
        """End the span; every call but the first does nothing.

        :param finish_time: the end, in seconds since the epoch; now if it is ``None``.
        """
        otel_span = self._otel_span
        if not otel_span.is_recording():
            return
        if self._is_ok:
            # Not before: OpenTelemetry takes no other status after this one.
            otel_span.set_status(StatusCode.OK)
        if finish_time is None:
            otel_span.end()
        else:
            otel_span.end(int(finish_time * 1e9))

    def note_status(self, value: object) -> None:
        """The span may have failed by the status of its response."""
        status = _attributes.status_of(value)
        if status == _attributes.NO_RESPONSE and self._kind is _CLIENT:
            return
        self._status_code = status
        if status in self._error_statuses:
            self._set_error(True)

    def _set_error(self, value: object) -> None:
        if str(value).lower() in ("", "0", "false", "none"):
            self._is_ok = True
            return
        self._is_ok = False
        if not self._has_error:
            self._has_error = True
            self._otel_span.set_status(StatusCode.ERROR)
            status = self._status_code
            self._put({"error.type": str(status) if status is not None and status >= 300 else "_OTHER"})

    def _put(self, attributes: dict[str, Any]) -> None:
        otel_span = self._otel_span
        if type(otel_span) is RecordedSpan:
            for name, value in attributes.items():
                otel_span.put(name, value)
        else:
            otel_span.set_attributes(attributes)
