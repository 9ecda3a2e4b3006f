# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans of OpenTelemetry's SDK, made with less work: what is known to be valid is not looked at again.

A span of the SDK's is the model: each is its copy, with what is its own put in, and is ended by the SDK's own code.
That rests on names that are private to the SDK, so :func:`agrees` compares one such span with one of the SDK's own,
field by field.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import SpanContext
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Tracer
    from opentelemetry.trace import SpanKind, TraceFlags
    from opentelemetry.trace.span import TraceState

_new = object.__new__
_NOTHING: Any = BoundedList(0)
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_LARGEST_TRACE_ID, _LARGEST_SPAN_ID = 2**128 - 1, 2**64 - 1


def identity(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState | None) -> SpanContext:
    """The span context of a span of this process."""
    if 0 < trace_id <= _LARGEST_TRACE_ID and 0 < span_id <= _LARGEST_SPAN_ID:
        # What SpanContext() comes to.
        fields = (trace_id, span_id, False, flags, DEFAULT_TRACE_STATE if state is None else state, True)
        return tuple.__new__(SpanContext, fields)
    return SpanContext(trace_id, span_id, False, flags, state)


@functools.lru_cache(maxsize=16)
def _model(most: int | None, immutable: bool) -> tuple[dict[str, Any], Callable[[], Any]]:
    """What the SDK's dict of attributes comes to, and how its lock is made."""
    fields = vars(BoundedAttributes(most, None, immutable, None))
    return fields, threading.Lock if isinstance(fields["_lock"], type(threading.Lock())) else threading.RLock


def _holding(attributes: dict[str, Any], model: tuple[dict[str, Any], Callable[[], Any]]) -> BoundedAttributes:
    """The SDK's dict of these attributes, which are known to be valid and not too many."""
    fields, new_lock = model
    held = _new(BoundedAttributes)
    held.__dict__ = fields = fields.copy()
    fields["_dict"] = attributes
    fields["_lock"] = new_lock()
    return held


class RecordedSpan(SdkSpan):
    """A span of the SDK whose lists are made when something is put in."""

    _attributes: Any

    def put(self, attributes: dict[str, Any]) -> None:
        """Set attributes whose names and values are known to be what the SDK can hold."""
        held = self._attributes
        with self._lock:
            if self._end_time is not None:
                return
            values = held._dict
            if held.max_value_len is None and (held.maxlen is None or len(values) + len(attributes) <= held.maxlen):
                values.update(attributes)
                return
        self.set_attributes(attributes)

    def put_event(self, name: str, attributes: dict[str, Any], timestamp: int | None) -> None:
        """Add an event whose attributes are known to be what the SDK can hold."""
        limits: SpanLimits = self._limits
        most = limits.max_event_attributes
        if limits.max_attribute_length is None and (most is None or len(attributes) <= most):
            self._add_event(Event(name, _holding(attributes, _model(most, True)), timestamp))
        else:
            self.add_event(name, attributes, timestamp)

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if self._events is _NOTHING:
                self._events = BoundedList(self._limits.max_events)
        super()._add_event(event)

    def _add_link(self, link: Any) -> None:
        with self._lock:
            if self._links is _NOTHING:
                self._links = BoundedList(self._limits.max_links)
        super()._add_link(link)

    def _readable_span(self) -> ReadableSpan:
        made: Any = _new(ReadableSpan)
        made._name = self._name
        made._context = self._context
        made._kind = self._kind
        made._instrumentation_info = self._instrumentation_info
        made._instrumentation_scope = self._instrumentation_scope
        made._parent = self._parent
        made._start_time = self._start_time
        made._end_time = self._end_time
        made._attributes = self._attributes
        made._events = self._events
        made._links = self._links
        made._resource = self._resource
        made._status = self._status
        return made  # type: ignore[no-any-return]


