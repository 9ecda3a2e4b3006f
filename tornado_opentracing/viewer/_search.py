# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the list is searched for: one line, such as ``tea service:shop status:>=500 duration:>100ms db.type=sql``."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tornado_opentracing.viewer._text import pattern_of, routes_by_parent

if TYPE_CHECKING:
    from tornado_opentracing.viewer._pages import Summary

#: Each trace is compared with every term.
_LONGEST = 500
_MOST_TERMS = 20

_TERMS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_TAG = re.compile(r"([A-Za-z_][\w.\-]*)=(.*)", re.DOTALL)
_COMPARED = re.compile(r"(>=|<=|>|<|=)?([0-9]{1,15}(?:\.[0-9]{1,15})?)([a-z\u03bc]*)")
_TRACE_ID = re.compile(r"[0-9a-f]{8,32}")

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_IN_MS = {"us": 1e-3, "\u03bcs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6}

_OfSummary = Callable[["Summary"], bool]
#: Of a span and what those are called that do the same.
_OfSpan = Callable[[Any, str], bool]


@dataclasses.dataclass(frozen=True)
class Search:
    """A search that was read; see :func:`read`."""

    of_summary: tuple[_OfSummary, ...] = ()
    #: What some span of the trace must be like.
    of_spans: tuple[_OfSpan, ...] = ()
    #: Terms that say nothing, and are left out: what is half typed, say.
    not_understood: tuple[str, ...] = ()

    def admits(self, summary: Summary, spans: Iterable[Any]) -> bool:
        """Whether a trace is shown. The spans are looked at only where a term is about them."""
        if not all(test(summary) for test in self.of_summary):
            return False
        if not self.of_spans:
            return True
        found = list(spans)
        routes = routes_by_parent(found)
        named = [(span, pattern_of(span, routes)) for span in found]
        return all(any(test(span, pattern) for span, pattern in named) for test in self.of_spans)


def read(text: str) -> Search:
    """Read a search. A trace must be as every term says; upper and lower case are alike.

    =====================  ==========================================================================
    ``tea``, ``"a b"``     what its row in the list says has this in it; or its id begins so
    ``service:shop``       one of its services has this in its name
    ``route:/tea``         the first request's route or path has this in it
    ``operation:"GET /"``  one of its spans is called so, numbers and ids in its name aside
    ``status:>=500``       also ``5xx``, ``404``, ``<400``, ``running`` and ``left``: by the client
    ``duration:>100ms``    with ``us``, ``ms``, ``s``, ``min`` or ``h``; ``ms`` where there is none
    ``error``              a span of it failed
    ``db.type=sql``        a span of it has this tag with this value
    =====================  ==========================================================================
    """
    of_summary: list[_OfSummary] = []
    of_spans: list[_OfSpan] = []
    not_understood: list[str] = []
    for term in _TERMS.findall(text[:_LONGEST])[:_MOST_TERMS]:
        name, colon, rest = term.partition(":")
        value = rest.replace('"', "").casefold()
        if colon and name.lower() in _NAMED:
            test = _NAMED[name.lower()](value) if value else None
            if test is None:
                not_understood.append(term)
            else:
                of_summary.append(test)
        elif colon and name.lower() == "operation":
            of_spans.append(_of_operation(value))
        elif term.lower() == "error":
            of_summary.append(lambda summary: summary.errors > 0)
        elif tag := _TAG.fullmatch(term):
            of_spans.append(_of_tag(tag[1], tag[2].replace('"', "")))
        else:
            of_summary.append(_of_word(term.replace('"', "").casefold()))
    return Search(tuple(of_summary), tuple(of_spans), tuple(not_understood))


def _of_word(word: str) -> _OfSummary:
    is_id = bool(_TRACE_ID.fullmatch(word))
    digits = word.lstrip("0")

    def test(summary: Summary) -> bool:
        return (
            word in summary.text.casefold()
            or (":" in word and summary.time.startswith(word))
            or (is_id and summary.trace_id.startswith(digits))
        )

    return test


def _of_service(value: str) -> _OfSummary:
    return lambda summary: any(value in service.casefold() for service in summary.services)


def _of_route(value: str) -> _OfSummary:
    return lambda summary: value in summary.route.casefold() or value in summary.path.casefold()


def _of_status(value: str) -> _OfSummary | None:
    if re.fullmatch("[1-5]x{1,2}", value):
        return lambda summary: summary.status.startswith(value[0])
    if value == "running":
        return lambda summary: summary.is_open
    if value == "left":
        return lambda summary: summary.has_left
    test = _comparison(value, {"": 1})
    return test and (lambda summary: summary.status.isdecimal() and test(float(summary.status)))


def _of_duration(value: str) -> _OfSummary | None:
    test = _comparison(value, {"": 1, **_IN_MS})
    return test and (lambda summary: test(summary.duration_ms))


def _comparison(value: str, units: dict[str, float]) -> Callable[[float], bool] | None:
    match = _COMPARED.fullmatch(value)
    if not match or match[3] not in units:
        return None
    compare, wanted = _COMPARISONS[match[1] or "="], float(match[2]) * units[match[3]]
    return lambda found: compare(found, wanted) or (not match[1] and math.isclose(found, wanted))


_NAMED: dict[str, Callable[[str], _OfSummary | None]] = {
    "service": _of_service,
    "route": _of_route,
    "status": _of_status,
    "duration": _of_duration,
}


def _of_operation(value: str) -> _OfSpan:
    return lambda _, pattern: value in pattern.casefold()


def _of_tag(name: str, value: str) -> _OfSpan:
    wanted = value.casefold()
    return lambda span, _: name in span.tags and str(span.tags[name]).casefold() == wanted
