"""OpenTracing spans as OpenTelemetry spans, complete: kind, status, exceptions, links, baggage, semantic conventions.

Needs the extra ``tornado-opentracing[opentelemetry]``. Two lines in an application, with OpenTelemetry's usual
environment variables (``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_ENDPOINT``) around it:

.. code-block:: python

    from tornado_opentracing.opentelemetry import create_tracer

    tornado_opentracing.init_tracing(create_tracer())

A program that forks creates its tracer after the fork, for each process has an exporter of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado_opentracing.opentelemetry import _environment
from tornado_opentracing.opentelemetry._tracer import Tracer

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["create_tracer"]


def create_tracer(tracer_provider: TracerProvider | None = None) -> Tracer:
    """An OpenTracing tracer whose spans are OpenTelemetry's.

    It is OpenTelemetry's own OpenTracing shim with what that leaves out. The active span is the same in both:
    what other instrumentations open in a traced handler are children of the handler's span, and the other way round.
    Trace headers are read and written with OpenTelemetry's global propagator (``OTEL_PROPAGATORS``), looked up at each
    use: W3C's ``traceparent``, ``tracestate`` and ``baggage`` unless configured otherwise.

    :param tracer_provider: what makes the spans. Without it, OpenTelemetry's global provider; where the application
        has set none, one is made and set that exports as OpenTelemetry's environment variables say: by default, over
        OTLP/HTTP. It is shut down, and what is left exported, when the interpreter exits.
    :raises ValueError: if ``OTEL_TRACES_EXPORTER`` names an exporter that is not installed.
    """
    provider = tracer_provider or _environment.global_provider()
    otel_tracer = provider.get_tracer("tornado_opentracing", _environment.version(), _environment.SCHEMA)
    return Tracer(otel_tracer, _environment.is_dup())
