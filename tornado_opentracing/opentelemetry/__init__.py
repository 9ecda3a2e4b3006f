# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTracing spans as OpenTelemetry spans, complete: kind, status, exceptions, links, baggage, semantic conventions.

Needs the extra ``tornado-opentracing[opentelemetry]``. Two lines in an application, with OpenTelemetry's usual
environment variables (``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_ENDPOINT``) around it:

.. code-block:: python

    from tornado_opentracing.opentelemetry import create_tracer

    tornado_opentracing.init_tracing(create_tracer())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado_opentracing._hooks import table
from tornado_opentracing._settings.config import process

try:
    from tornado_opentracing.opentelemetry import _ending, _environment, _meter_provider
    from tornado_opentracing.opentelemetry._metrics import HTTPMetrics
    from tornado_opentracing.opentelemetry._tracer import Tracer
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ModuleNotFoundError(
        f"tornado_opentracing.opentelemetry needs {error.name}: pip install 'tornado-opentracing[opentelemetry]'",
        name=error.name,
    ) from error

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["create_tracer", "init_metrics"]


def create_tracer(tracer_provider: TracerProvider | None = None) -> Tracer:
    """An OpenTracing tracer whose spans are OpenTelemetry's.

    The active span is the same in both: what other instrumentations open in a traced handler are children of the
    handler's span, and the other way round. Spans of requests and fetches follow the stable semantic conventions for
    HTTP; with ``http/dup`` in ``OTEL_SEMCONV_STABILITY_OPT_IN``, which is read here, attributes have OpenTracing's
    names as well. Trace headers are read and written with OpenTelemetry's global propagator (``OTEL_PROPAGATORS``),
    looked up at each use: W3C's ``traceparent``, ``tracestate`` and ``baggage`` unless configured otherwise.

    What waits for its export is exported before ``tornado.autoreload`` replaces the process, for which that waits for
    at most five seconds.

    :param tracer_provider: what makes the spans. Without it, OpenTelemetry's global provider; where the application
        has set none, one is made and set that exports as OpenTelemetry's environment variables say: by default, over
        OTLP/HTTP, at most 32 spans at once. It is shut down, and what is left exported, when the interpreter exits, and
        on SIGTERM where that has no handler.
    :return: the tracer, for ``init_tracing``. Its spans have ``unwrap()``, which returns OpenTelemetry's own.
    :raises TypeError: ``tracer_provider`` is no provider.
    :raises ValueError: the environment names an exporter, or a protocol, that does not exist or is not installed.
    """
    if tracer_provider is None:
        tracer_provider = _environment.global_provider()
    elif isinstance(tracer_provider, type) or not hasattr(tracer_provider, "get_tracer"):
        raise TypeError(
            "tracer_provider must be a TracerProvider of OpenTelemetry, such as opentelemetry.sdk.trace."
            f"TracerProvider(), not {tracer_provider!r}; the service's name is set by OTEL_SERVICE_NAME"
        )
    _ending.export_before_reload(tracer_provider)
    otel_tracer = tracer_provider.get_tracer("tornado_opentracing", _environment.version(), _environment.SCHEMA)
    return Tracer(otel_tracer, _environment.is_dup())


def init_metrics(meter_provider: MeterProvider | None = None) -> None:
    """Measure every request and fetch that gets a span, whether it is sampled or not and whatever the tracer.

    Those are the requests and fetches that ``init_tracing``, ``init_client_tracing`` or ``@trace`` trace; what is
    excluded is not counted. Names, units, buckets and attributes are those of OpenTelemetry's semantic conventions:
    ``http.server.request.duration``, ``http.server.active_requests``, ``http.server.request.body.size``,
    ``http.server.response.body.size``, ``http.client.request.duration`` and the client's two sizes. Exemplars lead to
    the trace, where the tracer is OpenTelemetry's. ``tornado.ioloop.lag`` is how late an event loop runs what is due,
    in seconds, taken twice a second from the first request or fetch on it (from this call on, if one is running).

    Calling it again replaces the meter provider. ``remove_tracing`` ends it.

    :param meter_provider: what makes the instruments. Without it, OpenTelemetry's global provider; where the
        application has set none, one is made and set that exports as ``OTEL_METRICS_EXPORTER`` says: by default, over
        OTLP/HTTP.
    :raises TypeError: ``meter_provider`` is no provider.
    :raises ValueError: ``OTEL_METRICS_EXPORTER`` names an exporter that is not installed.
    """
    if meter_provider is None:
        meter_provider = _meter_provider.global_meter_provider()
    elif isinstance(meter_provider, type) or not hasattr(meter_provider, "get_meter"):
        raise TypeError(
            "meter_provider must be a MeterProvider of OpenTelemetry, such as opentelemetry.sdk.metrics."
            f"MeterProvider(), not {meter_provider!r}"
        )
    before, process.metrics = process.metrics, HTTPMetrics(meter_provider)
    if before is not None:
        before.stop()
    table.MEASURING.install()
