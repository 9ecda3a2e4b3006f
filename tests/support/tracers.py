# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that remembers what it was asked."""

from __future__ import annotations

from typing import Any

from opentracing import Format
from opentracing.mocktracer import MockTracer

from tornado_opentracing import ContextVarsScopeManager


class KeepingTracer(MockTracer):
    """Keeps what it was asked, as it was at that time."""

    def __init__(self) -> None:
        super().__init__(ContextVarsScopeManager())
        self.started: list[tuple[str | None, dict[Any, Any]]] = []
        self.carriers: list[Any] = []

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        span = super().start_span(*args, **kwargs)
        self.started.append((span.operation_name, dict(kwargs["tags"])))
        return span

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002 - the name that it has in opentracing
        assert format == Format.HTTP_HEADERS
        self.carriers.append(carrier)
        return super().extract(format, carrier)
