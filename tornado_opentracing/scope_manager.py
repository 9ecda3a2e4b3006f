# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which span is active, kept in a :class:`contextvars.Context`.

A task, a callback and a ``gen.coroutine`` each run in a context of their own, copied from that of the code that
started them. What is active there is therefore inherited, and what they activate is seen by nobody else: that is all
it takes to give concurrent children the right parent.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from opentracing import Scope, ScopeManager, Span

from tornado_opentracing._scopes import within
from tornado_opentracing._scopes.cut import Cut
from tornado_opentracing._scopes.layer import Layer, counting
from tornado_opentracing._scopes.scope import ContextVarsScope

__all__ = ["ContextVarsScopeManager", "no_parent_scope"]

_new = object.__new__
_managers: weakref.WeakSet[ContextVarsScopeManager] = weakref.WeakSet()
_managers_lock = threading.Lock()


class ContextVarsScopeManager(ScopeManager):
    """A scope manager for asyncio: give it to any OpenTracing tracer.

    The active span follows the code through ``await``, ``asyncio.gather``, ``create_task``, ``TaskGroup``,
    ``wait_for``, ``shield``, ``call_soon`` and ``call_later``, Tornado's ``add_callback``, ``gen.multi`` and (from
    Tornado 6.1 on) ``gen.coroutine``. Concurrent children that each open scopes are siblings. A task that outlives the
    scope in which it was started keeps that scope's span as its parent; :func:`no_parent_scope` cuts it.

    Managers do not see each other's scopes. Any thread may use a manager.

    .. code-block:: python

        tracer = SomeTracer(scope_manager=ContextVarsScopeManager())
    """

    def __init__(self) -> None:
        super().__init__()
        self._top: ContextVar[Layer | None] = ContextVar("tornado_opentracing.scope", default=None)
        #: What is another object in the current context as soon as anything was made active there, and left so.
        self._kept: Callable[[], object] = self._top.get
        with _managers_lock:
            _managers.add(self)

    def activate(self, span: Span, finish_on_close: bool) -> Scope:
        """Make a span active in the current context.

        :param span: the span to make active.
        :param finish_on_close: whether closing the scope finishes the span.
        :return: the scope. Close it, best with a ``with`` statement; a scope that is never closed stays active for as
            long as its context lives.
        """
        scope = _new(ContextVarsScope)
        scope._open(self, span, finish_on_close)
        return scope

    @property
    def active(self) -> Scope | None:
        """The scope that is active in the current context, or ``None``."""
        scope = self._top.get()
        if scope is not None and scope._state:
            scope = counting(scope)
        return None if scope is None or scope.is_cut else scope

    def _own_top(self) -> Layer | None:
        return self._top.get()

    def _renewed(self, token: Any) -> object | None:
        top = self._top.get()
        try:
            self._top.reset(token)
        except (ValueError, RuntimeError):
            return None
        # A token keeps what there was before: let it be nothing.
        self._top.set(None)
        return self._top.set(top)

    def _undo(self, token: Any) -> None:
        self._top.set(None if token.old_value is token.MISSING else token.old_value)

    def _go_back(self, scope: Layer | None) -> None:
        self._top.set(scope)

    def _leave_behind(self, token: Any) -> None:
        pass


class _Set:
    """A context variable has another value within."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[Any], value: object) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._token = self._variable.set(self._value)

    def __exit__(self, *exc_info: object) -> None:
        # A generator that the event loop closes late does so in another context, where there is nothing to restore.
        with contextlib.suppress(ValueError):
            self._variable.reset(self._token)


class _OpenTelemetryCleared:
    """The same for OpenTelemetry, whose one variable holds more than the active span."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        trace = sys.modules["opentelemetry.trace"]
        self._token = sys.modules["opentelemetry.context"].attach(trace.set_span_in_context(trace.INVALID_SPAN))

    def __exit__(self, *exc_info: object) -> None:
        # Not its detach(), which logs an error where it is called in another context.
        with contextlib.suppress(ValueError):
            sys.modules["opentelemetry.context"]._RUNTIME_CONTEXT.detach(self._token)


