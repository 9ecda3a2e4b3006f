# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Whether the spans that ``_recorded`` makes are what the SDK that is installed would make."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import SpanContext

from tornado_opentracing.opentelemetry._recorded import Recorder, identity

_LOCKS = (type(threading.Lock()), type(threading.RLock()))


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
    if isinstance(value, (list, tuple, deque)):
        return [_described(item) for item in value]
    return value
