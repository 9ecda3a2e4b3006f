# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Span contexts in carriers, written and read by OpenTelemetry's global propagator."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import DefaultGetter, TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import DEFAULT_TRACE_STATE
from opentracing import Format, SpanContextCorruptedException, UnsupportedFormatException

from tornado_opentracing.opentelemetry._context import NO_ITEMS, SpanContext

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders

#: Of the version that everybody writes; none of its ids is zero.
_TRACEPARENT = re.compile("00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_TEXTS = (Format.HTTP_HEADERS, Format.TEXT_MAP)


class _Getter(DefaultGetter):
    """Reads a carrier whose names are in lower case; some propagators ask for others."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        return super().get(carrier, key.lower())


_GETTER = _Getter()


def inject(context: Context, format: object, carrier: Any) -> None:  # noqa: A002
    """Write what an OpenTelemetry context carries into a carrier."""
    if format in _TEXTS:
        get_global_textmap().inject(carrier, context=context)
    elif format == Format.BINARY and isinstance(carrier, bytearray):
        written: dict[str, str] = {}
        get_global_textmap().inject(written, context=context)
        carrier.extend(json.dumps(written).encode())
    else:
        raise UnsupportedFormatException


def inject_traceparent(context: trace.SpanContext, headers: MutableMapping[str, str]) -> dict[str, str]:
    """Write W3C's ``traceparent`` where that is all there is to write; return what was written."""
    trace_id, span_id, _, flags, state, is_valid = context
    if (state is not DEFAULT_TRACE_STATE and state) or not is_valid or not _is_w3c(get_global_textmap()):
        return {}
    # An f-string takes half as long again.
    headers["traceparent"] = value = "00-%032x-%016x-%02x" % (trace_id, span_id, flags)  # noqa: UP031
    return {"traceparent": value}


def extract_headers(headers: HTTPHeaders) -> SpanContext | None:
    """The same of a request's headers."""
    lists = headers._as_list
    if "Baggage" not in lists and _is_w3c(get_global_textmap()):
        given = lists.get("Traceparent")
        if given is None:
            return None
        # As most are, for which the propagator needs twenty times as long.
        found = _TRACEPARENT.fullmatch(given[0]) if len(given) == 1 and "Tracestate" not in lists else None
        if found is not None:
            trace_id, span_id, flags = found.groups()
            flags = trace.TraceFlags(int(flags, 16))
            return SpanContext(trace.SpanContext(int(trace_id, 16), int(span_id, 16), True, flags))
    return _read({name.lower(): ",".join(values) for name, values in lists.items()})


@functools.lru_cache(maxsize=8)
def _is_w3c(textmap: TextMapPropagator) -> bool:
    """Whether a propagator is the default one, which reads those two headers and, after the first, one more."""
    kinds = {type(each) for each in getattr(textmap, "_propagators", ())}
    return type(textmap) is CompositePropagator and kinds == {TraceContextTextMapPropagator, W3CBaggagePropagator}


def extract(format: object, carrier: Any) -> SpanContext | None:  # noqa: A002
    """The span context, and its baggage, that a carrier brings."""
    if format in _TEXTS:
        written = {name.lower(): carrier[name] for name in carrier}
    elif format == Format.BINARY and isinstance(carrier, (bytes, bytearray)):
        try:
            written = dict(json.loads(carrier))
        except ValueError as error:
            raise SpanContextCorruptedException from error
    else:
        raise UnsupportedFormatException
    return _read(written)


def _read(written: dict[str, str]) -> SpanContext | None:
    # An empty context to begin with: the propagator of baggage would take the current one.
    found = get_global_textmap().extract(written, Context(), _GETTER)
    context = trace.get_current_span(found).get_span_context()
    items: Any = found.get(_BAGGAGE_KEY) or NO_ITEMS
    return SpanContext(context, items, found) if context.is_valid or items else None