def nothing_active(manager: ScopeManager) -> AbstractContextManager[object]:
    """A context manager in which nothing is active in a scope manager of ours, ``opentracing``'s or OpenTelemetry's."""
    if isinstance(manager, ContextVarsScopeManager):
        return Cut(manager)
    module = type(manager).__module__
    if module == "opentracing.scope_managers.contextvars":
        return _Set(sys.modules[module]._SCOPE, None)
    if module.startswith("opentelemetry."):
        return _OpenTelemetryCleared()
    return contextlib.nullcontext()


def staying(manager: ScopeManager, span: Span | None) -> Callable[[], None] | None:
    """Make a span, or nothing, active in the current context for good, and return what does so again, in any context.

    To do it again is cheap, for mostly there is nothing to be done. Only a :class:`ContextVarsScopeManager` can tell;
    for others ``None`` is returned, and a span not made active: their scopes have to be closed.
    """
    if not isinstance(manager, ContextVarsScopeManager):
        if span is None:
            nothing_active(manager).__enter__()
        return None
    kept: object = None if span is None else manager

    def stay() -> None:
        nonlocal kept
        if manager._kept() is not kept:
            Cut(manager).stay()
            if span is not None:
                _open_for_good(manager, span)
            kept = manager._kept()

    stay()
    return stay


def begin_with(manager: ScopeManager, span: Span) -> bool:
    """Make a span active for good in a context in which nothing is, nor was cut off; return whether that could be."""
    if not isinstance(manager, ContextVarsScopeManager) or manager._top.get() is not None:
        return False
    _open_for_good(manager, span)
    return True


def _open_for_good(manager: ContextVarsScopeManager, span: Span) -> None:
    scope: Any = manager.activate(span, False)
    scope._token = None  # by which the context would lead to itself


class _Cuts:
    """What one :func:`no_parent_scope` does to each scope manager, and the one around it."""

    def __init__(self) -> None:
        self._is_left = False
        self._around = _innermost.get()
        while self._around is not None and self._around._is_left:
            self._around = self._around._around
        with contextlib.ExitStack() as entered:
            entered.enter_context(within.NoRequestActive())
            with _managers_lock:
                managers = list(_managers)
            otel = sys.modules.get("opentelemetry.context") if "opentelemetry.trace" in sys.modules else None
            before = None if otel is None else otel.get_current()
            made: set[object] = set()
            for manager in managers:
                # Several may keep their scopes in one place, which is OpenTelemetry's context.
                if manager._own_top() not in made:
                    made.add(entered.enter_context(nothing_active(manager)))
            # Only where the application has imported them: each keeps one variable for the whole process.
            theirs = sys.modules.get("opentracing.scope_managers.contextvars")
            if theirs is not None:
                entered.enter_context(_Set(theirs._SCOPE, None))
            if otel is not None and otel.get_current() is before:
                entered.enter_context(_OpenTelemetryCleared())
            self._entered = entered.pop_all()
        _innermost.set(self)

    def leave(self) -> None:
        """Undo it, as soon as those within are left: what they found is what this one has made."""
        self._is_left = True
        innermost = cuts = _innermost.get()
        while cuts is not None and cuts is not self:
            cuts = cuts._around
        if cuts is None:
            # In a context that knows nothing of it, nor of anything within.
            self._entered.close()
            return
        while innermost is not None and innermost._is_left:
            innermost._entered.close()
            # What a task inherited of it need not keep what was around it.
            innermost._around, innermost = None, innermost._around
        _innermost.set(innermost)


_innermost: ContextVar[_Cuts | None] = ContextVar("tornado_opentracing.no_parent_scope", default=None)


@contextlib.contextmanager
def no_parent_scope() -> Iterator[None]:
    """Context manager in which nothing is active: what is started inside has no parent.

    For work that a request starts but does not own (a worker task, a ``PeriodicCallback``, a connection pool), which
    would otherwise put everything it ever does into that request's trace. It applies to every
    :class:`ContextVarsScopeManager` in the process, to the scope manager of the same name in ``opentracing``, and to
    OpenTelemetry's.

    .. code-block:: python

        with no_parent_scope():
            asyncio.create_task(worker())
    """
    cuts = _Cuts()
    try:
        yield
    finally:
        cuts.leave()
