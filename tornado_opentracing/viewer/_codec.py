# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace headers as W3C writes them: ``traceparent`` and ``baggage``."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, unquote

from opentracing import SpanContextCorruptedException
from opentracing.mocktracer.context import SpanContext

TRACEPARENT = "traceparent"
BAGGAGE = "baggage"

# https://www.w3.org/TR/baggage/#limits: every span of the trace has a copy of what somebody sent.
MOST_ITEMS = 180
MOST_BAGGAGE = 8192

# https://www.w3.org/TR/trace-context/#traceparent-header: of a later version, what version 00 has comes first.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class W3CPropagator:
    """Writes span contexts into text carriers and reads them from there."""

    def inject(self, span_context: Any, carrier: MutableMapping[str, str]) -> None:
        """Write a span context; ``01`` says that it is recorded."""
        carrier[TRACEPARENT] = f"00-{span_context.trace_id:032x}-{span_context.span_id:016x}-01"
        if span_context.baggage:
            items = span_context.baggage.items()
            carrier[BAGGAGE] = ",".join(f"{_quoted(name)}={_quoted(value)}" for name, value in items)

    def extract(self, carrier: MutableMapping[str, str]) -> SpanContext | None:
        """Read a span context; ``None`` where there is none.

        :raises opentracing.SpanContextCorruptedException: if there is one that cannot be read.
        """
        headers = {name.lower(): value for name, value in carrier.items()}
        if TRACEPARENT not in headers:
            return None
        match = _TRACEPARENT.fullmatch(headers[TRACEPARENT].strip())
        trace_id, span_id = (int(part, 16) for part in match.groups()) if match else (0, 0)
        if not trace_id or not span_id:
            raise SpanContextCorruptedException(f"no valid traceparent: {headers[TRACEPARENT][:100]!r}")
        return SpanContext(trace_id=trace_id, span_id=span_id, baggage=_baggage(headers.get(BAGGAGE, "")))


def _quoted(value: object) -> str:
    return quote(str(value), errors="backslashreplace")


def _baggage(header: str) -> dict[str, str]:
    members = (member.partition(";")[0].partition("=") for member in header[:MOST_BAGGAGE].split(",")[:MOST_ITEMS])
    return {unquote(name.strip()): unquote(value.strip()) for name, is_there, value in members if is_there}
