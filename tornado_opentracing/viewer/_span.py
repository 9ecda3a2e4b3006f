# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A span as it is recorded: within bounds, and without an object of the application's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from opentracing import logs as log_fields
from opentracing import tags as ext
from opentracing.mocktracer.context import SpanContext
from opentracing.mocktracer.span import LogData, MockSpan

from tornado_opentracing._redaction import known_names, redact_text
from tornado_opentracing._tracebacks import exception_message, format_exception
from tornado_opentracing.viewer._codec import MOST_BAGGAGE, MOST_ITEMS
from tornado_opentracing.viewer._values import LARGEST_EXACT_INT, LONGEST, kept, length_of, moment, plain_length, text

# What one span may keep.
MOST_TAGS = 100
_MOST_LOGS = 100
_MOST_BYTES = 128 * 1024
#: How many exceptions may be beyond that, and how long the values of what is: so much is never dropped.
_MORE_ERRORS = 10
_ESSENTIAL = frozenset({ext.ERROR, ext.HTTP_STATUS_CODE, ext.SPAN_KIND})
_OF_ERRORS = (log_fields.EVENT, log_fields.ERROR_KIND, log_fields.ERROR_OBJECT, log_fields.MESSAGE, log_fields.STACK)
_LONGEST_ESSENTIAL = 2000

# What CPython takes for them, measured, without their texts.
SPAN_BYTES = 900
TAG_BYTES = 150
_LOG_BYTES = 500
#: Of what grows, this much is not known to the store.
_UNCOUNTED = 4096


class _Store(Protocol):
    """What is told of a span: see the store of the traces."""

    def finished(self, span: RecordedSpan, /) -> None: ...
    def grew(self, span: RecordedSpan, /) -> None: ...
    def erred(self, span: RecordedSpan, value: Any, /) -> None: ...


