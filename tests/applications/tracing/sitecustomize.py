# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""On the path of a traced run, so that every process of it is traced from its start, with everything on."""

from __future__ import annotations

import atexit
import json
import logging
import os
from pathlib import Path
from typing import Any

import tornado_opentracing

EVERYTHING: dict[str, Any] = {
    "operation_name": "route",
    "trace_websocket_messages": "both",
    "inject_response_headers": True,
    "traced_request_headers": ["User-Agent", "Cookie"],
    "traced_response_headers": ["Content-Type"],
    "background": "link",
}


def recorder(stack: str) -> Any:
    """A tracer that knows which of its spans are open, how often each was finished, and what it was called."""
    return {"mock": _mock, "opentelemetry": _opentelemetry}[stack]()


def _mock() -> tuple[Any, dict[int, list[Any]]]:
    from opentracing.mocktracer import MockTracer

    spans: dict[int, list[Any]] = {}

    class Tracer(MockTracer):  # type: ignore[misc, unused-ignore]
        def start_span(self, *args: Any, **kwargs: Any) -> Any:
            span = super().start_span(*args, **kwargs)
            spans[id(span)] = [span, 0]
            return span

        def _append_finished_span(self, span: Any) -> None:
            spans[id(span)][1] += 1

    return Tracer(tornado_opentracing.ContextVarsScopeManager()), spans


def _opentelemetry() -> tuple[Any, dict[int, list[Any]]]:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from tornado_opentracing.opentelemetry import create_tracer

    spans: dict[int, list[Any]] = {}

    class Count(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            spans[span.context.span_id] = [span, 0]

        def on_end(self, span: Any) -> None:
            spans[span.context.span_id][1] += 1

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Count())
    return create_tracer(provider), spans


class _Reports(logging.Handler):
    """What the package logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def _name(span: Any) -> str:
    return str(getattr(span, "operation_name", None) or span.name)


def _trace(stack: str, folder: str) -> None:
    tracer, spans = recorder(stack)
    reports = _Reports()
    logging.getLogger("tornado_opentracing").addHandler(reports)
    tornado_opentracing.init_tracing(tracer, **EVERYTHING)

    def write() -> None:
        found = {
            "spans": len(spans),
            "open": sorted(_name(span) for span, finished in spans.values() if finished == 0),
            "finished twice": sorted(_name(span) for span, finished in spans.values() if finished > 1),
            "names": sorted({_name(span) for span, _ in spans.values()}),
            "reports": reports.texts,
        }
        Path(folder, f"{os.getpid()}.json").write_text(json.dumps(found))

    atexit.register(write)


if "APPLICATION_STACK" in os.environ:
    _trace(os.environ["APPLICATION_STACK"], os.environ["APPLICATION_SPANS"])
