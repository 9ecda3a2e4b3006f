"""The scopes of ``ContextVarsScopeManager``: one layer each of a context's stack of active spans."""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, cast

from opentracing import Scope

if TYPE_CHECKING:
    from opentracing import Span

#: Shared by all scopes that do not own their span.
_NONE_TO_FINISH: list[Span] = []

#: Held to put a scope among those that wait; the collector may close another one in the middle of it.
_coming_to_wait = threading.RLock()

logger = logging.getLogger("tornado_opentracing")


class Stack(Protocol):
    """What a scope needs of its manager."""

    _top: ContextVar[ContextVarsScope | None]

    def _settle(self) -> ContextVarsScope | None: ...


class ContextVarsScope(Scope):
    """One layer of a context's stack of active spans, linked to the layer below.

    Closing it can happen anywhere: in a task that inherited it, in a thread, in a generator that the event loop
    closes late. ``Token`` tells whether the current context is the one that opened the scope
    (``ContextVar.reset`` refuses every other), so nothing else is kept to know that.
    """

    is_cut = False

    def __init__(self, manager: Stack, span: Span, finish_on_close: bool) -> None:
        self._manager: Stack = manager
        self._span: Span = span
        # Not as defaults of the class: CPython makes room for what the first few instances of a class have, and lets
        # all others pay for more.
        self.closed = self._left = self.left_elsewhere = False
        self._waits_for: tuple[ContextVarsScope, ...] = ()
        self._waiting: tuple[ContextVarsScope, ...] = ()
        # list.pop is atomic: of two threads that close at once, one finishes the span.
        self._to_finish = [span] if finish_on_close else _NONE_TO_FINISH
        below = manager._top.get()
        self._below: ContextVarsScope | None = manager._settle() if below is not None and below.closed else below
        self._token: Token[ContextVarsScope | None] | None = manager._top.set(self)

    def close(self) -> None:
        """End the active period; finish the span if that was asked for at activation.

        Works from any task, context or thread, any number of times, and never raises: an exception in the
        span's ``finish`` is logged. Where scopes above this one are still open it waits for them; when the last of
        those is closed, this one follows.
        """
        if self.closed:
            return
        self.closed = True
        is_top = self._manager._top.get() is self
        if not is_top:
            self._waits_for = self._above()
            if self._waits_for:
                with _coming_to_wait:
                    for scope in self._waits_for:
                        scope._waiting += (self,)
        if not (self._waits_for or self._waiting):
            self._leave(is_top)
        # No "else": until this one was left, a scope that another thread closes may have come to wait for it.
        if self._waits_for or self._waiting:
            self._leave_if_last()

    def __exit__(self, *exc_info: Any) -> None:
        """Close the scope; before that, OpenTracing's own ``Scope`` marks the span where an exception passes."""
        try:
            super().__exit__(*exc_info)
        finally:
            self.close()

    def restore(self) -> bool:
        """Make active what was so before, if the current context is the one that opened this scope."""
        token, self._token = self._token, None
        if token is None:
            return False
        try:
            self._manager._top.reset(token)
        except ValueError:
            self._token = token
            return False
        return True

    def _above(self) -> tuple[ContextVarsScope, ...]:
        """The scopes above this one, in the current context, that are not left yet."""
        above: tuple[ContextVarsScope, ...] = ()
        scope = self._manager._settle()
        while scope is not None and scope is not self:
            if not scope._left:
                above += (scope,)
            scope = scope._below
        return above if scope is self else ()

    def _leave_if_last(self) -> None:
        """Leave the stack unless a scope above is still there, and let those follow that waited for this one."""
        leaving: list[ContextVarsScope] = [self]
        while leaving:
            scope = leaving.pop()
            if not scope._left:
                if not all(above._left for above in scope._waits_for):
                    continue
                scope._leave(scope._manager._top.get() is scope)
            leaving += reversed(scope._waiting)
            scope._waits_for = scope._waiting = ()

    def _leave(self, is_top: bool) -> None:
        # In one step, for two threads may have found that its turn has come.
        was_left, self._left = self._left, True
        if was_left:
            return
        below = self._below
        if is_top and not self.restore():
            self._manager._top.set(below)
        self.left_elsewhere = self._token is not None
        if not self.left_elsewhere:
            # Tasks that inherited this scope need it, but nothing below it: a chain of tasks or callbacks would
            # otherwise keep every span there ever was.
            self._below = None
        if not self._to_finish:
            return
        try:
            span = self._to_finish.pop()
        except IndexError:
            return
        try:
            span.finish()
        except Exception:
            logger.warning("finishing a span failed when its scope was closed", exc_info=True)


class Cut(ContextVarsScope):
    """A layer in which nothing is active. What is opened above it and left there goes with it."""

    is_cut = True

    def __init__(self, manager: Stack) -> None:
        super().__init__(manager, cast("Span", None), False)

    def __exit__(self, *exc_info: object) -> None:
        self.closed = True
        self.restore()
        if not (self._left or self._waits_for or self._waiting):
            self._leave(self._manager._top.get() is self)
        if self._waits_for or self._waiting:
            self._leave_if_last()
