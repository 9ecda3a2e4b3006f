# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer and the options that go with it, and those that the process was given."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

import opentracing

from tornado_opentracing import _redaction
from tornado_opentracing._settings.options import Options, checked

if TYPE_CHECKING:
    from opentracing import Tracer
    from tornado.web import Application

    from tornado_opentracing._settings.measuring import Metrics

Face = TypeVar("Face", bound="Tracing")


class TracingConfig:
    """A tracer and the options that go with it."""

    #: Whether it is what counts in a request that is excluded.
    is_untraced = False

    def __init__(self, tracer: Tracer | None, given: Mapping[str, Any]) -> None:
        self.own_tracer = tracer
        #: What ``init_tracing`` was given that this is, or builds on: it is in force as long as that is. ``None`` for
        #: what a developer made, which always is.
        self.base: TracingConfig | None = None
        #: What shows it to the developer, where that is asked for: ``TornadoTracing``, which is above.
        self.face: type[Tracing] | None = None
        #: The Application whose settings it was read from.
        self.application: weakref.ref[Application] | None = None
        #: What stands for the span of its requests that are excluded, once there was one.
        self.excluded: object = None
        self._over: tuple[TracingConfig, TracingConfig] | None = None
        self._fetching: tuple[TracingConfig, TracingConfig] | None = None
        self.given = checked(given)
        self.options = Options(**self.given)
        _redaction.redact_also(self.options.redacted_query_params)
        options = self.options
        self.filters_requests = bool(options.excluded_paths or options.request_filter)
        #: Whether there is more to be done at the start of a request's span than to start it.
        self.looks_at_start = bool(
            options.start_span_cb
            or options.inject_response_headers
            or options.traced_response_headers
            or callable(options.operation_name)
            or options.blocked_after
        )

    @property
    def tracer(self) -> Tracer:
        """The tracer in use: the one given, else :func:`opentracing.global_tracer`, looked up each time."""
        return opentracing.global_tracer() if self.own_tracer is None else self.own_tracer

    def over(self, base: TracingConfig) -> TracingConfig:
        """This configuration, with another's tracer and options where this one says nothing."""
        known = self._over
        if known is None or known[0] is not base:
            tracer = base.own_tracer if self.own_tracer is None else self.own_tracer
            self._over = known = (base, TracingConfig(tracer, {**base.given, **self.given}))
            known[1].base = base.base
        return known[1]

    def fetching(self, client: TracingConfig) -> TracingConfig:
        """What counts for the fetches of a request that this one counts in: its tracer, and the client's options."""
        known = self._fetching
        if known is None or known[0] is not client:
            tracer = client.own_tracer if self.own_tracer is None else self.own_tracer
            self._fetching = known = (client, TracingConfig(tracer, {**self.given, **client.given}))
        return known[1]

    @functools.cached_property
    def untraced(self) -> TracingConfig:
        """What counts in a request that is excluded: the same tracer, and no spans but the application's own."""
        found = TracingConfig(self.own_tracer, {"trace_all": False, "trace_client": False})
        found.base, found.application, found.is_untraced = self.base, self.application, True
        return found


class Tracing:
    """A configuration as a developer has it in hand: ``TornadoTracing`` but for what it does."""

    _config: TracingConfig

    @classmethod
    def _showing(cls: type[Face], config: TracingConfig) -> Face:
        """One that shows a configuration; its tracer is asked nothing, for some are made while a request is served."""
        made = cls.__new__(cls)
        made._config = config
        return made

    @property
    def tracer(self) -> Tracer:
        """The tracer in use: the one given, else :func:`opentracing.global_tracer`, looked up each time."""
        return self._config.tracer

    @property
    def options(self) -> Options:
        """The options in force, with their defaults; they cannot be changed."""
        return self._config.options

    def __deepcopy__(self: Face, memo: object) -> Face:
        """Whoever copies an Application or its settings copies no tracer."""
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Whoever pickles an Application or its settings pickles nothing that was only shown in them."""
        return super().__reduce_ex__(protocol) if self._config.base is None else (type(None), ())


def config_in(tracing: Tracing) -> TracingConfig:
    """The configuration behind what a developer has in hand."""
    return tracing._config


@dataclasses.dataclass(slots=True)
class ProcessDefaults:
    """What ``init_tracing`` and ``init_client_tracing`` were given; the one place of global state.

    Another thread may change it at any time: what it is to hold during some steps is read once, before them.
    """

    tracing: TracingConfig | None = None
    client: TracingConfig | None = None
    #: What measures requests and fetches, if anything does.
    metrics: Metrics | None = None
    #: Whether a request ever was excluded: while none was, nobody need look for it.
    has_excluded: bool = False
    #: Those that were built while tracing is in force, by id, the newest last: an Application need not be hashable.
    applications: weakref.WeakValueDictionary[int, Application] = dataclasses.field(
        default_factory=weakref.WeakValueDictionary
    )
    #: Those whose settings were given the tracing in use.
    shown_to: weakref.WeakValueDictionary[int, Application] = dataclasses.field(
        default_factory=weakref.WeakValueDictionary
    )

    @property
    def newest_application(self) -> Application | None:
        """The newest Application that is still there."""
        references = reversed(self.applications.valuerefs())
        return next((found for reference in references if (found := reference()) is not None), None)


process = ProcessDefaults()
