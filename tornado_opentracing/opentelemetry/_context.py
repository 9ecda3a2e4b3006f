"""The identity of a span, and the baggage that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentelemetry.shim.opentracing_shim import SpanContextShim
from opentelemetry.trace.propagation import _SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping


class SpanContext(SpanContextShim):
    """The identity of a span, and the baggage that its children inherit."""

    def __init__(self, otel_context: trace.SpanContext, carrying: Context) -> None:
        """Take the items that an OpenTelemetry context carries, which is immutable: a child shares its parent's."""
        # All that the shim's own sets, which makes a context of its own each time.
        self._otel_context = otel_context
        self._baggage = carrying

    @property
    def baggage(self) -> Mapping[str, object]:  # type: ignore[override]  # the shim's is no dict of the items
        """The baggage items."""
        return baggage.get_all(self._baggage)


def carrying_of(span_context: SpanContextShim) -> Context:
    """An OpenTelemetry context with this span context and its baggage."""
    # As set_span_in_context() would, which copies it twice.
    return Context({**span_context._baggage, _SPAN_KEY: trace.NonRecordingSpan(span_context._otel_context)})


NONE = SpanContext(trace.INVALID_SPAN_CONTEXT, Context())
ROOT = carrying_of(NONE)