class Recorder:
    """Makes the spans of one of the SDK's tracers."""

    def __init__(self, tracer: Tracer) -> None:
        """Look at what its spans have in common.

        :raises AttributeError, TypeError: the SDK is not one that this module knows.
        """
        self._tracer = tracer
        limits: SpanLimits = tracer._span_limits
        self._most, self._longest = limits.max_span_attributes, limits.max_span_attribute_length
        self._held = _model(self._most, False)
        model = RecordedSpan(
            "",
            trace.INVALID_SPAN_CONTEXT,
            sampler=tracer.sampler,
            resource=tracer.resource,
            span_processor=tracer.span_processor,
            instrumentation_info=tracer.instrumentation_info,
            limits=limits,
            instrumentation_scope=tracer._instrumentation_scope,
        )
        self._model = {**vars(model), "_events": _NOTHING, "_links": _NOTHING}
        metrics = getattr(tracer, "_tracer_metrics", None)
        if metrics is not None:
            self._model["_record_end_metrics"] = metrics.start_span(None, Decision.DROP)

    def start(  # noqa: PLR0917 - keywords cost more
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Any,
        are_valid: bool,
        parent_context: Context,
        start_time: int | None,
        links: Sequence[trace.Link] = (),
    ) -> RecordedSpan:
        """Start a span.

        :param attributes: what it has already; where they are known to be valid, the span keeps the dict itself.
        """
        if are_valid and self._longest is None and (self._most is None or len(attributes) <= self._most):
            held = _holding(attributes, self._held)
        else:
            held = BoundedAttributes(self._most, attributes, immutable=False, max_value_len=self._longest)
        span = _new(RecordedSpan)
        span.__dict__ = fields = self._model.copy()
        fields["_name"] = name
        fields["_context"] = context
        fields["_parent"] = parent
        fields["_kind"] = kind
        fields["_attributes"] = held
        # The tracer gets another one when the process is forked.
        fields["_resource"] = self._tracer.resource
        fields["_lock"] = threading.Lock()
        fields["_start_time"] = time_ns() if start_time is None else start_time
        for link in links:
            span.add_link(link.context, link.attributes)
        span._span_processor.on_start(span, parent_context)
        return span


class _Seen(SpanProcessor):
    """Keeps what the SDK tells a processor."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.told.append(("start", parent_context, _described(span)))

    def _on_ending(self, span: Any) -> None:
        self.told.append(("ending", _described(span)))

    def on_end(self, span: Any) -> None:
        self.told.append(("end", type(span), _described(span)))


def agrees() -> bool:
    """Whether a span made here is the same, to whoever looks, as one of this SDK's own."""
    try:
        seen = _Seen()
        provider = TracerProvider(ALWAYS_ON, Resource.get_empty(), False, span_limits=SpanLimits(max_events=2))
        provider.add_span_processor(seen)
        tracer: Any = provider.get_tracer("tornado_opentracing", "1", "schema")
        context = Context()
        attributes = {"a": 1, "b": "c", "d": ("e", "f")}
        links = [trace.Link(SpanContext(1, 2, False), {"j": 1})]
        theirs = tracer.start_span("work", context, trace.SpanKind.SERVER, attributes, links, start_time=1)
        ours = Recorder(tracer).start(
            "work", theirs.get_span_context(), None, trace.SpanKind.SERVER, dict(attributes), True, context, 1, links
        )
        told = []
        for span in (theirs, ours):
            seen.told.clear()
            seen.on_start(span, context)
            span.set_attributes({"g": True})
            for name in "xyz":
                (span.put_event if span is ours else span.add_event)(name, {"h": 1}, 2)
            span.add_link(theirs.get_span_context(), {"i": 1})
            span.set_status(trace.StatusCode.ERROR, "no")
            span.update_name("done")
            seen.on_start(span)
            span.end(3)
            told.append([*seen.told, _described(span), span.to_json()])
        made = identity(1, 2, trace.TraceFlags(1), None)
        return told[0] == told[1] and _same(made, SpanContext(1, 2, False, trace.TraceFlags(1)))
    except Exception:
        # Whatever it is that this SDK does otherwise, it does itself.
        return False


def _same(ours: SpanContext, theirs: SpanContext) -> bool:
    return (type(ours), tuple(ours), vars(ours)) == (type(theirs), tuple(theirs), vars(theirs))


def _described(value: Any) -> Any:
    """What can be compared of a span, down to the values that it keeps."""
    if isinstance(value, (ReadableSpan, BoundedAttributes, BoundedList, Event, trace.Link, trace.Status)):
        return {name: _described(field) for name, field in vars(value).items()}
    if isinstance(value, _LOCKS):
        return type(value)
    if isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
        return [_described(item) for item in value]
    return value
