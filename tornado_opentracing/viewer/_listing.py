# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which traces are in the list, in which order, and what of it changed since it was sent."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tornado_opentracing.viewer import _pages, _search

if TYPE_CHECKING:
    from tornado_opentracing.viewer._pages import Summary
    from tornado_opentracing.viewer._trace import Trace

#: How many traces a page of the list has.
MOST_LISTED = 500

ORDERS: dict[str, Callable[[Summary], Any]] = {
    "time": lambda summary: summary.begin,
    "duration": lambda summary: summary.duration_ms,
    "spans": lambda summary: summary.spans + summary.dropped,
    "errors": lambda summary: summary.errors,
}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for of the list.

    :param search: see :func:`_search.read`.
    :param sort: ``time``, ``duration``, ``spans`` or ``errors``; the most first with a minus before it. Another one is
        ``-time``.
    :param page: from 1.
    """

    search: str = ""
    sort: str = "-time"
    page: int = 1


class Listing:
    """The list as one who looks at it has it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._search = _search.read(wanted.search)
        self._known: dict[int, tuple[Summary, bool]] = {}
        self._sent: dict[str, Summary] = {}
        self._last: dict[str, Any] = {}

    def summaries(self, traces: Iterable[Trace]) -> list[Summary]:
        """The traces that are found, in the order that is wanted; what is over and was looked at is known."""
        known: dict[int, tuple[Summary, bool]] = {}
        for trace in traces:
            summary, is_admitted = self._known.get(trace.trace_id, (None, False))
            size = len(trace), trace.dropped
            if summary is None or summary.is_open or (summary.spans, summary.dropped) != size:
                summary = _pages.summary_of(trace)
                is_admitted = self._search.admits(summary, trace.spans)
            known[trace.trace_id] = summary, is_admitted
        self._known = known
        found = [summary for summary, is_admitted in known.values() if is_admitted]
        name = self._wanted.sort.removeprefix("-")
        if self._wanted.sort != "-time" and name in ORDERS:
            found.sort(key=ORDERS[name], reverse=self._wanted.sort.startswith("-"))
        return found

    def all(self, traces: Iterable[Trace]) -> dict[str, Any]:
        """The wanted page of the list."""
        page, listed = self._page(traces)
        return {**page, "rows": {summary.trace_id: summary.as_json() for summary in listed}}

    def change(self, traces: Iterable[Trace]) -> str | None:
        """The page as JSON, with those rows only that were not sent like this before; ``None`` if all was."""
        page, listed = self._page(traces)
        now = page.pop("now")
        changed = [summary for summary in listed if self._sent.get(summary.trace_id) is not summary]
        if page == self._last and not changed:
            return None
        self._sent, self._last = {summary.trace_id: summary for summary in listed}, page
        rows = {summary.trace_id: summary.as_json() for summary in changed}
        return json.dumps({**page, "now": now, "rows": rows}, default=str)

    def _page(self, traces: Iterable[Trace]) -> tuple[dict[str, Any], list[Summary]]:
        found = self.summaries(traces)
        first = (self._wanted.page - 1) * MOST_LISTED
        listed = found[first : first + MOST_LISTED]
        page = {
            "now": time.time(),
            "total": len(found),
            "page": self._wanted.page,
            "pages": max(-(-len(found) // MOST_LISTED), 1),
            "not_understood": self._search.not_understood,
            "order": [summary.trace_id for summary in listed],
        }
        return page, listed
