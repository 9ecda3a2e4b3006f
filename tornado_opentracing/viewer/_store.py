# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The traces that are kept, in bounds of bytes and numbers."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, defaultdict, deque
from typing import Any

from opentracing import tags as ext

from tornado_opentracing.viewer._span import RecordedSpan
from tornado_opentracing.viewer._trace import TRACE_BYTES, Trace

#: Of one trace no more than this part of all bytes is kept: who sends a ``traceparent`` again and again has one trace.
_PART_OF_ONE_TRACE = 4

_FAILED_RANK = 100


class Store:
    """Keeps traces. Spans may come from any thread.

    Where there is no room, of the traces that are finished those go first that were successful and quick, among these
    the oldest; but the newer half of all that are finished is not looked at. One that is running never goes: where
    nothing else is left, spans are not kept.
    """

    def __init__(self, max_traces: int, max_spans_per_trace: int, max_bytes: int) -> None:
        self.version = 0
        #: How many traces were not kept at all, for want of room.
        self.refused = 0
        self.viewer_paths: list[re.Pattern[str]] = []
        #: Where spans are put that are finished, and traces that are let go, for whoever hands them on.
        self.outbox: deque[RecordedSpan] | None = None
        self.let_go: deque[int] | None = None
        #: Spans that run in other processes, and until when that is believed, by ``time.monotonic()``.
        self.elsewhere: dict[RecordedSpan, float] = {}
        self._max_traces = max_traces
        self._max_spans = max_spans_per_trace
        # What is not counted, such as the tables of the dictionaries here, takes a little too.
        self._max_bytes = max_bytes - max_bytes // 16
        self._most_of_one = max_bytes // _PART_OF_ONE_TRACE
        # The collector may call a finalizer in the middle of it all, which finishes a span.
        self._lock = threading.RLock()
        self._empty()

    def _empty(self) -> None:
        self._size = 0
        self._traces: dict[int, Trace] = {}
        self._newer: OrderedDict[int, Trace] = OrderedDict()
        #: By what they are worth.
        self._older: defaultdict[int, OrderedDict[int, Trace]] = defaultdict(OrderedDict)
        self._count_of_older = 0

    def started(self, span: RecordedSpan, parent: Any) -> None:
        """Keep a span, if there is room for it."""
        trace_id: Any = span._context.trace_id
        size = span.size
        with self._lock:
            self.version += 1
            trace = self._traces.get(trace_id)
            is_new = trace is None
            if trace is None:
                # What was refused does not come back by its children, which would look like roots.
                is_refused = parent is not None and getattr(parent, "is_refused", False)
                if is_refused or (self._size + size > self._max_bytes and not self._make_room(size)):
                    span._context.is_refused = True  # type: ignore[attr-defined]
                    self.refused += 1
                    return
                trace = self._traces[trace_id] = Trace(trace_id)
                self._size += TRACE_BYTES
            else:
                is_full = trace.size > self._most_of_one or len(trace._spans) >= self._max_spans
                if is_full or (self._size + size > self._max_bytes and not self._make_room_beside(trace, size)):
                    trace.dropped += 1
                    return
                if trace.lies_in is not None:
                    self._move(trace, None)
            trace.add(span)
            trace.size += size
            self._size += size
            span.counted = size
            if span.finished:  # it comes so, from elsewhere
                if self.outbox is not None:
                    self.outbox.append(span)
                if not trace.running:
                    self._move(trace, self._newer)
            if is_new and (self._size > self._max_bytes or len(self._traces) > self._max_traces):
                self._make_room()

    def finished(self, span: RecordedSpan) -> None:
        """Take note that a span is finished."""
        with self._lock:
            self.version += 1
            if self.outbox is not None:
                self.outbox.append(span)
            trace: Trace | None = span.trace
            # While one of its spans is running, a trace is never let go; but it may be forgotten.
            if trace is None or self._traces.get(trace.trace_id) is not trace:
                return
            growth = span.size - span.counted
            if growth:
                span.counted = span.size
                trace.size += growth
                self._size += growth
            if span.finish_time > trace.end:
                trace.ended(span)
            trace.running -= 1
            if not trace.running:
                self._newer[trace.trace_id] = trace
                trace.lies_in = self._newer

    def find(self, trace_id: int, span_id: int) -> RecordedSpan | None:
        """A span, if it is kept."""
        with self._lock:
            trace = self._traces.get(trace_id)
            return None if trace is None else trace.find(span_id)

    def replace(self, span: RecordedSpan, by: RecordedSpan) -> None:
        """Have a span be what is known of it by now: its tags and logs, and its end, if it has one."""
        with self._lock:
            self.version += 1
            before = span.is_error
            span.become(by)
            trace = self._trace_of(span)
            if trace is not None:
                trace.errors += span.is_error - before
                trace.running += span.finished
                self._move(trace, None)
                self._count_growth(span, trace)
            span.finished = False
        if by.finished:
            span.finish(by.finish_time)

    def running(self, since: float, until: float) -> list[RecordedSpan]:
        """What began between two times, in seconds since the epoch, and is not finished."""
        with self._lock:
            return [
                span
                for trace in self._traces.values()
                if trace.running
                for span in trace._spans
                if not span.finished and since <= span.start_time < until
            ]

    def after_fork(self) -> None:
        """Be usable in a child, where whoever held the lock is gone."""
        self._lock = threading.RLock()

    def grew(self, span: RecordedSpan) -> None:
        """Take note that a span has become larger."""
        with self._lock:
            trace = self._trace_of(span)
            if trace is not None:
                self._count_growth(span, trace)

    def erred(self, span: RecordedSpan, value: Any) -> None:
        """Set a span's tag ``error``."""
        with self._lock:
            before = span.is_error
            span.tags[ext.ERROR] = value
            trace = self._trace_of(span)
            if trace is not None:
                trace.errors += span.is_error - before

    def traces(self) -> list[Trace]:
        """All traces, the newest first."""
        with self._lock:
            return list(reversed(self._traces.values()))

    def trace(self, trace_id: int) -> Trace | None:
        """A trace, if it is kept."""
        return self._traces.get(trace_id)

    def clear(self) -> None:
        """Forget all traces."""
        with self._lock:
            self.version += 1
            self._empty()

    def _trace_of(self, span: RecordedSpan) -> Trace | None:
        trace: Trace | None = span.trace
        return trace if trace is not None and self._traces.get(trace.trace_id) is trace else None

    def _make_room_beside(self, trace: Trace, size: int) -> bool:
        rests = trace.lies_in
        self._move(trace, None)  # or it would itself be let go
        has_room = self._make_room(size)
        self._move(trace, rests)
        return has_room

    def _count_growth(self, span: RecordedSpan, trace: Trace) -> None:
        growth = span.size - span.counted
        span.counted = span.size
        trace.size += growth
        self._size += growth
        if self._size > self._max_bytes:
            self._make_room()

    def _make_room(self, needed: int = 0) -> bool:
        """Let traces go until there is room for so many bytes; return whether there is."""
        newer, older = self._newer, self._older
        while self._size + needed > self._max_bytes or len(self._traces) > self._max_traces:
            while len(newer) > self._count_of_older:
                trace_id, trace = newer.popitem(last=False)
                # More where it failed; else by its duration, in steps of twice as long from 10 ms.
                rank = _FAILED_RANK if trace.errors else int((trace.end - trace.begin) * 100).bit_length()
                older[rank][trace_id] = trace
                trace.lies_in = older[rank]
                self._count_of_older += 1
            if not self._count_of_older:
                break
            least = older[0] or older[min([rank for rank, traces in older.items() if traces])]
            trace_id, trace = least.popitem(last=False)
            self._count_of_older -= 1
            trace.lies_in = None
            del self._traces[trace_id]
            self._size -= trace.size
            if self.let_go is not None:
                self.let_go.append(trace_id)
            for span in trace._spans:  # each other's, they would wait for the collector
                span.trace = None
        return self._size + needed <= self._max_bytes

    def _move(self, trace: Trace, to: OrderedDict[int, Trace] | None) -> None:
        """Have a trace wait among others, or nowhere."""
        before = trace.lies_in
        if before is not None:
            del before[trace.trace_id]
            self._count_of_older -= before is not self._newer
        trace.lies_in = to
        if to is not None:
            to[trace.trace_id] = trace
            self._count_of_older += to is not self._newer
