# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the tests share: tracers that record, and live servers on loopback."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, Protocol

from opentelemetry import trace as otel_trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.shim.opentracing_shim import create_tracer
from opentelemetry.trace import SpanKind, StatusCode
from opentracing import Tracer, logs, tags
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.span import MockSpan
from opentracing.scope_managers.contextvars import ContextVarsScopeManager as OpenTracingScopeManager
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing import opentelemetry as bridge


@dataclasses.dataclass
class Recorded:
    """A finished span, whatever tracer made it."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    tags: dict[str, Any]
    logs: list[dict[str, Any]]
    start_time: float
    finish_time: float

    @property
    def kind(self) -> str | None:
        return self.tags.get("span.kind")

    @property
    def status(self) -> int | None:
        return self.tags.get("http.status_code")

    @property
    def is_error(self) -> bool:
        return self.tags.get("error") is True

    @property
    def path(self) -> str:
        """The URL's path, of server and client spans alike."""
        url: str = self.tags["http.url"]
        return "/" + url.partition("://")[2].partition("/")[2] if "://" in url else url


class Recorder(Protocol):
    """A tracer with a memory. ``finished`` lists a span as often as it was finished, in the order of finishing."""

    tracer: Tracer

    @property
    def finished(self) -> list[Recorded]: ...

    @property
    def unfinished(self) -> int: ...


class _CountingMockTracer(MockTracer):
    def __init__(self, scope_manager: Any) -> None:
        super().__init__(scope_manager)
        self.started: list[MockSpan] = []

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        span = super().start_span(*args, **kwargs)
        self.started.append(span)
        return span


class MockRecorder:
    """``MockTracer``, under a scope manager of choice."""

    def __init__(self, scope_manager: Any = None) -> None:
        self.tracer: Any = _CountingMockTracer(scope_manager or ContextVarsScopeManager())

    @property
    def finished(self) -> list[Recorded]:
        return [
            Recorded(
                span.operation_name,
                span.context.trace_id,
                span.context.span_id,
                span.parent_id,
                dict(span.tags),
                [log.key_values for log in span.logs],
                span.start_time,
                span.finish_time,
            )
            for span in self.tracer.finished_spans()
        ]

    @property
    def unfinished(self) -> int:
        return sum(not span.finished for span in self.tracer.started)


class ShimRecorder:
    """The OpenTelemetry SDK, through its OpenTracing shim."""

    make_tracer: Any = staticmethod(create_tracer)

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._started = 0
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(_Count(self))
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Any = self.make_tracer(provider)

    @property
    def finished(self) -> list[Recorded]:
        return [self._recorded(span) for span in self._exporter.get_finished_spans()]

    @property
    def unfinished(self) -> int:
        return self._started - len(self._exporter.get_finished_spans())

    def _recorded(self, span: ReadableSpan) -> Recorded:
        assert span.context is not None
        assert span.start_time is not None
        assert span.end_time is not None
        return Recorded(
            span.name,
            span.context.trace_id,
            span.context.span_id,
            span.parent.span_id if span.parent is not None else None,
            dict(span.attributes or {}),
            [dict(event.attributes or {}) for event in span.events],
            span.start_time / 1e9,
            span.end_time / 1e9,
        )


