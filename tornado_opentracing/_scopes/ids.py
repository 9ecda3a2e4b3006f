# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The ids of a span, of any tracer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado_opentracing._guard import report

if TYPE_CHECKING:
    from opentracing import Span


def ids_of(span: Span) -> tuple[str | None, str | None]:
    """The trace's and the span's id as their headers have them; ``None`` where the tracer does not tell."""
    try:
        context: Any = span.context
        is_unwrapped = hasattr(context, "unwrap")
        if is_unwrapped:
            context = context.unwrap()
        found = (_text(getattr(context, "trace_id", None), 32), _text(getattr(context, "span_id", None), 16))
        return found if is_unwrapped else (found[0] and found[0].lstrip("0"), found[1] and found[1].lstrip("0"))
    except Exception:
        report("reading a span's context")
        return None, None


def _text(value: Any, width: int) -> str | None:
    if isinstance(value, int):
        return f"{value:0{width}x}"
    return value if isinstance(value, str) else None
