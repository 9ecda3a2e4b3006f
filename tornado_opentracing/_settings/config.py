"""Which tracer and options count: those of the request's Application, or those of the process."""

from __future__ import annotations

import dataclasses
import functools
import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import opentracing
from tornado.util import import_object

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.options import PREFIX, Options, checked

if TYPE_CHECKING:
    from opentracing import ScopeManager, Tracer
    from tornado.web import Application


class TracingConfig:
    """A tracer and the options that go with it.

    Asks the tracer nothing, for some are made while a request is served: :func:`accept` does, where one is given.
    """

    def __init__(self, tracer: Tracer | None, given: Mapping[str, Any]) -> None:
        self.own_tracer = tracer
        #: What stands for the span of its requests that are excluded, once there was one.
        self.excluded: object = None
        self._over: tuple[TracingConfig, TracingConfig] | None = None
        self.given = checked(given)
        self.options = Options(**self.given)
        _redaction.params_in_log.update(self.options.redacted_query_params)
        self.filters_requests = bool(self.options.excluded_paths or self.options.request_filter)

    @property
    def tracer(self) -> Tracer:
        """The tracer in use: the one given, else :func:`opentracing.global_tracer`, looked up each time."""
        return opentracing.global_tracer() if self.own_tracer is None else self.own_tracer

    def over(self, base: TracingConfig) -> TracingConfig:
        """This configuration, with another's tracer and options where this one says nothing."""
        if self._over is None or self._over[0] is not base:
            tracer = base.own_tracer if self.own_tracer is None else self.own_tracer
            self._over = (base, TracingConfig(tracer, {**base.given, **self.given}))
        return self._over[1]

    @functools.cached_property
    def untraced(self) -> TracingConfig:
        """What counts in a request that is excluded: the same tracer, and no spans but the application's own."""
        return TracingConfig(self.own_tracer, {"trace_all": False, "trace_client": False})


@dataclasses.dataclass(slots=True)
class ProcessDefaults:
    """What ``init_tracing`` and ``init_client_tracing`` were given; the one place of global state."""

    tracing: TracingConfig | None = None
    client: TracingConfig | None = None
    #: Whether a request ever was excluded: while none was, nobody need look for it.
    has_excluded: bool = False
    applications: list[weakref.ref[Application]] = dataclasses.field(default_factory=list)

    def add_application(self, application: Application) -> None:
        """Remember an Application, for as long as it lives."""
        self.applications = [reference for reference in self.applications if reference() is not None]
        self.applications.append(weakref.ref(application))

    @property
    def newest_application(self) -> Application | None:
        """The newest Application that is still there."""
        return next((found for reference in reversed(self.applications) if (found := reference()) is not None), None)


process = ProcessDefaults()

_UNCONFIGURED = TracingConfig(None, {})


@dataclasses.dataclass(frozen=True)
class _Resolved:
    """An Application's settings, read: kept on the Application, and read again after each ``init_tracing``."""

    defaults: TracingConfig
    config: TracingConfig | None
    made_tracer: Tracer | None = None


_RESOLVED = "_tornado_opentracing"

_TRACER_SETTINGS = ("tracing", "tracer_callable", "tracer_parameters")


def config_of(application: Application) -> TracingConfig | None:
    """The configuration for requests of an Application; ``None`` if they are not to be traced.

    That is so while ``init_tracing`` is not in force, and for an Application that was built before it with settings
    that are wrong: it is too late then to tell the developer by an exception.
    """
    defaults = process.tracing
    try:  # which costs less than to ask whether it is there: it is, but for the first time
        resolved: _Resolved = application._tornado_opentracing  # type: ignore[attr-defined]
        if resolved.defaults is defaults:
            return resolved.config
    except AttributeError:
        pass
    return None if defaults is None else _read(application, defaults)


def traced_config_of(application: Application) -> TracingConfig:
    """The configuration for what is traced in an Application by its own wish, also without ``init_tracing``."""
    return _read(application, process.tracing or _UNCONFIGURED) or _UNCONFIGURED


def _read(application: Application, defaults: TracingConfig) -> TracingConfig | None:
    resolved: _Resolved | None = getattr(application, _RESOLVED, None)
    if resolved is not None and resolved.defaults is defaults:
        return resolved.config
    try:
        return resolve(application, defaults)
    except Exception:
        report("reading an Application's opentracing_ settings, without which it is not traced,")
        setattr(application, _RESOLVED, _Resolved(defaults, None))
        return None


def resolve(application: Application, defaults: TracingConfig) -> TracingConfig:
    """Read an Application's settings.

    :raises TypeError, ValueError, ImportError: a setting is wrong; the message names it.
    """
    settings = application.settings
    given = {name[len(PREFIX) :]: value for name, value in settings.items() if name.startswith(PREFIX)}
    tracing, make_tracer, parameters = (given.pop(name, None) for name in _TRACER_SETTINGS)
    if tracing is not None and not isinstance(tracing, TracingConfig):
        raise TypeError(f"{PREFIX}tracing must be a TornadoTracing, not {tracing!r}")
    if tracing is not None and make_tracer is not None:
        raise ValueError(f"{PREFIX}tracing and {PREFIX}tracer_callable exclude each other: give one of them")
    if parameters and make_tracer is None:
        raise ValueError(f"{PREFIX}tracer_parameters needs {PREFIX}tracer_callable")

    options = {
        **defaults.given,
        **(tracing.given if tracing is not None else {}),
        **checked(given, PREFIX, _TRACER_SETTINGS),
    }
    made_tracer = None
    if make_tracer is not None:
        before = getattr(application, _RESOLVED, None)
        made_tracer = (before and before.made_tracer) or _make_tracer(make_tracer, parameters)
    own_tracer = tracing.own_tracer if tracing is not None else made_tracer
    tracer = own_tracer if own_tracer is not None else defaults.own_tracer
    config = defaults if tracer is defaults.own_tracer and options == defaults.given else TracingConfig(tracer, options)
    setattr(application, _RESOLVED, _Resolved(defaults, config, made_tracer))
    return config


def current_config() -> TracingConfig | None:
    """The configuration that counts here: the request's, or that of the process."""
    return within.known.get()[0] or _outside_of_requests()


def client_config() -> TracingConfig | None:
    """The configuration for a fetch that is made now; ``None`` if it is not to be traced."""
    config = within.known.get()[0] or _outside_of_requests()
    return config if config is not None and config.options.trace_client else None


def _outside_of_requests() -> TracingConfig | None:
    base = process.tracing
    if base is not None and base.own_tracer is None and (newest := process.newest_application) is not None:
        base = config_of(newest) or base
    if process.client is None or base is None:
        return process.client or base
    return process.client.over(base)


def _make_tracer(make_tracer: Any, parameters: Any) -> Tracer:
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
        raise TypeError(f"{name} must be an OpenTracing tracer, not {tracer!r}")
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
