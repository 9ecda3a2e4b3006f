# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An SDK of OpenTelemetry behind the bridge, and an application that it records."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

import httpx
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from support import Servers
from support.serving import until
from tornado_opentracing.opentelemetry import create_tracer


class OpenTelemetry:
    """An SDK that keeps what it would export."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Any = create_tracer(self.provider)

    @property
    def finished(self) -> Sequence[Any]:
        return self._exporter.get_finished_spans()

    async def spans(self, count: int) -> dict[str, Any]:
        """The finished spans by kind or name, once that many are there."""
        await until(lambda: len(self.finished) >= count)
        assert len(self.finished) == count
        return {span.name if span.kind is SpanKind.INTERNAL else span.kind.name: span for span in self.finished}

    def only(self) -> Any:
        (span,) = self.finished
        return span


def parent_of(span: Any) -> int | None:
    return None if span.parent is None else span.parent.span_id


# A live server


class Shop(RequestHandler):
    def initialize(self, otel: OpenTelemetry, url: str = "") -> None:
        self.otel = otel
        self.url = url

    async def get(self, item: str) -> None:
        if item == "broken":
            raise KeyError("no stock")
        if item == "database":
            with contextlib.closing(sqlite3.connect(":memory:")) as database:
                database.cursor().execute("SELECT 1")
        elif item == "httpx":
            async with httpx.AsyncClient() as client:
                await client.get(f"{self.url}/plain")
        elif item == "around":
            with self.otel.provider.get_tracer("app").start_as_current_span("around"):
                client_ = AsyncHTTPClient()
                await asyncio.gather(*[client_.fetch(f"{self.url}/plain?n={n}") for n in range(3)])
        elif item == "baggage":
            found: Any = self.otel.tracer.active_span
            self.write({"ours": found.get_baggage_item("user"), "theirs": baggage.get_baggage("user")})


def shop(servers: Servers, otel: OpenTelemetry, url: str = "") -> str:
    return servers.start(Application([(r"/(\w+)", Shop, {"otel": otel, "url": url})]))
