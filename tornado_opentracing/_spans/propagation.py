# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace context in headers: read from those of a request, written into those of a fetch or a response."""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any

from opentracing import Format, SpanContextCorruptedException, follows_from

from tornado_opentracing._guard import ask, report
from tornado_opentracing._spans import trace_headers
from tornado_opentracing._spans.trace_headers import is_baggage, written_by

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from opentracing import Reference, Span, SpanContext, Tracer
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_HTTP_HEADERS = Format.HTTP_HEADERS

#: A tag of a root that has its place in another trace, but is none of its spans.
FOLLOWS_FROM = "follows_from"
_LONGEST_FOLLOWS_FROM = 512


def extract(
    tracer: Tracer, headers: HTTPHeaders, read: Callable[[HTTPHeaders], SpanContext | None] | None = None
) -> SpanContext | None:
    """The span context that a request's headers carry, if they carry one.

    The carrier is a plain ``dict`` with lower-case keys, which every codec can read: some want a real ``dict``, some
    look up lower-case names, and Tornado's ``HTTPHeaders`` is neither.

    :param read: what looks into Tornado's headers itself, where the tracer has such a thing.
    """
    try:
        if read is not None:
            return read(headers)
        carrier: dict[str, str] = {}
        for name, values in headers._as_list.items():
            try:
                lower = _in_lower_case[name]
            except KeyError:
                lower = _lower(name)
            carrier[lower] = ",".join(values)
        return tracer.extract(_HTTP_HEADERS, carrier)
    except SpanContextCorruptedException:
        if type(tracer) not in _raising_for_absence and not _raises_for_absence(tracer):
            report("reading the trace headers of a request")
    except Exception:
        report("reading the trace headers of a request")
    return None


#: Names of headers as they are written, which are the same in nearly all requests.
_in_lower_case: dict[str, str] = {}
_MOST_NAMES, _LONGEST_NAME = 1000, 100


def _lower(name: str) -> str:
    lower = name.lower()
    if len(name) <= _LONGEST_NAME:
        if len(_in_lower_case) >= _MOST_NAMES:
            _in_lower_case.clear()
        _in_lower_case[name] = lower
    return lower


#: Kinds of tracers whose codec calls headers corrupted that are merely not there, as ``MockTracer`` does.
_raising_for_absence: set[type] = set()


def _raises_for_absence(tracer: Tracer) -> bool:
    try:
        tracer.extract(_HTTP_HEADERS, {})
    except SpanContextCorruptedException:
        _raising_for_absence.add(type(tracer))
        return True
    except Exception:
        return False
    return False


def accepts(accept_parent: bool | Callable[[HTTPServerRequest], object], request: HTTPServerRequest) -> bool:
    """Whether a request may bring its parent; where nobody can tell, it may not."""
    if isinstance(accept_parent, bool):
        return accept_parent
    return ask("accept_parent", accept_parent, request, otherwise=False, meaning=bool)


def refuse(
    tracer: Tracer, context: SpanContext, span_tags: dict[str, Any]
) -> tuple[SpanContext | None, list[Reference] | None]:
    """The parent and the references of a root that follows from a context, of which it takes nothing over.

    OpenTelemetry's tracers take a reference for no more than it is where there is a parent, even one that is none. All
    others go on in the trace of the first reference: with them it is a tag that says so.
    """
    try:
        if hasattr(context, "unwrap"):
            if not context.unwrap().is_valid:
                return None, None
            nothing: Any = type(context)
            return nothing(sys.modules["opentelemetry.trace"].INVALID_SPAN_CONTEXT), [follows_from(context)]
        carrier: dict[Any, Any] = {}
        tracer.inject(context, _HTTP_HEADERS, carrier)
        ids = "; ".join(f"{name}={value}" for name, value in carrier.items() if not is_baggage(name))
        if ids:
            span_tags[FOLLOWS_FROM] = ids[:_LONGEST_FOLLOWS_FROM]
    except Exception:
        report("referring to a parent that is not accepted")
    return None, None


