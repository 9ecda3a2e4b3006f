# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is taken for a tracer: one that is given, or made by the callable that an Application's settings name."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tornado.util import import_object

from tornado_opentracing._settings.config import Tracing
from tornado_opentracing._settings.options import PREFIX

if TYPE_CHECKING:
    from opentracing import ScopeManager, Tracer


def made_by(make_tracer: Any, parameters: Any) -> Tracer:
    """Call what an Application's settings say makes its tracer.

    :raises TypeError, ImportError: it cannot be called, or made no tracer; the message names the setting.
    """
    name = f"{PREFIX}tracer_callable"
    if isinstance(make_tracer, str):
        try:
            make_tracer = import_object(make_tracer)
        except Exception as error:  # of the module's own too
            raise ImportError(f"{name}: cannot import {make_tracer!r}: {error}") from error
    if not callable(make_tracer):
        raise TypeError(f"{name} must be callable or a dotted name, not {make_tracer!r}")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise TypeError(f"{PREFIX}tracer_parameters must be a dict, not {parameters!r}")
    tracer: Tracer = make_tracer(**(parameters or {}))
    accept(tracer, f"the result of {name}")
    return tracer


_TRACER_HAS = ("start_span", "inject", "extract", "scope_manager")

#: Scope managers that do not follow asyncio's contexts. Known by name: importing them imports what may not be there.
_UNFIT = {
    "opentracing.scope_managers.ThreadLocalScopeManager",
    "opentracing.scope_managers.asyncio.AsyncioScopeManager",
    "opentracing.scope_managers.gevent.GeventScopeManager",
    "opentracing.scope_managers.tornado.TornadoScopeManager",
}

_warned: weakref.WeakSet[ScopeManager] = weakref.WeakSet()


def accept(tracer: Any, name: str = "tracer") -> None:
    """Refuse what is no tracer; warn, once for each scope manager, of one that loses spans under asyncio.

    For a caller two frames up.
    """
    if isinstance(tracer, type) or not all(hasattr(tracer, attribute) for attribute in _TRACER_HAS):
        raise TypeError(f"{name} must be an OpenTracing tracer, not {tracer!r}{_remedy(tracer)}")
    manager = tracer.scope_manager
    unfit = [c.__name__ for c in type(manager).__mro__ if f"{c.__module__}.{c.__qualname__}" in _UNFIT]
    if unfit and manager not in _warned:
        _warned.add(manager)
        warnings.warn(
            f"{unfit[0]} does not follow asyncio's tasks: spans of concurrent requests get wrong parents. Give the "
            "tracer scope_manager=tornado_opentracing.ContextVarsScopeManager() instead.",
            RuntimeWarning,
            stacklevel=3,
        )


def _remedy(no_tracer: Any) -> str:
    """What to give instead of what was probably meant."""
    if isinstance(no_tracer, type):
        return f": give an instance, {no_tracer.__name__}(...)"
    if isinstance(no_tracer, Tracing):
        return ": give its tracer to init_tracing, or itself to an Application, as opentracing_tracing"
    if hasattr(no_tracer, "get_tracer"):  # a TracerProvider of OpenTelemetry
        return ": give tornado_opentracing.opentelemetry.create_tracer(provider)"
    if hasattr(no_tracer, "start_as_current_span"):
        return ": give tornado_opentracing.opentelemetry.create_tracer()"
    return ""
