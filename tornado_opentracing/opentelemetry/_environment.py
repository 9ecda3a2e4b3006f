"""OpenTelemetry's global tracer provider, from the environment variables that its users know."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

#: The version of the semantic conventions that spans are described by.
SCHEMA = "https://opentelemetry.io/schemas/1.23.0"


def global_provider() -> trace.TracerProvider:
    """The global provider; where none is set, one is set that exports as the environment says.

    Resource, sampler, limits, batches and the exporters' own settings are read by the SDK and the exporters themselves.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        made = TracerProvider()
        for exporter in _exporters():
            made.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(made)
        provider = trace.get_tracer_provider()
    return provider


def version() -> str | None:
    """The version of this package, where it is installed."""
    try:
        return metadata.version("tornado-opentracing")
    except metadata.PackageNotFoundError:
        return None


def is_dup() -> bool:
    """Whether attributes are wanted under their names of before HTTP's semantic conventions were stable, too."""
    wanted = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
    return "http/dup" in (name.strip() for name in wanted)


def _exporters() -> list[Any]:
    names = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return [_exporter(name.strip()) for name in names.split(",") if name.strip() != "none"]


def _exporter(name: str) -> Any:
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for entry_point in metadata.entry_points(group="opentelemetry_traces_exporter", name=name):
        return entry_point.load()()
    raise ValueError(f"OTEL_TRACES_EXPORTER names the exporter {name!r}, which is not installed")
