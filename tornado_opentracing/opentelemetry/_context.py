# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's contexts: the current one; and the identity of a span, with the baggage that goes with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import Token
from typing import Any

import opentracing
from opentelemetry import context, trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace.propagation import _SPAN_KEY
from opentracing import ReferenceType

get_current: Callable[[], Context]
attach: Callable[[Context], Token[Context]]
detach: Callable[[Token[Context]], None]

# Without the calls that lie between where they only pass it on.
_runtime: Any = context._RUNTIME_CONTEXT
if type(_runtime) is ContextVarsRuntimeContext and hasattr(_runtime, "_current_context"):
    _variable = _runtime._current_context
    get_current, attach, detach = _variable.get, _variable.set, _variable.reset
else:
    # Not context.detach(), which logs an error where the token is another context's.
    get_current, attach, detach = _runtime.get_current, _runtime.attach, _runtime.detach

_REFERENCE_TYPES = {ReferenceType.CHILD_OF: "child_of", ReferenceType.FOLLOWS_FROM: "follows_from"}
#: Baggage without items, of which there is one: what is the same object need not be compared. Nobody changes it.
NO_ITEMS: dict[str, Any] = {}


class SpanContext(opentracing.SpanContext):
    """The identity of a span, and the baggage that its children inherit. Immutable."""

    _links: dict[str, Reference] | None = None

    def __init__(
        self, otel_context: trace.SpanContext, baggage: dict[str, Any] = NO_ITEMS, carrying: Context | None = None
    ) -> None:
        self._otel_context = otel_context
        self._items = baggage
        self._carrying = carrying

    @property
    def trace_id(self) -> int:
        """The trace's id, 128 bits."""
        return self._otel_context.trace_id

    @property
    def span_id(self) -> int:
        """The span's id, 64 bits."""
        return self._otel_context.span_id

    @property
    def trace_id_hex(self) -> str:
        """The trace's id as back ends show it: 32 hexadecimal digits."""
        return trace.format_trace_id(self._otel_context.trace_id)

    @property
    def span_id_hex(self) -> str:
        """The span's id as back ends show it: 16 hexadecimal digits."""
        return trace.format_span_id(self._otel_context.span_id)

    @property
    def baggage(self) -> dict[str, Any]:
        """The baggage items; not to be modified."""
        return self._items

    def unwrap(self) -> trace.SpanContext:
        """OpenTelemetry's span context."""
        return self._otel_context

    @property
    def carrying(self) -> Context:
        """An OpenTelemetry context with this span context and its baggage."""
        if self._carrying is None:
            self._carrying = carrying(trace.NonRecordingSpan(self._otel_context), self._items)
        return self._carrying

    def link(self, kind: str) -> Reference:
        """OpenTelemetry's link to it, by the type of a reference. There is one of each: messages have all the same."""
        if self._links is None:
            self._links = {}
        found = self._links.get(kind)
        if found is None:
            found = Reference(self._otel_context, {"opentracing.ref_type": _REFERENCE_TYPES[kind]})
            self._links[kind] = found
        return found


class Reference(trace.Link):
    """A link that several spans have."""

    #: As the spans of one tracer keep it, and what tells whether another's are limited like them.
    kept: tuple[object, trace.Link] | None = None


def carrying(otel_span: trace.Span, items: Mapping[str, object]) -> Context:
    """An OpenTelemetry context with a span and baggage, and nothing else."""
    # As set_span_in_context() and set_baggage() of each item would, which copy it each time.
    return Context({_SPAN_KEY: otel_span, _BAGGAGE_KEY: items} if items else {_SPAN_KEY: otel_span})


@contextlib.contextmanager
def has_baggage(items: Mapping[str, object]) -> Iterator[None]:
    """The current context has these baggage items within."""
    token = attach(Context({**get_current(), _BAGGAGE_KEY: items}))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, RuntimeError):
            detach(token)


_SUPPRESSING = [
    name
    for key in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY")
    if (name := getattr(context, key, None)) is not None
] + ["suppress_instrumentation"]


def is_suppressed(current: Context) -> bool:
    """Whether ``suppress_instrumentation`` of OpenTelemetry's instrumentations, or that of HTTP, is in force there."""
    return any(current.get(key) for key in _SUPPRESSING)
