# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The layers of a context's stack of active spans: what lies where, and where it counts.

A context knows the layer on top, and each layer the one below. Who inherits a context shares its layers, so that
nothing but their state says that one is closed, and in each context the highest that counts there is active:

- An open layer counts wherever it was opened or inherited.
- One that was closed where it was opened counts there no more, but as ever where it was inherited: a task keeps what it
  was started under.
- One that was closed in another context counts for nobody.

Contexts are not to be told apart but by a ``Token``: ``ContextVar.reset`` refuses those of others. To look at what is
active changes nothing; who opens or closes a layer tidies the stack of the context in which he does so. All of it is
done without a lock.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from opentracing import Scope

if TYPE_CHECKING:
    from opentracing import Span

#: The states of a layer: open; closed in the context that opened it; closed elsewhere while others were open above it
#: there, which counts on for who inherited it until they are closed; closed elsewhere.
OPEN, LEFT, WAITING, GONE = range(4)

#: The depth of what lies on no stack, and so below nothing.
DROPPED = sys.maxsize

#: Shared by all layers that do not own their span.
_NONE_TO_FINISH: list[Span] = []

_ALayer = TypeVar("_ALayer", bound="Layer")


class Stack(Protocol):
    """What a layer needs of its manager."""

    _top: ContextVar[Layer | None]

    def _own_top(self) -> Layer | None:
        """The topmost layer that is one of ours."""

    def _renewed(self, token: Any) -> Any:
        """Another token in place of one, which can be used but once; ``None`` if it is of another context."""

    def _undo(self, token: Any) -> None:
        """Have the stack that there was before the layer that was opened with this token, here."""

    def _go_back(self, layer: Layer | None) -> None:
        """Have this layer on top, as it was before those above it."""

    def _leave_behind(self, token: Any) -> None:
        """Take note that the layer that was opened with this token is closed, though contexts still have it.

        :param token: ``None`` where that was noted before.
        """


class Layer(Scope):
    """One layer, linked to the one below."""

    # They take CPython less, of room and of time, than attributes in the instance's dictionary.
    __slots__ = ("_below", "_depth", "_manager", "_span", "_state", "_to_finish", "_token", "_waiting")

    is_cut = False

    _manager: Stack
    _span: Span
    _state: int
    #: Those that are closed, but not finished while this one is open.
    _waiting: list[Any] | None
    #: list.pop is atomic: of two threads that close at once, one finishes the span.
    _to_finish: list[Span]
    _below: Layer | None
    _depth: int
    #: What set() returned; kept for as long as the context that opened this layer may have it.
    _token: Any

    def _open(self, manager: Stack, span: Span, finish_on_close: bool) -> None:
        """Put it on top. This is no ``__init__``, by way of which it takes CPython twice as long."""
        self._manager = manager
        self._span = span
        self._state = OPEN
        self._waiting = None
        self._to_finish = [span] if finish_on_close else _NONE_TO_FINISH
        below = manager._top.get()
        if below is not None and below._state:
            below = settle(manager)
            below = None if below is None else below._as_below()
        self._below = below
        self._depth = 0 if below is None else below._depth + 1
        self._token = manager._top.set(self)

    def _is_here(self) -> bool:
        """Whether the current context is the one that opened this layer, and may still have it."""
        token = self._token
        if token is None:
            return False
        renewed = self._manager._renewed(token)
        if renewed is None:
            return False
        self._token = renewed
        return True

    def _be_gone(self) -> None:
        """Count for nobody, having been closed elsewhere."""
        # In this order: who closes it here at the same time, and so has it left, may not have that with no token.
        token, self._token = self._token, None
        self._state = GONE
        below = self._below
        while below is not None and below._state == GONE:
            below = below._below
        self._below = below
        self._manager._leave_behind(token)

    def _as_below(self) -> Layer:
        """What another may have below it: this layer, without what it keeps for its own context, which may be gone."""
        if self._state != LEFT or self._token is None:
            return self
        stand_in = type(self).__new__(type(self))
        stand_in._manager, stand_in._span = self._manager, self._span
        stand_in._state = LEFT
        stand_in._below = stand_in._token = stand_in._waiting = None
        stand_in._to_finish = _NONE_TO_FINISH
        stand_in._depth = self._depth
        return stand_in


def counting(layer: Layer | None, passed: list[Layer] | None = None) -> Layer | None:
    """The highest layer, from this one down, that counts in the current context.

    :param passed: takes those above it.
    """
    above = None
    while layer is not None and layer._state:
        below = layer._below
        if layer._state == GONE or layer._is_here():
            if passed is not None:
                passed.append(layer)
            above, layer = layer, below
        elif above is not None and above._below is not layer:
            layer = above._below  # another thread has just taken it off
        else:
            break
    return layer


def passing(layer: Layer | None) -> Layer | None:
    """The same, where the current context will not come back to those above: take them off its stack."""
    passed: list[Layer] = []
    layer = counting(layer, passed)
    unlink(passed, layer)
    return layer


def unlink(layers: list[Layer], below: Layer | None) -> None:
    """Let go of what layers kept for the context that opened them and has them on its stack no more.

    :param below: what this context sees now; and so does who still has one of the layers that count for nobody.
    """
    left = [layer for layer in layers if layer._state == LEFT]
    for layer in layers:
        if layer._state != LEFT:
            layer._token = None
            # What counts here because it was inherited may count nowhere else, and be let go of there at this moment.
            if below is None or below._state != LEFT:
                layer._below = below
    # Only then: who looks at one of these just now is to find that it is on the stack no more.
    for layer in left:
        layer._token = None
        # Who inherited one that was left needs it, but nothing below it: a chain of tasks or callbacks would otherwise
        # keep every span there ever was.
        layer._below = None


def settle(manager: Stack) -> Layer | None:
    """Take off the stack of the current context what does not count there; return what is then on top."""
    found = manager._top.get()
    layer = passing(found)
    if layer is not found:
        manager._go_back(layer)
    return layer


def highest_open(layer: _ALayer | None) -> _ALayer | None:
    """The highest layer, from this one down, that is open."""
    while layer is not None and layer._state:
        layer = cast("_ALayer | None", layer._below)
    return layer


def drop(layer: Layer | None, cut: Layer | None) -> list[Layer]:
    """Take the layers from this one down to a cut off the stack of the current context; return those that it opened."""
    dropped = []
    while layer is not None and layer is not cut:
        if layer._is_here():
            layer._depth = DROPPED
            layer._below = passing(layer._below)
            dropped.append(layer)
        layer = layer._below
    return dropped