# What Tornado and HTTP allow in a header; anything else would make the application's own message fail.
_is_header_name = functools.lru_cache(maxsize=256)(re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch)
_is_header_value = re.compile(r"[\t\x20-\x7e]*").fullmatch
# Baggage that somebody sent goes on with every fetch: more of it than that, the limit of W3C's Baggage, could make a
# message too large for whoever receives it.
_MOST_INJECTED = 8192


def inject(tracer: Tracer, span: Span, headers: MutableMapping[str, str], write: Any = None) -> dict[str, str]:
    """Write the span's context into headers, in place of what they carried of any; return what was written.

    :param write: a tracer's own way to write what it knows to be valid, where there is nothing that it could replace.
    """
    carrier: dict[Any, Any] = {}
    written: dict[str, str] = {}
    try:
        if write is not None and not headers:
            written = write(tracer, span, headers)
            if written:
                return written
        tracer.inject(span.context, _HTTP_HEADERS, carrier)
    except Exception:
        report("injecting a span")
        return written
    try:
        # Also where there is nothing to take out now: another time there may be, and the tracer not write it then.
        known = trace_headers.known.get(type(tracer))
        if headers or known is None or not known.names.issuperset(carrier):
            written_by(tracer, carrier).take_out_of(headers, carrier)
    except Exception:
        report("taking other trace headers out")
    room = _MOST_INJECTED
    for name, value in carrier.items():
        # One by one: a baggage item that HTTP cannot carry must not cost the trace its continuation.
        try:
            size = len(name) + len(value)
            if size > room:
                raise ValueError(f"the tracer's header {name[:100]!r} does not fit into {_MOST_INJECTED} bytes")
            # Nearly all are, which takes less time to see than that they match.
            is_printable = type(value) is str and value.isascii() and value.isprintable()
            if not _is_header_name(name) or not (is_printable or _is_header_value(value)):
                raise ValueError(f"the tracer's header {name!r} is no valid HTTP header")
            room -= size
            headers[name] = written[name] = value
        except Exception:
            report("injecting a header")
    return written


def withhold(tracer: Tracer, span: Span, headers: MutableMapping[str, str]) -> None:
    """Take out of headers whatever carries trace context: who gets them is to learn of no trace.

    What an application forwards of a request that it serves is no less a trace id than what would be injected.
    """
    if not headers:
        return
    carrier: dict[Any, Any] = {}
    try:
        tracer.inject(span.context, _HTTP_HEADERS, carrier)
    except Exception:
        report("injecting a span")
    try:
        written_by(tracer, carrier).take_out_of(headers, carrier, all_known=True)
    except Exception:
        report("withholding trace headers")


_SERVER_TIMING = "Server-Timing"
_EXPOSED = "Access-Control-Expose-Headers"


def inject_into_response(tracer: Tracer, span: Span, headers: HTTPHeaders) -> None:
    """Tell the client in a response's headers which trace its request belongs to.

    Beside what the tracer injects there is a ``traceparent`` in ``Server-Timing``, which a browser's own API reads, and
    scripts of other origins may read all of these where the response is for such.
    """
    written = inject(tracer, span, headers)
    try:
        names = list(written)
        traceparent = _traceparent(span, written)
        if traceparent is not None:
            headers.add(_SERVER_TIMING, f'traceparent;desc="{traceparent}"')
            names.append(_SERVER_TIMING)
        if "Access-Control-Allow-Origin" in headers:
            exposed = {name.strip().lower() for name in headers.get(_EXPOSED, "").split(",")}
            missing = [name for name in names if name.lower() not in exposed]
            if missing:
                headers.add(_EXPOSED, ", ".join(missing))
    except Exception:
        report("telling a client of its trace")


_is_traceparent = re.compile(r"[0-9a-f-]{1,256}").fullmatch


def _traceparent(span: Span, written: dict[str, str]) -> str | None:
    """The span's context as W3C's ``traceparent``: as the tracer wrote it, or as OpenTelemetry's has it."""
    value = next((value for name, value in written.items() if name.lower() == "traceparent"), None)
    if value is not None:
        return value if _is_traceparent(value) else None
    context: Any = span.context
    found = context.unwrap() if hasattr(context, "unwrap") else None
    if found is None or not found.is_valid:
        return None
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