class RecordedSpan(MockSpan):
    """A span that keeps no objects of the application's alive.

    Of what is too much for it only the number is kept, in ``dropped``; its error, its status and its newest exception
    are never that.
    """

    _context: SpanContext
    tags: dict[str, Any]
    finish_time = -1.0
    finished = False
    #: Kinds of references, each with the id of the span that is referred to.
    references: tuple[tuple[str, int], ...] = ()
    #: The trace that it is kept in, if it is.
    trace: Any = None
    #: An estimate of its bytes, and what of that the store knows.
    size: int
    counted = 0
    #: How many tags, logs and baggage items were dropped.
    dropped = 0
    #: How many of its logs are records of ``logging``.
    log_records = 0
    _errors_beyond = 0

    def __init__(  # noqa: PLR0917 - names would cost every span
        self,
        tracer: Any,
        operation_name: str,
        context: SpanContext,
        parent_id: int | None,
        start_time: float,
        tags: dict[str, Any] | None,
    ) -> None:
        # Not MockSpan's, which takes a lock that nobody needs: what is done to a dictionary or list here is atomic.
        self._tracer = tracer
        self._store: _Store = tracer._store
        self.service: str = tracer.service
        self._context = context
        self.operation_name = operation_name
        self.parent_id = parent_id
        self.start_time = start_time
        self.logs = []
        size = SPAN_BYTES
        baggage = context._baggage  # type: ignore[attr-defined]  # not by way of the property, which costs
        if baggage:
            size += sum(TAG_BYTES + len(name) + len(value) for name, value in baggage.items())
        if not tags:
            self.tags = {}
            self.size = size
        elif (length := plain_length(tags)) is not None and len(tags) <= MOST_TAGS:
            self.tags = tags.copy()
            self.size = size + TAG_BYTES * len(tags) + length
        else:
            self.tags = {}
            self.size = size
            for name, value in tags.items():
                self.set_tag(name, value)

    @property
    def is_error(self) -> bool:
        """Whether it is marked as failed."""
        return self.tags.get(ext.ERROR) in (True, "true", "True")

    def become(self, other: RecordedSpan) -> None:
        """Take over what another one knows of the same span, but for its end."""
        self.operation_name, self._context = other.operation_name, other._context
        self.tags, self.logs, self.references = other.tags, other.logs, other.references
        self.dropped, self.size = other.dropped, other.size

    def set_operation_name(self, operation_name: str) -> RecordedSpan:
        """Rename the span."""
        self.operation_name = text(operation_name)
        return self

    def set_baggage_item(self, key: str, value: str) -> RecordedSpan:
        """Give a baggage item to the children that are yet to start, as far as W3C allows so much of it."""
        baggage = self._context.baggage
        name, item = text(key), text(value)
        length = sum(map(len, baggage)) + sum(map(len, baggage.values())) + len(name) + len(item)
        if length > MOST_BAGGAGE or (name not in baggage and len(baggage) >= MOST_ITEMS):
            self.dropped += 1
        else:
            self._context = self._context.with_baggage_item(name, item)
            self._grow(length)
        return self

    def get_baggage_item(self, key: str) -> str | None:
        """A baggage item, if there is one."""
        return self._context.baggage.get(key)

    def finish(self, finish_time: float | None = None) -> None:
        """End the span; now, if the time is none that could be shown. What comes after the first call does nothing."""
        if self.finished:
            return
        self.finish_time = time.time() if finish_time is None else moment(finish_time)
        self.finished = True
        self._store.finished(self)

    def set_tag(self, key: str, value: Any) -> RecordedSpan:
        """Keep a tag, as text if it is neither a number nor a truth value."""
        kind = type(value)
        if kind is str and len(value) <= LONGEST and value.isascii():
            size = len(value)
        elif kind is int and -LARGEST_EXACT_INT <= value <= LARGEST_EXACT_INT:
            size = 0
        else:
            value = kept(value)
            size = length_of(value)
        if type(key) is not str or len(key) > LONGEST or not key.isascii():
            key = text(key)
        tags = self.tags
        if key in tags:
            size -= length_of(tags[key])
        elif len(tags) < MOST_TAGS or key in _ESSENTIAL:
            size += TAG_BYTES + len(key)
        else:
            self.dropped += 1
            return self
        if size > 0 and self.size + size > _MOST_BYTES:
            if key not in _ESSENTIAL:
                self.dropped += 1
                return self
            value = text(value, _LONGEST_ESSENTIAL) if type(value) is str else value
        if key == ext.ERROR:
            self._store.erred(self, value)
        else:
            tags[key] = value
        self.size += size
        if self.finished or self.size - self.counted > _UNCOUNTED:
            self._store.grew(self)
        return self

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> RecordedSpan:
        """Keep a log, its values as text."""
        is_error = log_fields.ERROR_KIND in key_values or log_fields.ERROR_OBJECT in key_values
        has_room = len(self.logs) < _MOST_LOGS and self.size < _MOST_BYTES
        if not has_room and not is_error:
            self.dropped += 1
            return self
        fields = _fields_of(key_values)
        size = _size_of(fields)
        if not has_room or self.size + size > _MOST_BYTES:
            self.dropped += 1
            if not is_error:
                return self
            fields = {name: text(fields[name], _LONGEST_ESSENTIAL) for name in _OF_ERRORS if name in fields}
            size = _size_of(fields)
            self._errors_beyond += 1
            if self._errors_beyond > _MORE_ERRORS:
                self.logs.pop()
                size = 0
        self.logs.append(LogData(fields, moment(timestamp)))
        self._grow(size)
        return self

    def _grow(self, size: int) -> None:
        self.size += size
        if self.finished or self.size - self.counted > _UNCOUNTED:
            self._store.grew(self)

    def __repr__(self) -> str:
        return f"<span {self.operation_name!r}>"


def _size_of(fields: Mapping[str, Any]) -> int:
    return _LOG_BYTES + sum(TAG_BYTES + len(name) + length_of(value) for name, value in fields.items())


def _fields_of(key_values: Mapping[str, Any]) -> dict[str, Any]:
    error = key_values.get(log_fields.ERROR_OBJECT)
    fields = dict(list(key_values.items())[:MOST_TAGS])
    if isinstance(error, BaseException):
        # As OpenTracing's own scopes log it: the text as it is, the traceback as an object.
        fields[log_fields.ERROR_OBJECT] = exception_message(error)
        if log_fields.MESSAGE in fields:
            fields[log_fields.MESSAGE] = redact_text(text(fields[log_fields.MESSAGE]), known_names())
        if not isinstance(fields.get(log_fields.STACK), str):
            fields[log_fields.STACK] = format_exception(error)
    return {text(name): kept(value) for name, value in fields.items()}
