# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What ``opentelemetry-instrument`` finds: tracing by this package, as the environment says, without a line of code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import opentracing
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from tornado_opentracing import _redaction
from tornado_opentracing._guard import logger
from tornado_opentracing._install import init_client_tracing, init_tracing, remove_tracing
from tornado_opentracing._settings.config import process
from tornado_opentracing._tracing import TornadoTracing
from tornado_opentracing.opentelemetry import _meter_provider, _variables, create_tracer, init_metrics

if TYPE_CHECKING:
    from opentracing import Tracer
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

_THEIRS = "opentelemetry.instrumentation.tornado"


class TornadoOpenTracingInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Calls ``init_tracing`` with ``create_tracer()`` and with what the environment says.

    What the application says in code counts instead: an ``init_tracing`` of its own replaces all this, and an
    Application's settings win as ever. Where ``opentelemetry-instrumentation-tornado`` is at work too, requests and
    fetches are left to that, with a warning.
    """

    #: Ours while it is in place, for somebody else's is not to be removed.
    _tracer: Tracer | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """What is instrumented."""
        return ("tornado >= 6.0",)

    def _instrument(self, **kwargs: Any) -> None:
        if process.tracing is not None:  # the application was first
            return
        excluded = _variables.ExcludedURLs()
        sanitized = _variables.sanitized_headers()
        if sanitized is not None:
            _redaction.redact_headers_also(sanitized)
        self._tracer = tracer = create_tracer(kwargs.get("tracer_provider"))
        options, of_fetches = _variables.server_options(), _variables.client_options()

        def is_wanted(request: HTTPServerRequest) -> bool:
            return request not in excluded and not _is_theirs_at_work()

        init_tracing(tracer, request_filter=is_wanted, client_filter=_is_fetch_wanted, **options)
        if any([*options.values(), *of_fetches.values()]):
            _trace_fetches(tracer, of_fetches)
        if not opentracing.is_global_tracer_registered():
            opentracing.set_global_tracer(tracer)
        meter_provider = kwargs.get("meter_provider")
        if meter_provider is not None or (_meter_provider.is_set() and _meter_provider.exporters()):
            init_metrics(meter_provider)
        _is_theirs_at_work()

    def _uninstrument(self, **_kwargs: Any) -> None:
        tracer, self._tracer = self._tracer, None
        if process.tracing is not None and process.tracing.own_tracer is tracer:
            remove_tracing()
        if tracer is not None and opentracing.global_tracer() is tracer:
            opentracing.set_global_tracer(opentracing.Tracer())
            opentracing.is_tracer_registered = False


def _trace_fetches(tracer: Tracer, options: dict[str, Any]) -> None:
    """Have options for fetches that differ from those for requests, until the next ``init_tracing``."""
    init_client_tracing(TornadoTracing(tracer, client_filter=_is_fetch_wanted, **options))
    if process.client is not None:
        process.client.base = process.tracing


def _is_fetch_wanted(_request: HTTPRequest) -> bool:
    return not _is_theirs_at_work()


def _is_theirs_at_work() -> bool:
    """Whether OpenTelemetry's own instrumentation of Tornado is switched on, which may happen at any time."""
    if _THEIRS not in sys.modules:
        return False
    # To make one is to reset what it knows.
    instrumentor = getattr(getattr(sys.modules[_THEIRS], "TornadoInstrumentor", None), "_instance", None)
    if instrumentor is None or not instrumentor.is_instrumented_by_opentelemetry:
        return False
    _warn()
    return True


@functools.lru_cache(maxsize=1)
def _warn() -> None:
    logger.warning(
        "opentelemetry-instrumentation-tornado is at work beside tornado_opentracing: requests and fetches are left to "
        "it. To have tornado_opentracing trace them, uninstall it, or set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=tornado"
    )
