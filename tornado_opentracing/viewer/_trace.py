# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A trace as it is kept: what the list shows of it is known as its spans arrive, so that no list looks at them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from opentracing import tags as ext

from tornado_opentracing.viewer._span import RecordedSpan
from tornado_opentracing.viewer._values import is_idle

# Looked up for every span.
_ERROR, _KIND, _SERVER, _CLIENT = ext.ERROR, ext.SPAN_KIND, ext.SPAN_KIND_RPC_SERVER, ext.SPAN_KIND_RPC_CLIENT

#: What CPython takes for it, measured.
TRACE_BYTES = 900


class Trace:
    """What is known of one trace. It goes on changing as its spans arrive."""

    #: The span that the trace is named after, and when it began.
    first: RecordedSpan
    begin: float
    #: Of its spans that are kept: when the last one ended that worked, how many are running, and how many failed.
    end = 0.0
    running = errors = 0
    #: How many spans were not kept.
    dropped = 0
    #: The first span of a server, and of a client.
    server: RecordedSpan | None = None
    client: RecordedSpan | None = None
    #: The services, in the order in which they were seen.
    services: tuple[str, ...] = ()
    #: An estimate of its bytes, those of its spans among them.
    size = TRACE_BYTES
    _by_id: dict[Any, RecordedSpan] | None = None
    #: Among which traces it waits for its eviction; ``None`` while it is running.
    lies_in: OrderedDict[int, Trace] | None = None

    def __init__(self, trace_id: int) -> None:
        self.trace_id = trace_id
        self._spans: list[RecordedSpan] = []

    @property
    def spans(self) -> list[RecordedSpan]:
        """Those that are kept, in the order in which they started."""
        return self._spans[:]

    @property
    def status(self) -> str:
        """The status of the response to the first request that a server took; of a fetch where there is none."""
        span = self.server or self.client
        return "" if span is None else str(span.tags.get(ext.HTTP_STATUS_CODE, ""))

    @property
    def has_left(self) -> bool:
        """Whether the client of that request left before it had its response."""
        return self.server is not None and self.server.finished and ext.HTTP_STATUS_CODE not in self.server.tags

    def find(self, span_id: int) -> RecordedSpan | None:
        """A span, if it is kept; asked of those that come from elsewhere, and may come twice."""
        if self._by_id is None:
            self._by_id = {span._context.span_id: span for span in self._spans}
        return self._by_id.get(span_id)

    def _look_whether_first(self, span: RecordedSpan) -> None:
        first = self.first
        # A parent that comes after its child is of another process, whose clock may be another.
        is_parent = first.parent_id == span._context.span_id
        if is_parent or (span.start_time < first.start_time and span.parent_id != first._context.span_id):
            self.first = span

    def ended(self, span: RecordedSpan) -> None:
        """Know when the last span ended; how long a connection was idle is no part of what the trace took."""
        if span.finish_time > self.end and not (self.end and is_idle(span.tags)):
            self.end = span.finish_time

    def __len__(self) -> int:
        return len(self._spans)

    def add(self, span: RecordedSpan) -> None:
        """Keep a span, and know what the list shows of it."""
        span.trace = self
        start_time, tags, spans = span.start_time, span.tags, self._spans
        if not spans:
            self.first = span
            self.begin = start_time
        else:
            if start_time < self.begin:  # noqa: PLR1730 - min() costs every span
                self.begin = start_time
            first = self.first
            if first.parent_id is not None or start_time < first.start_time:
                self._look_whether_first(span)
        spans.append(span)
        if self._by_id is not None:
            self._by_id[span._context.span_id] = span
        if span.finished:
            self.ended(span)
        else:
            self.running += 1
        if _ERROR in tags:
            self.errors += span.is_error
        if span.service not in self.services:
            self.services += (span.service,)
        kind = tags.get(_KIND)
        if kind == _SERVER:
            if self.server is None or start_time < self.server.start_time:
                self.server = span
        elif kind == _CLIENT and (self.client is None or start_time < self.client.start_time):
            self.client = span
