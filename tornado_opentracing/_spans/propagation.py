"""Trace context in headers: read from those of a request, written into those of a fetch or a response."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from opentracing import Format, SpanContextCorruptedException

from tornado_opentracing._guard import report

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from opentracing import Span, SpanContext, Tracer
    from tornado.httputil import HTTPHeaders


def extract(tracer: Tracer, headers: HTTPHeaders) -> SpanContext | None:
    """The span context that a request's headers carry, if they carry one.

    The carrier is a plain ``dict`` with lower-case keys, which every codec can read: some want a real ``dict``, some
    look up lower-case names, and Tornado's ``HTTPHeaders`` is neither.
    """
    try:
        carrier = {name.lower(): ",".join(values) for name, values in headers._as_list.items()}
        return tracer.extract(Format.HTTP_HEADERS, carrier)
    except SpanContextCorruptedException:
        if not _raises_for_absence(tracer):
            report("reading the trace headers of a request")
    except Exception:
        report("reading the trace headers of a request")
    return None


#: Kinds of tracers whose codec calls headers corrupted that are merely not there, as ``MockTracer`` does.
_raising_for_absence: set[type] = set()


def _raises_for_absence(tracer: Tracer) -> bool:
    kind = type(tracer)
    if kind not in _raising_for_absence:
        try:
            tracer.extract(Format.HTTP_HEADERS, {})
        except SpanContextCorruptedException:
            _raising_for_absence.add(kind)
        except Exception:
            return False
    return kind in _raising_for_absence


# What Tornado and HTTP allow in a header; anything else would make the application's own message fail.
_is_header_name = functools.lru_cache(maxsize=256)(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch)
_is_header_value = re.compile(r"[\t\x20-\x7e]*").fullmatch
# Baggage that somebody sent goes on with every fetch: more of it than that, the limit of W3C's Baggage, could make a
# message too large for whoever receives it.
_MOST_INJECTED = 8192


def inject(tracer: Tracer, span: Span, headers: MutableMapping[str, str]) -> None:
    """Write the span's context into headers, in place of what they carried."""
    carrier: dict[Any, Any] = {}
    try:
        tracer.inject(span.context, Format.HTTP_HEADERS, carrier)
    except Exception:
        report("injecting a span")
        return
    room = _MOST_INJECTED
    for name, value in carrier.items():
        # One by one: a baggage item that HTTP cannot carry must not cost the trace its continuation.
        try:
            # Nearly all are, which takes less time to see than that they match.
            is_printable = type(value) is str and value.isascii() and value.isprintable()
            if not _is_header_name(name) or not (is_printable or _is_header_value(value)):
                raise ValueError(f"the tracer's header {name!r} is no valid HTTP header")
            size = len(name) + len(value)
            if size > room:
                raise ValueError(f"the tracer's header {name!r} does not fit into the {_MOST_INJECTED} bytes there are")
            room -= size
            headers[name] = value
        except Exception:
            report("injecting a header")
