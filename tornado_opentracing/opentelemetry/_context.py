"""OpenTelemetry's current context, without the calls that lie between where they only pass it on."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

get_current: Callable[[], Context]
attach: Callable[[Context], Token[Context]]
detach: Callable[[Token[Context]], None]

_runtime: Any = context._RUNTIME_CONTEXT
if type(_runtime) is ContextVarsRuntimeContext and hasattr(_runtime, "_current_context"):
    _variable = _runtime._current_context
    get_current, attach, detach = _variable.get, _variable.set, _variable.reset
else:
    # Not context.detach(), which logs an error where the token is another context's.
    get_current, attach, detach = _runtime.get_current, _runtime.attach, _runtime.detach
