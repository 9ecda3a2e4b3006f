# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's global meter provider, from the environment variables that its users know."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

NAMES = "OTEL_METRICS_EXPORTER"


def global_meter_provider() -> MeterProvider:
    """The global provider; where none is set, one is set that exports as the environment says, over OTLP by default."""
    if not is_set():
        metrics.set_meter_provider(sdk.MeterProvider([_reader(name) for name in exporters()]))
    return metrics.get_meter_provider()


def is_set() -> bool:
    """Whether there is a global provider that somebody has made."""
    return not type(metrics.get_meter_provider()).__name__.startswith("_Proxy")


def exporters() -> list[str]:
    """The exporters that the environment names."""
    names = os.environ.get(NAMES, "").strip() or "otlp"
    return [name.strip() for name in names.split(",") if name.strip() != "none"]


def _reader(name: str) -> MetricReader:
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL"
        )
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for entry_point in entry_points(group="opentelemetry_metrics_exporter", name=name):
        made: Any = entry_point.load()()
        return made if isinstance(made, MetricReader) else PeriodicExportingMetricReader(made)
    raise ValueError(f"{NAMES} names the exporter {name!r}, which is not installed")
