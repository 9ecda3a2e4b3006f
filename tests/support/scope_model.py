# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is active where, said in a few lines, and a machine that does the same things to a scope manager.

It uses nothing of the package but its public names.
"""

from __future__ import annotations

import contextvars
import dataclasses
from collections.abc import Callable, Generator
from typing import Any, Protocol

from opentelemetry import context as otel
from opentelemetry import trace

from tornado_opentracing import no_parent_scope

#: Each is an operation of :class:`Machine`, with how often it is done.
OURS = {"open": 5, "open in a generator": 2, "cut": 1, "close": 6, "start a task": 3}
BOTH = {**OURS, "open with OpenTelemetry": 3, "open with OpenTelemetry in a generator": 2}


@dataclasses.dataclass(eq=False)
class Layer:
    """Something that was opened in a context: a scope, a span of OpenTelemetry's, or (``kind``) a cut."""

    kind: str
    home: Context
    span: Any = None
    close: Callable[[], object] = lambda: None
    is_open: bool = True
    closed_elsewhere: bool = False
    #: Those above it when it was closed, which it waits for.
    above: list[Layer] = dataclasses.field(default_factory=list)
    #: The stack of its context when it was opened.
    before: list[Layer] = dataclasses.field(default_factory=list)

    @property
    def waits(self) -> bool:
        return any(layer.is_open for layer in self.above)

    def counts(self, context: Context) -> bool:
        """Whether it hides what lies below it in a context."""
        if self.is_open or self.kind == "theirs":
            return True  # OpenTelemetry's API alone takes its spans off a stack
        if context is self.home:
            return False
        # Who inherited it keeps it, unless it was closed by somebody else.
        return not self.closed_elsewhere or self.kind == "cut" or self.waits


@dataclasses.dataclass(eq=False)
class Context:
    """A task, say, and the stack that it sees: what it inherited and what it opened."""

    real: contextvars.Context
    stack: list[Layer] = dataclasses.field(default_factory=list)
    #: Of what was closed under others that were inherited with it nobody can tell whether before that or later.
    unsure: set[Layer] = dataclasses.field(default_factory=set)

    #: OpenTelemetry's own API has brought back what was gone, and what that shows is its own affair.
    is_restored: bool = False

    def active(self) -> list[Any] | None:
        """The span that is active; several where it is not sure which, ``None`` where it may be any."""
        if self.is_restored:
            return None
        spans = []
        for layer in reversed(self.stack):
            is_unsure = layer in self.unsure or (layer.closed_elsewhere and layer.waits)
            if layer.counts(self) or layer in self.unsure:
                spans.append(layer.span)
                if not is_unsure:
                    return spans
        return [*spans, None]

    def above(self, layer: Layer) -> list[Layer]:
        """What is open above a layer, and of this package; what is not on the stack has nothing above."""
        return [each for each in self.higher(layer) if each.is_open and each.kind != "theirs"]

    def higher(self, layer: Layer) -> list[Layer]:
        return self.stack[self.stack.index(layer) + 1 :] if layer in self.stack else []

    def tidy(self) -> None:
        while self.stack and not self.stack[-1].counts(self) and self.stack[-1] not in self.unsure:
            self.stack.pop()

    def start_task(self) -> Context:
        unsure = {layer for layer in self.stack if not layer.counts(self)}
        return Context(self.real.copy(), list(self.stack), self.unsure | unsure, self.is_restored)


class Subject(Protocol):
    """A scope manager under test."""

    def span(self) -> Any:
        """A span, to be finished by its scope."""

    def opened(self, span: Any) -> Any:
        """Make it active; what is returned has a ``close()``."""

    def check(self, expected: list[Any] | None) -> None:
        """Whether one of these is active in the current context, and to look changes nothing.

        :param expected: ``None`` if it may be any.
        """

    def finishes(self, span: Any) -> int:
        """How often it was finished."""