class BridgeRecorder(ShimRecorder):
    """The OpenTelemetry SDK, through this package's bridge; what that translates is translated back."""

    make_tracer = staticmethod(bridge.create_tracer)

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[int, tuple[str, str]] = {}
        self._unanswered: set[int] = set()
        self._called_errors: set[int] = set()
        start_span = self.tracer.start_span

        def noting(operation_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
            span = start_span(operation_name, *args, **kwargs)
            if span.is_recording():
                self._names[span.context.span_id] = (span.unwrap().name, operation_name or "")
                span.set_tag = functools.partial(self._set_tag, span, span.set_tag)
            return span

        self.tracer.start_span = noting
        # A request that is handed on is renamed as with other tracers.
        self.tracer.__class__ = type("Tracer", (type(self.tracer),), {"name_request": None})

    def _set_tag(self, span: Any, set_tag: Any, key: str, value: Any) -> Any:
        if (key, value) == (tags.HTTP_STATUS_CODE, 599):
            self._unanswered.add(span.context.span_id)
        if key == tags.ERROR:
            self._called_errors.add(span.context.span_id)
        return set_tag(key, value)

    def _recorded(self, span: ReadableSpan) -> Recorded:
        recorded = super()._recorded(span)
        called, operation_name = self._names[recorded.span_id]
        if span.name == called:
            recorded.name = operation_name
        _translate_back(recorded.tags, span)
        # To be answered with 400 to 499, or with one redirect too many, is an error in OpenTelemetry only.
        if (
            recorded.kind == "client"
            and 300 <= (recorded.status or 0) < 500
            and (recorded.span_id not in self._called_errors or (recorded.status or 0) < 400)
        ):
            recorded.tags.pop(tags.ERROR, None)
        if recorded.span_id in self._unanswered:
            recorded.tags[tags.HTTP_STATUS_CODE] = 599
        for event, fields in zip(span.events, recorded.logs, strict=True):
            if event.name == "exception":
                kind = fields["exception.type"]
                fields |= {logs.EVENT: tags.ERROR, logs.ERROR_KIND: kind.rpartition(".")[2], logs.ERROR_OBJECT: kind}
                fields |= {logs.MESSAGE: fields["exception.message"], logs.STACK: fields["exception.stacktrace"]}
        return recorded


def _translate_back(found: dict[str, Any], span: ReadableSpan) -> None:
    """Put back what OpenTracing calls the attributes of the semantic conventions."""
    is_client = span.kind is SpanKind.CLIENT
    if span.kind is not SpanKind.INTERNAL:
        found[tags.SPAN_KIND] = span.kind.name.lower()
    if "http.request.method" in found:
        found[tags.COMPONENT] = "tornado"
        found[tags.HTTP_METHOD] = found.get("http.request.method_original", found["http.request.method"])
    if "url.full" in found:
        found[tags.HTTP_URL] = found["url.full"]
    elif "url.path" in found:
        found[tags.HTTP_URL] = found["url.path"] + (f"?{found['url.query']}" if "url.query" in found else "")
    peer = "server" if is_client else "client"
    if (address := found.get(f"{peer}.address")) is not None:
        of_client = tags.PEER_HOST_IPV6 if ":" in address else tags.PEER_HOST_IPV4
        found[tags.PEER_HOSTNAME if is_client else of_client] = address
        if (port := found.get(f"{peer}.port")) is not None:
            found[tags.PEER_PORT] = port
            if is_client:
                found[tags.PEER_ADDRESS] = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    status = found.get("http.response.status_code")
    if status is not None:
        found[tags.HTTP_STATUS_CODE] = status
    if span.status.status_code is StatusCode.ERROR:
        found[tags.ERROR] = True


class _Count(SimpleSpanProcessor):
    def __init__(self, recorder: ShimRecorder) -> None:
        super().__init__(InMemorySpanExporter())
        self._recorder = recorder

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._recorder._started += 1

    def on_end(self, span: ReadableSpan) -> None:
        pass


RECORDERS: dict[str, Any] = {
    "ours": MockRecorder,
    "opentracing": lambda: MockRecorder(OpenTracingScopeManager()),
    "opentelemetry": ShimRecorder,
    "bridge": BridgeRecorder,
}


def active_id(tracer: Any) -> int | None:
    """The id of the active span, or ``None``; the shim makes a new object each time, so objects cannot be compared."""
    span = tracer.active_span
    if span is None:
        return None
    context = span.context
    if hasattr(context, "unwrap"):
        unwrapped = context.unwrap()
        return int(unwrapped.span_id) if unwrapped != otel_trace.INVALID_SPAN_CONTEXT else None
    return int(context.span_id)


def span_id(span: Any) -> int:
    """The id of a span of any tracer."""
    context = span.context
    return int(context.unwrap().span_id if hasattr(context, "unwrap") else context.span_id)


def only(spans: Iterable[Recorded], **wanted: Any) -> Recorded:
    """The one span whose attributes are as wanted."""
    found = [span for span in spans if all(getattr(span, name) == value for name, value in wanted.items())]
    assert len(found) == 1, f"{len(found)} spans match {wanted}: {found}"
    return found[0]


def children(spans: Iterable[Recorded], parent: Recorded) -> list[Recorded]:
    """The children of a span, in the order in which they started."""
    found = [s for s in spans if s.trace_id == parent.trace_id and s.parent_id == parent.span_id]
    return sorted(found, key=lambda s: s.start_time)


class Servers:
    """Live servers on free loopback ports, stopped at the end of the test."""

    def __init__(self) -> None:
        self._servers: list[HTTPServer] = []

    def start(self, application: Application, **kwargs: Any) -> str:
        """Serve an application; return its URL, without a slash at the end. Needs a running event loop."""
        socket, port = bind_unused_port()
        server = HTTPServer(application, **kwargs)
        server.add_sockets([socket])
        self._servers.append(server)
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        for server in self._servers:
            server.stop()
            await server.close_all_connections()
