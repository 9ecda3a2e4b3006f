# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Layers in which nothing is active."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tornado_opentracing._scopes.layer import LEFT, counting, drop, highest_open, settle
from tornado_opentracing._scopes.scope import ContextVarsScope

if TYPE_CHECKING:
    from opentracing import Span

    from tornado_opentracing._scopes.layer import Stack


class Cut(ContextVarsScope):
    """A layer in which nothing is active. What is opened above it and left there goes with it."""

    __slots__ = ()

    is_cut = True

    def __init__(self, manager: Stack) -> None:
        self._open(manager, cast("Span", None), False)

    def stay(self) -> None:
        """Be what the stack begins with, for good: what lies below is dropped from it."""
        drop(self._below, None)
        self._below = self._token = None

    def __exit__(self, *exc_info: object) -> None:
        if self._state:
            return
        manager, token, lower = self._manager, self._token, highest_open(self._below)
        if manager._top.get() is self:
            self._leave()
        else:
            top = manager._own_top()
            # Otherwise OpenTelemetry's own API has taken it off the stack.
            if self._is_here() and top is not None and (top is self or self._is_below(top, False)):
                for dropped in drop(top, self):
                    self._take(cast("ContextVarsScope", dropped)._let_go())
                manager._undo(token)
            self._state = LEFT
            manager._leave_behind(self._token)
            settle(manager)
        self._release(lower)
        if self._token is not None and manager._top.get() is self:
            # A task ends what it inherited.
            manager._go_back(counting(self._below))

    def _be_gone(self) -> None:
        """Count on for who inherited it, though it was left elsewhere: what was started within has no parent."""
        self._state = LEFT
        self._manager._leave_behind(self._token)
