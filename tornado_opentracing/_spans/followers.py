# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Roots that follow from a span: what something that is over leads to, in traces of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado_opentracing._guard import report
from tornado_opentracing._spans import lifecycle, propagation
from tornado_opentracing._spans.stand_in import StandIn

if TYPE_CHECKING:
    from opentracing import Reference, Span, SpanContext, Tracer

    from tornado_opentracing._settings.config import TracingConfig


def start_root(  # noqa: PLR0917 - as of lifecycle.start, and what it follows from
    kind: type[lifecycle.Lifecycle],
    config: TracingConfig,
    tracer: Tracer,
    name: str,
    span_tags: dict[str, Any],
    leader: Span,
) -> lifecycle.Lifecycle | None:
    """Start a root that follows from a span: by reference, or by a tag where that would put it into the same trace."""
    parent, references = referring(tracer, leader, span_tags)
    return lifecycle.start(kind, config, tracer, name, span_tags, parent, True, references)


def referring(
    tracer: Tracer, leader: Span, span_tags: dict[str, Any]
) -> tuple[SpanContext | None, list[Reference] | None]:
    """The parent and the references of such a root; the tag, where it takes one, is put among its tags."""
    try:
        return propagation.refuse(tracer, leader.context, span_tags)
    except Exception:
        report("reading a span's context")
        return None, None


class LaterRoot(lifecycle.SpanLifecycle):
    """A root that starts only when something starts a span beneath it."""

    _name: str
    _tags: dict[str, Any]
    _leader: Span
    _root: lifecycle.SpanLifecycle | None
    _is_starting: bool

    def finish(self, status: int | None, outcome: object | None) -> None:
        """Finish the span, if it was started."""
        self.finished = True
        if self._root is not None:
            self._root.finish(status, outcome)

    def fail(self, error: BaseException, *, can_answer: bool = True) -> None:
        """Note an exception; it matters if there is a span."""
        if self._root is not None:
            self._root.fail(error, can_answer=can_answer)

    def _current(self) -> Span:
        if self._root is None and not self._is_starting:
            self._is_starting = True  # a tracer may look at what is active, which is this
            try:
                root = start_root(
                    lifecycle.SpanLifecycle, self.config, self.tracer, self._name, dict(self._tags), self._leader
                )
            finally:
                self._is_starting = False
            self._root = root
            if root is not None and self.finished:  # a task that it left behind
                root.finish(None, None)
        return self._leader if self._root is None else self._root.span


def later_root(config: TracingConfig, tracer: Tracer, name: str, span_tags: dict[str, Any], leader: Span) -> LaterRoot:
    """What stands for a root that follows from a span, until there is a use for it."""
    made = LaterRoot()
    made.config, made.options, made.tracer = config, config.options, tracer
    made._name, made._tags, made._leader = name, span_tags, leader
    made.finished = made._is_starting = False
    made._root = None
    made.span = stand_in(tracer, made._current, leader)
    return made


def stand_in(tracer: Tracer, current: Any, like: Span) -> StandIn:
    """A stand-in for spans of the kind of another."""
    try:
        is_unwrapped = hasattr(like, "unwrap")
    except Exception:
        report("looking at a span")
        is_unwrapped = False
    return StandIn(tracer, current, is_unwrapped)
