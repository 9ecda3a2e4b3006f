# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is measured of one request and of one fetch."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from tornado.http1connection import HTTP1Connection
from tornado.httpclient import HTTPClientError, HTTPResponse

from tornado_opentracing._hooks.measuring import MEASUREMENT
from tornado_opentracing._spans import routes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from opentelemetry.metrics import Histogram
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing.opentelemetry._active import ActiveRequests

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NO_BODY = (101, 204, 304)


@dataclasses.dataclass(frozen=True)
class Histograms:
    """What requests, or fetches, are recorded in."""

    duration: Histogram
    request_size: Histogram
    response_size: Histogram


class _Measurement:
    """The bytes that came and went, and the time."""

    def __init__(self, histograms: Histograms) -> None:
        self._histograms = histograms
        self._start = time.perf_counter()
        self._received = self._sent = 0

    def received(self, size: int) -> None:
        """Count bytes of a body that came in."""
        self._received += size

    def sent(self, size: int) -> None:
        """Count bytes of a body that went out."""
        self._sent += size

    def _record(
        self, span: Any, attributes: dict[str, Any], request_size: int | None, response_size: int | None
    ) -> None:
        histograms, context = self._histograms, _context_of(span)
        histograms.duration.record(time.perf_counter() - self._start, attributes, context)
        if request_size is not None:
            histograms.request_size.record(request_size, attributes, context)
        if response_size is not None:
            histograms.response_size.record(response_size, attributes, context)


class RequestMeasurement(_Measurement):
    """Of a request to this server."""

    def __init__(
        self, histograms: Histograms, active: ActiveRequests, methods: Collection[str], request: HTTPServerRequest
    ) -> None:
        super().__init__(histograms)
        self._request = request
        self._active = active
        method = request.method or ""
        #: And the scheme.
        self.method = (method if method in methods else "_OTHER", request.protocol)
        # Of other connections nobody knows how much is written.
        self._counts_sent = isinstance(request.connection, HTTP1Connection)
        if self._counts_sent:
            setattr(request.connection, MEASUREMENT, self)
        self._active.add(self)

    def finish(
        self,
        span: Any,
        status: int | None,
        failed: bool,
        error: BaseException | None,
        outcome: object,  # noqa: ARG002 - the handler, of which nothing is asked
    ) -> None:
        """Record what there is to know of the request."""
        request = self._request
        self._active.remove(self)
        if self._counts_sent:
            delattr(request.connection, MEASUREMENT)
        method, scheme = self.method
        attributes: dict[str, Any] = {"http.request.method": method, "url.scheme": scheme}
        if status is not None:
            attributes["http.response.status_code"] = status
        if request.version[:5] == "HTTP/":
            attributes["network.protocol.version"] = request.version[5:]
        route = routes.route_of(request)
        if route is not None:
            attributes["http.route"] = route
        if failed or (status is not None and status >= 500):
            attributes["error.type"] = _error_type(status, error)
        size = len(request.body or b"") + self._received
        if "X-Consumed-Content-Encoding" in request.headers:  # what came was shorter than what Tornado made of it
            size = _content_length(request.headers) or size
        self._record(span, attributes, size, self._sent if self._counts_sent else None)


class FetchMeasurement(_Measurement):
    """Of a fetch, its redirects included."""

    def __init__(self, histograms: Histograms, methods: Collection[str], request: HTTPRequest) -> None:
        super().__init__(histograms)
        method = request.method
        self._attributes: dict[str, Any] = {
            "http.request.method": method if method in methods else "_OTHER",
            **_server(request.url.partition("?")[0]),
        }
        self._sent = len(request.body or b"")
        if request.body_producer is not None:
            request.body_producer = self._producing(request.body_producer)
        if request.streaming_callback is not None:
            request.streaming_callback = self._streaming(request.streaming_callback)

    def _producing(self, producer: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(producer)
        def produce(write: Callable[[bytes], Any]) -> Any:
            def counted(chunk: bytes) -> Any:
                self._sent += len(chunk)
                return write(chunk)

            return producer(counted)

        return produce

    def _streaming(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(callback):  # which curl_httpclient refuses, so it has to look like one

            @functools.wraps(callback)
            async def receive_coroutine(chunk: bytes) -> Any:
                self._received += len(chunk)
                return await callback(chunk)

            return receive_coroutine

        @functools.wraps(callback)
        def receive(chunk: bytes) -> Any:
            self._received += len(chunk)
            return callback(chunk)

        return receive

    def finish(self, span: Any, status: int | None, failed: bool, error: BaseException | None, outcome: object) -> None:
        """Record what there is to know of the fetch."""
        attributes = self._attributes
        found = getattr(outcome, "response", None) if isinstance(outcome, HTTPClientError) else outcome
        response = found if isinstance(found, HTTPResponse) else None
        if error is None and response is not None:
            error = response.error
        # Tornado's own 599 stands for no response; it is one where a server said so.
        has_status = status is not None and (status != 599 or type(error) is HTTPClientError)
        if has_status:
            attributes["http.response.status_code"] = status
        if failed or error is not None or (has_status and status is not None and status >= 400):
            attributes["error.type"] = _error_type(status if has_status else None, error)
        self._record(span, attributes, self._sent, self._response_size(response) if has_status else None)

    def _response_size(self, response: HTTPResponse | None) -> int:
        if response is None or response.request.method == "HEAD" or response.code in _NO_BODY:
            return 0
        size = _content_length(response.headers)
        return len(response.body or b"") + self._received if size is None else size


def _context_of(span: Any) -> Context:
    """A context in which the span is active, for exemplars; an empty one where it is no span of OpenTelemetry."""
    unwrap = getattr(span, "unwrap", None)
    otel_span = None if unwrap is None else unwrap()
    return trace.set_span_in_context(otel_span, Context()) if isinstance(otel_span, trace.Span) else Context()


def _error_type(status: int | None, error: BaseException | None) -> str:
    """The status that was answered, or else the name of the exception, which leads to the cause."""
    # An exception that carries the status says no more than it.
    if error is None or (status is not None and getattr(error, "status_code", getattr(error, "code", None)) == status):
        return "_OTHER" if status is None else str(status)
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _content_length(headers: Mapping[str, str]) -> int | None:
    length = headers.get("Content-Length")
    return int(length) if length is not None and length.isascii() and length.isdigit() else None


@functools.lru_cache(maxsize=1024)
def _server(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:  # no URL at all: Tornado says so
        return {}
    found: dict[str, Any] = {}
    if parts.hostname:
        found["server.address"] = parts.hostname
        if port is not None:
            found["server.port"] = port
    return found
