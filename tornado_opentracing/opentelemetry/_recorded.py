# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans of OpenTelemetry's SDK, made with less work: what is known to be valid is not looked at again.

A span of the SDK's is the model: each is its copy, with what is its own put in, and is ended by the SDK's own code.
That rests on names that are private to the SDK; ``_agreement`` tells whether they are what they were.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import SpanContext
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from tornado_opentracing.opentelemetry._context import Reference

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Tracer
    from opentelemetry.trace import SpanKind, TraceFlags
    from opentelemetry.trace.span import TraceState

_new = object.__new__
_NOTHING: Any = BoundedList(0)
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


def _list_of(items: Sequence[Any], most: int | None) -> Any:
    """The SDK's list of these."""
    held: Any = _new(BoundedList)
    held.dropped = 0 if most is None else max(0, len(items) - most)
    held._dq = deque(items, most)
    held._lock = threading.Lock()
    return held


class RecordedSpan(SdkSpan):
    """A span of the SDK whose lists are made when something is put in."""

    _attributes: Any

    def put(self, name: str, value: Any) -> None:
        """Set an attribute whose name and value are known to be what the SDK can hold."""
        held = self._attributes
        lock = self._lock
        lock.acquire()  # a with statement costs as much again as all of this
        try:
            if self._end_time is not None:
                return
            if held.max_value_len is None and (held.maxlen is None or len(held._dict) < held.maxlen):
                held._dict[name] = value
                return
        finally:
            lock.release()
        self.set_attribute(name, value)

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
        self._most_links, self._link_held = limits.max_links, _model(limits.max_link_attributes, True)
        # They have one attribute.
        self._can_hold_links = limits.max_attribute_length is None and limits.max_link_attributes != 0
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
        :param links: known to be valid, with one attribute each.
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
        if links and self._can_hold_links:
            fields["_links"] = _list_of([*map(self._hold, links)], self._most_links)
        else:
            for link in links:
                span.add_link(link.context, link.attributes)
        span._span_processor.on_start(span, parent_context)
        return span

    def _hold(self, link: trace.Link) -> trace.Link:
        kept = link.kept if type(link) is Reference else None
        if kept is not None and kept[0] is self._link_held:
            return kept[1]
        held = trace.Link(link.context, _holding(dict(link.attributes or {}), self._link_held))
        if type(link) is Reference:
            link.kept = self._link_held, held
        return held
