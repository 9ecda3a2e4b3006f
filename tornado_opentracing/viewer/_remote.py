# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans of other processes, and of files, among those that are kept."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

from opentracing.mocktracer.context import SpanContext

from tornado_opentracing.viewer._codec import MOST_BAGGAGE, MOST_ITEMS
from tornado_opentracing.viewer._otlp_in import ReadSpan
from tornado_opentracing.viewer._span import RecordedSpan
from tornado_opentracing.viewer._store import Store
from tornado_opentracing.viewer._values import moment, text

#: For how many seconds it is believed that a span is running: its process says so again within.
BELIEVED = 10.0
_MOST_ELSEWHERE = 10_000

#: The tag of a span that was never seen to be finished.
_UNFINISHED = "unfinished"


@dataclasses.dataclass(frozen=True)
class _Sender:
    """What a span asks of its tracer."""

    service: str
    _store: Store


def record(store: Store, spans: Iterable[ReadSpan | None]) -> tuple[int, int]:
    """Keep spans. One that is kept already is left as it is, unless it was running elsewhere.

    :param spans: ``None`` stands for one that made no sense.
    :return: how many there were, and how many made no sense.
    """
    count = wrong = 0
    for span in spans:
        count += 1
        if span is None:
            wrong += 1
        elif (known := store.find(span.trace_id, span.span_id)) is None:
            made = _made(store, span)
            store.started(made, None)
            _believe(store, made)
        elif known in store.elsewhere or (known.finished and _UNFINISHED in known.tags):
            _go_on(store, known, _made(store, span))
    return count, wrong


def forget_the_lost(store: Store) -> None:
    """End the spans of which their process says no more that they are running."""
    now = time.monotonic()
    for span, until in list(store.elsewhere.items()):
        if until <= now:
            del store.elsewhere[span]
            span.set_tag(_UNFINISHED, True)
            span.finish(time.time() - (now - until) - BELIEVED)


def _believe(store: Store, span: RecordedSpan) -> None:
    if not span.finished and span.trace is not None:  # or there was no room for it
        store.elsewhere[span] = time.monotonic() + BELIEVED


def _go_on(store: Store, known: RecordedSpan, now: RecordedSpan) -> None:
    """Have a span be what its process says of it now."""
    if not known.finished:
        store.elsewhere.pop(known, None)
        store.replace(known, now)
        _believe(store, known)
    elif now.finished and _UNFINISHED not in now.tags:
        store.replace(known, now)


def _made(store: Store, span: ReadSpan) -> RecordedSpan:
    context = SpanContext(span.trace_id, span.span_id, _bounded(span.baggage))
    made = RecordedSpan(
        _Sender(text(span.service), store), text(span.name), context, span.parent_id, moment(span.start_time), None
    )
    for name, value in span.tags.items():
        made.set_tag(name, value)
    for timestamp, fields in span.logs:
        made.log_kv(fields, timestamp)
    made.references = span.references[:MOST_ITEMS]
    made.dropped += span.dropped
    if span.is_running and len(store.elsewhere) < _MOST_ELSEWHERE:
        return made
    if span.finish_time is None:
        # Its process may be gone: it would never be over.
        made.set_tag(_UNFINISHED, True)
    last = max([made.start_time, *(log.timestamp for log in made.logs)])
    made.finish_time = last if span.finish_time is None else max(moment(span.finish_time), made.start_time)
    made.finished = True
    return made


def _bounded(baggage: dict[str, str]) -> dict[str, str]:
    length, found = 0, {}
    for name, value in list(baggage.items())[:MOST_ITEMS]:
        length += len(name) + len(value)
        if length > MOST_BAGGAGE:
            break
        found[text(name)] = text(value)
    return found
