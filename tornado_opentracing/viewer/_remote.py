"""Spans of other processes, and of files, among those that are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from opentracing.mocktracer.context import SpanContext

from tornado_opentracing.viewer._codec import MOST_BAGGAGE, MOST_ITEMS
from tornado_opentracing.viewer._otlp_in import ReadSpan
from tornado_opentracing.viewer._span import RecordedSpan
from tornado_opentracing.viewer._store import Store
from tornado_opentracing.viewer._values import moment, text


@dataclasses.dataclass(frozen=True)
class _Sender:
    """What a span asks of its tracer."""

    service: str
    _store: Store


def record(store: Store, spans: Iterable[ReadSpan | None]) -> tuple[int, int]:
    """Keep spans. One that is kept already, for it was sent twice, is left as it is.

    :param spans: ``None`` stands for one that made no sense.
    :return: how many there were, and how many made no sense.
    """
    count = wrong = 0
    for span in spans:
        count += 1
        if span is None:
            wrong += 1
        elif not store.knows(span.trace_id, span.span_id):
            _record(store, span)
    return count, wrong


def _record(store: Store, span: ReadSpan) -> None:
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
    if span.finish_time is None:
        # Its process may be gone: it would never be over.
        made.set_tag("unfinished", True)
    last = max([made.start_time, *(log.timestamp for log in made.logs)])
    made.finish_time = last if span.finish_time is None else max(moment(span.finish_time), made.start_time)
    made.finished = True
    store.started(made, None)


def _bounded(baggage: dict[str, str]) -> dict[str, str]:
    length, found = 0, {}
    for name, value in list(baggage.items())[:MOST_ITEMS]:
        length += len(name) + len(value)
        if length > MOST_BAGGAGE:
            break
        found[text(name)] = text(value)
    return found
