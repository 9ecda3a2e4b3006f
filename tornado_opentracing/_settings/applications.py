# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What an Application's settings say, and what is in force in it with them; the tracing in use is shown in them."""

from __future__ import annotations

import dataclasses
import weakref
from typing import TYPE_CHECKING, TypeGuard

from tornado_opentracing._guard import report
from tornado_opentracing._settings import blocking
from tornado_opentracing._settings.config import Tracing, TracingConfig, config_in, process
from tornado_opentracing._settings.options import PREFIX, checked
from tornado_opentracing._settings.paths import warn_of_useless
from tornado_opentracing._settings.tracers import made_by

if TYPE_CHECKING:
    from opentracing import Tracer
    from tornado.web import Application, RequestHandler

#: What counts where nobody was given anything.
UNCONFIGURED = TracingConfig(None, {})
UNCONFIGURED.base = UNCONFIGURED


@dataclasses.dataclass(frozen=True)
class _Resolved:
    """An Application's settings, read: kept on the Application, and read again after each ``init_tracing``."""

    defaults: TracingConfig
    config: TracingConfig | None
    made_tracer: Tracer | None = None
    #: Whether the settings say ``opentracing_tracing=None``.
    says_none: bool = False

    def __deepcopy__(self, memo: object) -> _Resolved:
        """Whoever copies an Application copies no tracer."""
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Whoever pickles an Application pickles no tracer; who unpickles it reads its settings anew."""
        return type(None), ()


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


def traced_config_of(handler: RequestHandler) -> TracingConfig:
    """The configuration for what is traced in an Application by its own wish, also without ``init_tracing``."""
    return _read(handler.application, process.tracing or UNCONFIGURED) or UNCONFIGURED


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
    settings = dict(application.settings)  # at once: another thread may remove_tracing, which takes out what is shown
    given = {name[len(PREFIX) :]: value for name, value in settings.items() if name.startswith(PREFIX)}
    tracing, make_tracer, parameters = (given.pop(name, None) for name in _TRACER_SETTINGS)
    before: _Resolved | None = getattr(application, _RESOLVED, None)
    is_shown = _is_shown(tracing)
    if is_shown:
        tracing = None
    if tracing is not None and not isinstance(tracing, Tracing):
        raise TypeError(f"{PREFIX}tracing must be a TornadoTracing, not {tracing!r}")
    asked = None if tracing is None else config_in(tracing)
    if tracing is not None and make_tracer is not None:
        raise ValueError(f"{PREFIX}tracing and {PREFIX}tracer_callable exclude each other: give one of them")
    if parameters and make_tracer is None:
        raise ValueError(f"{PREFIX}tracer_parameters needs {PREFIX}tracer_callable")

    own_options = checked(given, PREFIX, _TRACER_SETTINGS)
    warn_of_useless(own_options.get("excluded_paths", ()), f"{PREFIX}excluded_paths", stacklevel=3)
    options = {**defaults.given, **(asked.given if asked is not None else {}), **own_options}
    made_tracer = None
    if make_tracer is not None:
        made_tracer = (before and before.made_tracer) or made_by(make_tracer, parameters)
    own_tracer = asked.own_tracer if asked is not None else made_tracer
    tracer = own_tracer if own_tracer is not None else defaults.own_tracer
    config = defaults
    if tracer is not defaults.own_tracer or options != defaults.given:
        config = TracingConfig(tracer, options)
        config.base, config.face, config.application = defaults, defaults.face, weakref.ref(application)
    says_none = bool(before and before.says_none) if is_shown else settings.get(_TRACING, config) is None
    setattr(application, _RESOLVED, _Resolved(defaults, config, made_tracer, says_none))
    blocking.watch.ensure(config.options.blocked_after)
    if tracing is None:
        _show(application, config)
    return config


_TRACING = f"{PREFIX}tracing"


def _is_shown(tracing: object) -> TypeGuard[Tracing]:
    """Whether what an Application's settings have for its tracing is what :func:`_show` put there."""
    return isinstance(tracing, Tracing) and config_in(tracing).base is not None


def _show(application: Application, config: TracingConfig) -> None:
    """Put the tracing in use into an Application's settings, where version 1 had it and handlers look for it."""
    if config.base is not process.tracing or config.face is None:
        return
    try:
        process.shown_to[id(application)] = application
        application.settings[_TRACING] = config.face._showing(config)
    except Exception:  # settings of the application's own making, which cannot be changed
        report(f"setting {_TRACING}")
    if config.base is not process.tracing:  # removed meanwhile
        hide(application)


def hide(application: Application) -> None:
    """Take the tracing that is in use no more out of an Application's settings."""
    settings = application.settings
    tracing = settings.get(_TRACING)
    if not _is_shown(tracing) or config_in(tracing).base is process.tracing:
        return
    resolved: _Resolved | None = getattr(application, _RESOLVED, None)
    try:
        if resolved is not None and resolved.says_none:
            settings[_TRACING] = None
        else:
            settings.pop(_TRACING, None)
    except Exception:
        report(f"removing {_TRACING}")
