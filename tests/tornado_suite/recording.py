# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that writes every span down in a file, as it starts and as it finishes.

The file is shared by every process that the suite starts or forks, and outlives those that end with ``os._exit``.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import traceback
from typing import Any

from environment import TEST
from opentracing.mocktracer import MockTracer
from tornado.httputil import HTTPServerRequest

import tornado_opentracing

#: Goes into the headers of fetches. Some tests have a server read 10 or 16 bytes at a time and count how often, which
#: depends on where the headers end: untraced, too, they fail if those are longer by some 80 to 110 bytes.
BAGGAGE = "x" * 100

OPTIONS: dict[str, Any] = {
    "traced_attributes": [
        *("method", "uri", "path", "query", "version", "headers", "remote_ip", "protocol", "host", "full_url"),
        *("arguments", "query_arguments", "body_arguments", "body", "files", "cookies"),
    ],
    "operation_name": "route",
    "excluded_paths": ["/a-path-that-no-test-asks-for"],
    "traced_request_headers": ["Host", "User-Agent", "Accept-Encoding", "Cookie", "Authorization", "X-Missing"],
    "traced_response_headers": ["Content-Type", "Content-Length", "Location", "Set-Cookie", "Etag", "X-Missing"],
    "unredacted_headers": ["Cookie"],
    "inject_response_headers": True,
    "trace_websocket_messages": True,
}


class RecordingTracer(MockTracer):
    """``MockTracer`` without its memory, which would keep alive what a test expects to be gone."""

    def __init__(self, path: str) -> None:
        super().__init__(tornado_opentracing.ContextVarsScopeManager())
        self._ids = itertools.count(1)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def record(self, event: str, **values: Any) -> None:
        """Append a line; in one write, which processes and threads do not mix up."""
        line = json.dumps({"event": event, "test": os.environ.get(TEST), **values})
        os.write(self._file, line.encode() + b"\n")

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        span = super().start_span(*args, **kwargs)
        context, kind = span.context, span.tags.get("span.kind")
        self.record("start", span=context.span_id, trace=context.trace_id, name=span.operation_name, kind=kind)
        return span

    def _append_finished_span(self, span: Any) -> None:
        self.record("finish", span=span.context.span_id)

    def _generate_id(self) -> int:
        return os.getpid() << 32 | next(self._ids)  # a forked process counts on from where its parent was


class _Reports(logging.Handler):
    """What the package logs."""

    def __init__(self, tracer: RecordingTracer) -> None:
        super().__init__(logging.WARNING)
        self._tracer = tracer

    def emit(self, record: logging.LogRecord) -> None:
        stack = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._tracer.record("report", text=f"{record.getMessage()}\n{stack}")


def _start_span_cb(span: Any, request: Any) -> None:
    span.set_tag("side", "server" if isinstance(request, HTTPServerRequest) else "client")
    span.set_baggage_item("suite", BAGGAGE)


def _finish_span_cb(span: Any, outcome: Any) -> None:
    span.set_tag("outcome", type(outcome).__name__)


def _request_filter(request: HTTPServerRequest) -> bool:
    return request.path is not None


def trace(path: str) -> RecordingTracer:
    """Trace this process with every option on."""
    tracer = RecordingTracer(path)
    logging.getLogger("tornado_opentracing").addHandler(_Reports(tracer))
    tornado_opentracing.init_tracing(
        tracer,
        start_span_cb=_start_span_cb,
        finish_span_cb=_finish_span_cb,
        request_filter=_request_filter,
        **OPTIONS,
    )
    return tracer
