"""The active span, kept in OpenTelemetry's context, so that there is one for OpenTelemetry and OpenTracing."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context, trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

from tornado_opentracing._scopes.scope import ContextVarsScope
from tornado_opentracing.opentelemetry._context import attach, detach, get_current
from tornado_opentracing.scope_manager import ContextVarsScopeManager

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentracing import Span

    #: Makes OpenTracing's span of one of OpenTelemetry's, and of the scope of ours beneath it.
    Wrap = Callable[[trace.Span, ContextVarsScope | None], Span]


# One for all managers: OpenTelemetry has one active span, whichever tracer's it is.
_TOP = context.create_key("tornado_opentracing.scope")
_NOTHING = (None, trace.INVALID_SPAN)
_NO_ITEMS: dict[str, object] = {}


class ScopeManager(ContextVarsScopeManager):
    """A :class:`ContextVarsScopeManager` whose scopes are layers of OpenTelemetry's context."""

    def __init__(self, wrap: Wrap) -> None:
        super().__init__()
        self._top = cast("ContextVar[ContextVarsScope | None]", _Top(self, wrap))


class _Top:
    """Does what the scope manager needs of a ``ContextVar``, with OpenTelemetry's."""

    def __init__(self, manager: ScopeManager, wrap: Wrap) -> None:
        self._manager = manager
        self._wrap = wrap

    def get(self) -> ContextVarsScope | None:
        current = get_current()
        top: Any = current.get(_TOP, _NOTHING)
        scope: ContextVarsScope | None = top[0]
        active: Any = current.get(_SPAN_KEY, trace.INVALID_SPAN)
        if active is top[1]:
            return scope
        if not active.get_span_context().is_valid:
            return None
        below = None if scope is None or scope.is_cut else scope
        return _Foreign(self._manager, self._wrap(active, below), scope)

    def set(self, scope: ContextVarsScope | None) -> Token[Context]:
        span: trace.Span = trace.INVALID_SPAN
        items: Any = _NO_ITEMS
        if scope is not None and not scope.is_cut:
            shim: Any = scope.span
            span, items = shim.unwrap(), getattr(shim, "_items", None)
            if items is None:
                items = shim.context.baggage
        # As set_value(), set_span_in_context() and set_baggage() would, which copy it twice each.
        layer = {_TOP: (scope, span), _SPAN_KEY: span, _BAGGAGE_KEY: items}
        return attach(Context({**get_current(), **layer}))

    def reset(self, token: Token[Context]) -> None:
        detach(token)


class _Foreign(ContextVarsScope):
    """The scope of a span that was made active with OpenTelemetry's own API, which alone can end it."""

    def __init__(self, manager: ScopeManager, span: Span, below: ContextVarsScope | None) -> None:
        self.closed, self._left = False, True
        self._manager = manager
        self._span = span
        self._below = below

    def close(self) -> None:
        """Do nothing."""
