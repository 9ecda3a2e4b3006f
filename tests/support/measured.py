# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's metrics, kept in memory."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tornado_opentracing.opentelemetry import init_metrics


class Measured:
    """Metrics that are on, and what they say."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        init_metrics(self.provider)

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by name."""
        data: Any = self._reader.get_metrics_data()
        resources = [] if data is None else data.resource_metrics
        return {
            metric.name: metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        metric = self.metrics.get(name)
        return [] if metric is None else list(metric.data.data_points)

    def point(self, name: str) -> Any:
        """The only data point of a metric."""
        (point,) = self.points(name)
        return point

    def count(self, name: str) -> int:
        """How many values a histogram has."""
        return sum(point.count for point in self.points(name))
