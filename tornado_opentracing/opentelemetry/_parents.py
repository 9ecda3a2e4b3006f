# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a span starts beneath, and what else it refers to, in OpenTelemetry's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import opentracing
from opentelemetry import baggage, trace
from opentelemetry.context import Context
from opentracing import ReferenceType

from tornado_opentracing.opentelemetry._context import NO_ITEMS, SpanContext, carrying
from tornado_opentracing.opentelemetry._span import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentracing import Reference

#: In which there is neither a span nor baggage.
NOWHERE = Context()


def parent_of(parent: Any) -> tuple[Context, dict[str, Any]]:
    """An OpenTelemetry context with a span, or a span context, and its baggage."""
    if isinstance(parent, Span):
        return carrying(parent._otel_span, parent._items), parent._items
    if isinstance(parent, opentracing.Span):
        parent = parent.context
    if isinstance(parent, SpanContext):
        return parent.carrying, parent._items
    unwrap = getattr(parent, "unwrap", None)
    unwrapped = None if unwrap is None else unwrap()
    if not isinstance(unwrapped, trace.SpanContext):
        # Of a tracer that does nothing, or of another kind: there is nothing to go on with.
        return NOWHERE, NO_ITEMS
    # Of OpenTelemetry's own shim, whose baggage is one of its contexts.
    items: Any = dict(baggage.get_all(parent.baggage)) or NO_ITEMS
    return carrying(trace.NonRecordingSpan(unwrapped), items), items


def referred(child_of: Any, references: Sequence[Reference]) -> tuple[Any, list[trace.Link]]:
    """The parent and the links that references give."""
    if child_of is None:
        references = [each for each in references if isinstance(each[1], SpanContext)]
        if references:
            first = next((each for each in references if each.type == ReferenceType.CHILD_OF), references[0])
            child_of = first.referenced_context
            if first.type == ReferenceType.CHILD_OF:
                references.remove(first)
    links: list[trace.Link] = []
    for kind, context in references:
        if isinstance(context, SpanContext) and context.unwrap().is_valid:
            links.append(context.link(kind))
    return child_of, links
