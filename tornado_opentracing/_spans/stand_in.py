# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A span that stands for another, which is known only when somebody asks.

A scope holds one span for as long as there is anybody who inherited it. Where that is to be another one later, as the
parent of what is started then, a stand-in is what is made active.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentracing import Span

if TYPE_CHECKING:
    from opentracing import SpanContext, Tracer


class StandIn(Span):
    """Does whatever it is asked for with the span that it stands for at that moment.

    :param is_unwrapped: whether the tracer is one of OpenTelemetry's, whose scope managers look for a span of theirs
        within.
    """

    def __init__(self, tracer: Tracer, current: Callable[[], Span], is_unwrapped: bool) -> None:
        self._tracer = tracer
        self._current = current
        if is_unwrapped:
            self.unwrap = functools.partial(_inner(), lambda: self._current().unwrap())  # type: ignore[attr-defined]

    @property
    def context(self) -> SpanContext:
        return self._current().context

    @property
    def tracer(self) -> Tracer:
        return self._tracer

    def set_operation_name(self, operation_name: str) -> StandIn:
        self._current().set_operation_name(operation_name)
        return self

    def finish(self, finish_time: float | None = None) -> None:
        self._current().finish(finish_time)

    def set_tag(self, key: str, value: Any) -> StandIn:
        self._current().set_tag(key, value)
        return self

    def log_kv(self, key_values: dict[str, Any], timestamp: float | None = None) -> StandIn:
        self._current().log_kv(key_values, timestamp)
        return self

    def set_baggage_item(self, key: str, value: str) -> StandIn:
        self._current().set_baggage_item(key, value)
        return self

    def get_baggage_item(self, key: str) -> str | None:
        return self._current().get_baggage_item(key)

    def __getattr__(self, name: str) -> Any:
        # What a tracer's own spans have beside.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._current(), name)


@functools.cache
def _inner() -> Any:
    """The same for OpenTelemetry's spans, which need not be installed."""
    from opentelemetry import trace  # noqa: PLC0415 - where there is such a tracer, it is there

    def ask(name: str) -> Any:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            return getattr(self._current(), name)(*args, **kwargs)

        return functools.wraps(getattr(trace.Span, name))(method)

    class Inner(trace.NonRecordingSpan):
        def __init__(self, current: Callable[[], Any]) -> None:
            super().__init__(trace.INVALID_SPAN_CONTEXT)
            self._current = current

    for name in dir(trace.Span):
        if not name.startswith("_"):
            setattr(Inner, name, ask(name))
    return Inner