class Machine:
    """Does the same to the model and to the scope manager."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.contexts = [Context(contextvars.Context())]
        self.layers: list[Layer] = []
        #: When their spans are finished is not sure: OpenTelemetry's own API has taken them away, or lies between.
        self.untimed: set[Layer] = set()

    def do(self, operation: str, context_number: int, layer_number: int) -> None:
        """One step; numbers may be of any size."""
        context = self.contexts[context_number % len(self.contexts)]
        if operation == "close":
            closable = [layer for layer in self.layers if layer.is_open and not self.waits_to_be_left(context, layer)]
            if closable:
                self.close(context, closable[layer_number % len(closable)])
        elif operation == "start a task":
            self.contexts.append(context.start_task())
        else:
            self.open(context, operation)

    def open(self, context: Context, operation: str) -> None:
        layer = Layer("ours", context)
        manager: Any
        if operation == "cut":
            layer.kind, manager = "cut", no_parent_scope()
        else:
            layer.span = self.subject.span()
            manager = _Opening(self.subject, layer.span)
            if "OpenTelemetry" in operation:
                layer.kind, manager = "theirs", trace.use_span(layer.span.unwrap(), end_on_exit=True)
        if layer.kind != "theirs":
            context.tidy()
        layer.before = list(context.stack)
        enter = _start if "generator" in operation else _enter
        layer.close = context.real.run(enter, manager)
        context.stack.append(layer)
        self.layers.append(layer)

    def close(self, context: Context, layer: Layer) -> None:
        layer.above = context.above(layer)
        if any(each.kind == "theirs" for each in context.higher(layer)):
            self.untimed.add(layer)
        layer.is_open = False
        layer.closed_elsewhere = context is not layer.home
        context.real.run(layer.close)
        if layer.kind == "theirs":
            if not layer.closed_elsewhere:
                # It takes with it what is above, which does not know that, and brings back what may be closed and gone.
                back = [each for each in layer.before if each not in context.stack and not each.is_open]
                context.is_restored = context.is_restored or bool(back)
                self.untimed.update(context.stack, layer.before)
                context.stack = layer.before
            return
        if layer.kind == "cut":
            self.leave(context, layer)
        context.tidy()
        for other in self.contexts:
            if any(each.home is layer.home for each in other.higher(layer)):
                other.unsure.add(layer)

    def waits_to_be_left(self, context: Context, layer: Layer) -> bool:
        """A cut within which there is another one would be left with that."""
        within = self.layers[self.layers.index(layer) + 1 :] if layer.kind == "cut" else []
        return any(
            each.kind == "cut" and each.is_open and (each in context.stack or each.home in (layer.home, context))
            for each in within
        )

    def leave(self, context: Context, cut: Layer) -> None:
        if cut.closed_elsewhere:
            # Who inherited it and has it on top can end it for himself.
            context.tidy()
            if context.stack[-1:] == [cut]:
                context.stack.pop()
            elif all(layer in context.unsure for layer in context.higher(cut)):
                context.unsure.add(cut)
            return
        if cut not in context.stack:
            return
        # What is above goes with it, and nobody waits for that any more.
        dropped = context.stack[context.stack.index(cut) :]
        context.stack = cut.before
        for layer in self.layers:
            layer.above = [above for above in layer.above if above not in dropped]

    def check(self) -> None:
        for context in self.contexts:
            context.real.run(self.subject.check, context.active())
        for layer in self.layers:
            if layer.kind == "ours":
                finishes = self.subject.finishes(layer.span)
                assert finishes <= (not layer.is_open), "too often, or too early"
                if layer in self.untimed:
                    continue
                if not layer.is_open and not layer.waits:
                    assert finishes == 1, "too late"
                if layer.waits and not layer.closed_elsewhere:
                    assert finishes == 0, "too early"


class _Opening:
    def __init__(self, subject: Subject, span: Any) -> None:
        self.subject, self.span = subject, span

    def __enter__(self) -> None:
        self.scope = self.subject.opened(self.span)

    def __exit__(self, *exc_info: object) -> None:
        self.scope.close()


def _enter(manager: Any) -> Callable[[], object]:
    manager.__enter__()
    return lambda: manager.__exit__(None, None, None)


def _holding(manager: Any) -> Generator[None, None, None]:
    with manager:
        yield


def _start(manager: Any) -> Callable[[], object]:
    generator = _holding(manager)
    next(generator)
    return generator.close


def current_of_opentelemetry() -> Any:
    """OpenTelemetry's own current span, ``None`` if it has none, and its context."""
    span = trace.get_current_span()
    return (span if span.get_span_context().is_valid else None), otel.get_current()
