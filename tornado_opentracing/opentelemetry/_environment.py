# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's global tracer provider, from the environment variables that its users know."""

from __future__ import annotations

import os
from importlib import metadata
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tornado_opentracing.opentelemetry import _ending

#: The version of the semantic conventions that spans are described by.
SCHEMA = "https://opentelemetry.io/schemas/1.23.0"

#: How many spans are exported at once: to encode more holds the interpreter, and with it the loop, for longer.
_BATCH = 32

#: What brings the exporters of OpenTelemetry's own that are not installed with this package.
_PACKAGES = {
    "otlp_proto_http": "opentelemetry-exporter-otlp-proto-http",
    "otlp_proto_grpc": "opentelemetry-exporter-otlp-proto-grpc",
    "otlp_json_http": "opentelemetry-exporter-otlp-json-http",
    "otlp_json_file": "opentelemetry-exporter-otlp-json-file",
    "zipkin": "opentelemetry-exporter-zipkin",
    "zipkin_json": "opentelemetry-exporter-zipkin-json",
    "zipkin_proto": "opentelemetry-exporter-zipkin-proto-http",
}
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc", "http/json": "otlp_json_http"}


def global_provider() -> trace.TracerProvider:
    """The global provider; where none is set, one is set that exports as the environment says.

    Resource, sampler, limits, batches and the exporters' own settings are read by the SDK and the exporters themselves.
    """
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        exporters = _exporters()
        made = TracerProvider()
        for exporter in exporters:
            made.add_span_processor(_in_batches(exporter))
        trace.set_tracer_provider(made)
        provider = trace.get_tracer_provider()
        if provider is made:
            _ending.export_before_sigterm(made)
    return provider


def _in_batches(exporter: Any) -> BatchSpanProcessor:
    if os.environ.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
        return BatchSpanProcessor(exporter)
    # As many as there is room for, where that is less.
    room = os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "")
    return BatchSpanProcessor(exporter, max_export_batch_size=min(_BATCH, int(room)) if room.isdecimal() else _BATCH)


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
    return [_exporter(name.strip()) for name in names.split(",") if name.strip() not in ("", "none")]


def _exporter(name: str) -> Any:
    said = f"OTEL_TRACES_EXPORTER names the exporter {name!r}"
    if name == "otlp":
        name, said = _of_protocol()
    for entry_point in metadata.entry_points(group="opentelemetry_traces_exporter", name=name):
        return entry_point.load()()
    package = _PACKAGES.get(name)
    remedy = f"; to get it: pip install {package}" if package is not None else f"; there are {', '.join(_installed())}"
    raise ValueError(f"{said}, which is not installed{remedy}")


def _of_protocol() -> tuple[str, str]:
    """The exporter for the protocol of OTLP that the environment asks for, and what is said if it is not there."""
    setting, protocol = "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        given = os.environ.get(variable, "").strip()
        if given:
            setting, protocol = variable, given
            break
    name = _PROTOCOLS.get(protocol)
    if name is None:
        raise ValueError(f"{setting} must be one of {', '.join(_PROTOCOLS)}, not {protocol!r}")
    return name, f"OTEL_TRACES_EXPORTER names the exporter 'otlp', and {setting} its protocol {protocol!r}"


def _installed() -> list[str]:
    found = metadata.entry_points(group="opentelemetry_traces_exporter")
    return sorted({"otlp", *(entry_point.name for entry_point in found)})
