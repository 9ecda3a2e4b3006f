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
from tornado_opentracing._scopes.scope import ContextVarsScope, Cut

__all__ = ["ContextVarsScopeManager", "no_parent_scope"]

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
        self._top: ContextVar[ContextVarsScope | None] = ContextVar("tornado_opentracing.scope", default=None)
        with _managers_lock:
            _managers.add(self)

    def activate(self, span: Span, finish_on_close: bool) -> Scope:
        """Make a span active in the current context.

        :param span: the span to make active.
        :param finish_on_close: whether closing the scope finishes the span.
        :return: the scope. Close it, best with a ``with`` statement; a scope that is never closed stays active for as
            long as its context lives.
        """
        return ContextVarsScope(self, span, finish_on_close)

    @property
    def active(self) -> Scope | None:
        """The scope that is active in the current context, or ``None``."""
        scope = self._top.get()
        if scope is not None and scope.closed:
            scope = self._settle()
        return None if scope is None or scope.is_cut else scope

    def _settle(self) -> ContextVarsScope | None:
        """Tidy away the scopes on top that were closed in another context; return what is then on top."""
        scope = self._top.get()
        while scope is not None and scope.closed:
            if scope.restore():
                scope = self._top.get()
                continue
            if scope.left_elsewhere:
                # Inherited here, and nobody can tell whether before or after it was closed: it is active nowhere.
                scope = None if scope.is_cut else scope._below
                self._top.set(scope)
                continue
            break
        return scope


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
    """A context manager in which nothing is active in one scope manager, of the kinds that this package knows.

    Those are :class:`ContextVarsScopeManager`, the one of the same name in ``opentracing``, and OpenTelemetry's.
    """
    if isinstance(manager, ContextVarsScopeManager):
        return Cut(manager)
    module = type(manager).__module__
    if module == "opentracing.scope_managers.contextvars":
        return _Set(sys.modules[module]._SCOPE, None)
    if module.startswith("opentelemetry."):
        return _OpenTelemetryCleared()
    return contextlib.nullcontext()


def clearing(manager: ScopeManager) -> Callable[[], None] | None:
    """Make nothing active in the current context for good, and return what does so again, in any context.

    To do it again is cheaper than :func:`nothing_active`, but only a plain :class:`ContextVarsScopeManager` can: what
    others keep in their variables is more than the active span. For them ``None`` is returned.
    """
    if not isinstance(manager, ContextVarsScopeManager):
        nothing_active(manager).__enter__()
        return None
    cut = Cut(manager)
    # It is never exited: what is below must not wait for it, nor be kept by who inherits it.
    cut._below = cut._token = None
    if type(manager) is not ContextVarsScopeManager:
        return None
    top = manager._top

    def clear() -> None:
        if top.get() is not cut:
            top.set(cut)

    return clear


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
    with contextlib.ExitStack() as stack:
        stack.enter_context(within.NoRequestActive())
        with _managers_lock:
            managers = list(_managers)
        for manager in managers:
            stack.enter_context(nothing_active(manager))
        # Only where the application has imported them: each keeps one variable for the whole process.
        theirs = sys.modules.get("opentracing.scope_managers.contextvars")
        if theirs is not None:
            stack.enter_context(_Set(theirs._SCOPE, None))
        if "opentelemetry.trace" in sys.modules:
            stack.enter_context(_OpenTelemetryCleared())
        yield
