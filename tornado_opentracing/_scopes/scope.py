# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The scopes of ``ContextVarsScopeManager``: layers that are closed, and that finish their span."""

from __future__ import annotations

import heapq
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from opentracing import Scope
from tornado.gen import Return
from tornado.web import Finish

from tornado_opentracing._guard import report
from tornado_opentracing._scopes.layer import DROPPED, GONE, LEFT, WAITING, Layer, highest_open, passing, settle, unlink

if TYPE_CHECKING:
    from opentracing import Span

    #: A scope that waits: its depth, negated, by which they are a heap; when it was closed; its id, for no two scopes
    #: can be compared.
    Waiting = tuple[int, float, int, "ContextVarsScope"]

#: By which Tornado's coroutines return, its handlers answer, and generators are closed.
_NO_FAILURES = (Return, Finish, GeneratorExit)

#: Reentrant, for the collector may close a generator, and that a scope, at any time.
_handing_over = threading.RLock()


class ContextVarsScope(Layer):
    """A scope that can be closed anywhere.

    In a task that inherited it, in a thread, in a generator that the event loop closes late; and in any order.
    """

    __slots__ = ()

    def close(self) -> None:
        """End the active period; finish the span if that was asked for at activation.

        Works from any task, context or thread, any number of times, and never raises: an exception in the span's
        ``finish`` is logged. Where scopes above this one are still open, its span is finished as soon as they are
        closed, with the time at which this one was.
        """
        if self._state:
            return
        if self._manager._top.get() is self and not self._waiting:
            below = self._below
            self._leave()
            if self._to_finish:
                self._finish(None)
            if self._waiting:  # since then, in another thread
                self._release(highest_open(below))
        else:
            self._close_among_others()

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        """Close the scope; an exception that passes marks the span as OpenTracing's own scope does.

        Unless it is no failure: ``gen.Return``, ``web.Finish``, or that a generator is closed.
        """
        try:
            if exc_val is not None and not isinstance(exc_val, _NO_FAILURES):
                Scope.__exit__(self, exc_type, exc_val, exc_tb)
        except Exception:
            report("marking the span of a scope as failed")
        finally:
            self.close()

    def _leave(self) -> None:
        """Make active what was so before, this scope being on top."""
        # In this order: left, and with a token, is only what its own context has left.
        token = self._token
        self._token = None
        self._state = LEFT
        try:
            self._manager._top.reset(token)
        except (ValueError, RuntimeError, TypeError):
            # It was inherited here; or (no token) another thread is closing it, too.
            self._state = GONE
            self._token = token
            self._be_gone()
            self._finish(None)
            self._release(highest_open(self._below))
            settle(self._manager)
            return
        below = self._below
        if below is not None:
            self._below = None
            if below._state:
                settle(self._manager)

    def _close_among_others(self) -> None:
        is_top = settle(self._manager) is self
        lower = None if self._waiting is None else highest_open(self._below)
        if is_top:
            self._leave()
        if is_top or not self._wait():
            self._finish(None)
        self._release(lower)

    def _wait(self) -> bool:
        """Wait for the scopes above this one; whether there are any, in the current context."""
        manager = self._manager
        is_here = self._is_here()
        # At once, for another thread may look at it: what is left is so in its own context alone.
        self._state = LEFT if is_here else WAITING
        above = cast("ContextVarsScope | None", highest_open(manager._own_top()))
        if above is not None and not self._is_below(above, is_here):
            above = None
        if is_here:
            manager._leave_behind(self._token)
            if self._depth != DROPPED:  # otherwise what is below may still be on the stack
                below = passing(self._below)
                self._below = None if below is None else below._as_below()
        elif above is None:
            self._be_gone()
        else:
            manager._leave_behind(self._token)
        if above is not None:
            above._keep_waiting([(-self._depth, time.time(), id(self), self)])
        return above is not None

    def _is_below(self, above: Layer, is_here: bool) -> bool:
        """Whether this scope lies below another, which is the highest open one of the current context."""
        if is_here:
            # It was opened on this stack, and if it had been dropped from it, it would not have a depth.
            return self._depth < above._depth
        layer: Layer | None = above
        while layer is not None and self._depth < layer._depth:
            layer = layer._below
        return layer is self

    def _keep_waiting(self, waiting: list[Waiting]) -> None:
        """Have others wait until this scope is closed."""
        self._take(waiting)
        if self._state:  # closed meanwhile, in another thread
            self._release(highest_open(self._below))

    def _take(self, waiting: list[Waiting]) -> None:
        with _handing_over:
            held = self._waiting
            if held is None or len(held) < len(waiting):
                held, waiting = waiting, held or []
            for scope in waiting:
                heapq.heappush(held, scope)
            self._waiting = held

    def _let_go(self) -> list[Waiting]:
        with _handing_over:
            waiting, self._waiting = self._waiting, None
        return waiting or []

    def _release(self, lower: Layer | None) -> None:
        """Finish those that waited for this scope, from the top down; who has another one above waits on for that.

        :param lower: the highest below this scope that is open.
        """
        waiting = self._let_go()
        released: set[Layer] = set()
        while waiting:
            depth, closed_at, _, scope = waiting[0]
            if lower is not None and -depth < lower._depth:
                cast("ContextVarsScope", lower)._keep_waiting(waiting)
                break
            heapq.heappop(waiting)
            if scope._state == WAITING:
                scope._be_gone()
            released.add(scope)
            scope._finish(closed_at)
        if released and self._below is not None:
            self._unlink(released)

    def _unlink(self, released: set[Layer]) -> None:
        """Take those that waited for this scope off the stack below it, which is that of the context they are of.

        Who is started there from now on sees what that context sees, also where this scope was closed elsewhere.
        """
        passed: list[Layer] = []
        below = self._below
        while below is not None and (below._state == GONE or below in released):
            passed.append(below)
            below = below._below
        self._below = below
        unlink(passed, below)

    def _finish(self, finish_time: float | None) -> None:
        """Finish the span if that is this scope's to do; at a time, in seconds since the epoch, or now."""
        if not self._to_finish:
            return
        try:
            span = self._to_finish.pop()
        except IndexError:
            return
        try:
            if finish_time is None:
                span.finish()
            else:
                _finish_at(span, finish_time)
        except Exception:
            report("finishing the span of a scope")


def _finish_at(span: Span, finish_time: float) -> None:
    try:
        span.finish(finish_time=finish_time)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        span.finish()  # which takes no time
