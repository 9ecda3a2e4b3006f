# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The active span, kept in OpenTelemetry's context, so that there is one for OpenTelemetry and OpenTracing."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import context, trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.trace.propagation import _SPAN_KEY

from tornado_opentracing._scopes.layer import LEFT, Layer, counting
from tornado_opentracing._scopes.scope import ContextVarsScope
from tornado_opentracing._spans.stand_in import StandIn
from tornado_opentracing.opentelemetry._context import attach, detach, get_current
from tornado_opentracing.opentelemetry._span import Span as OurSpan
from tornado_opentracing.scope_manager import ContextVarsScopeManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, KeysView

    from opentracing import Span

    #: Makes OpenTracing's span of one of OpenTelemetry's, and of the scope of ours beneath it.
    Wrap = Callable[[trace.Span, Layer | None], Span]

    #: What tells whether a context is the one that opened a scope, and the layer that it opened.
    Opened = tuple[Token[Context], Context]


# One for all managers: OpenTelemetry has one active span, whichever tracer's it is.
_TOP = context.create_key("tornado_opentracing.scope")
_INVALID_SPAN = trace.INVALID_SPAN
_NOTHING = (None, _INVALID_SPAN)
_NO_ITEMS: dict[str, object] = {}
_EMPTY = Context()
#: What a context itself says, also an :class:`_UntidyLayer`.
_said: Any = dict.get


class ScopeManager(ContextVarsScopeManager):
    """A :class:`ContextVarsScopeManager` whose scopes are layers of OpenTelemetry's context."""

    def __init__(self, wrap: Wrap) -> None:
        super().__init__()
        self._top = cast("ContextVar[Layer | None]", _Top(self, wrap))
        self._kept = get_current

    def _own_top(self) -> Layer | None:
        top: tuple[Layer | None, object] = _said(context.get_current(), _TOP, _NOTHING)
        return top[0]

    def _renewed(self, token: Any) -> Opened | None:
        current = get_current()
        try:
            context._RUNTIME_CONTEXT.detach(token[0])
        except (ValueError, RuntimeError):
            return None
        context.attach(_EMPTY)
        return context.attach(current), token[1]

    def _undo(self, token: Any) -> None:
        before = token[0].old_value
        context.attach(_EMPTY if before is Token.MISSING else before)

    def _go_back(self, scope: Layer | None) -> None:
        context.attach(_UntidyLayer({**get_current(), **_layer(scope)}))

    def _leave_behind(self, token: Any) -> None:
        if token is not None:
            token[1].__class__ = _UntidyLayer


class _Top:
    """Does what the scope manager needs of a ``ContextVar``, with OpenTelemetry's."""

    def __init__(self, manager: ScopeManager, wrap: Wrap) -> None:
        self._manager = manager
        self._wrap = wrap

    def get(self) -> Layer | None:
        current = get_current()
        if not current:
            return None
        top: Any = _said(current, _TOP, _NOTHING)
        scope: Layer | None = top[0]
        active: Any = _said(current, _SPAN_KEY, _INVALID_SPAN)
        if active is top[1]:
            return scope
        if not active.get_span_context().is_valid:
            return None
        below = None if scope is None or scope.is_cut else scope
        return _Foreign(self._manager, self._wrap(active, below), scope)

    def set(self, scope: Layer) -> Opened:
        # As set_value(), set_span_in_context() and set_baggage() would, which copy it twice each.
        current = get_current()
        shim: Any = scope._span if type(scope) is ContextVarsScope else None
        if not current and type(shim) is OurSpan:
            # As _layer() would, without a call for what nearly all are.
            span = shim._otel_span
            layer = Context({_TOP: (scope, span), _SPAN_KEY: span, _BAGGAGE_KEY: shim._items})
        else:
            layer = Context({**current, **_layer(scope)})
        return attach(layer), layer

    def reset(self, token: Opened) -> None:
        detach(token[0])


def _layer(scope: Any) -> dict[str, object]:
    """What a context says where this scope is on top."""
    is_ours = type(scope) is ContextVarsScope
    if not is_ours and (scope is None or scope.is_cut):
        return {_TOP: (scope, _INVALID_SPAN), _SPAN_KEY: _INVALID_SPAN, _BAGGAGE_KEY: _NO_ITEMS}
    shim = scope._span
    if type(shim) is OurSpan:
        # What the methods of others give, too.
        span, items = shim._otel_span, shim._items
    elif isinstance(shim, StandIn):
        # To ask it for its context would start what it stands for.
        span, items = shim.unwrap(), _NO_ITEMS
    else:
        span, items = shim.unwrap(), shim.context.baggage
    top = (scope, span) if is_ours else (scope._below, _INVALID_SPAN)
    return {_TOP: top, _SPAN_KEY: span, _BAGGAGE_KEY: items}


class _UntidyLayer(Context):
    """A layer that a context may have, or come back to, though its scope does not count there any more.

    That is where the scope was closed in another context, or beneath a span that OpenTelemetry's own API made active.
    The layer then says what is active by now, so that OpenTelemetry and OpenTracing agree. (A context that somebody
    derived from it before is his own, and says what it said then.)
    """

    def get(self, key: str, default: Any = None) -> Any:
        return self.copy().get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self.copy()[key]

    # Who makes a dict of it asks for these, and then for each item.
    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        return self.copy().keys()

    def copy(self) -> dict[str, Any]:
        said = dict(dict.items(self))
        top: Any = said[_TOP]
        if said[_SPAN_KEY] is not top[1]:
            return said  # a span that is not this package's
        counts = counting(top[0])
        return said if counts is top[0] else said | _layer(counts)


class _Foreign(Layer):
    """The scope of a span that was made active with OpenTelemetry's own API, which alone can end it.

    It is not open, for nothing waits for it; like one that was left elsewhere it counts wherever it is found.
    """

    __slots__ = ()

    def __init__(self, manager: ScopeManager, span: Span, below: Layer | None) -> None:
        self._manager = manager
        self._span = span
        self._state = LEFT
        self._below = below
        self._token = self._waiting = None
        self._depth = 0 if below is None else below._depth + 1

    def _as_below(self) -> Layer:
        # The context may come back to what is below, by OpenTelemetry's own API: that keeps what it has for it.
        below = counting(self._below)
        self._below = None if below is None else below._as_below()
        return self

    def close(self) -> None:
        """Do nothing."""
