# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Callbacks: each may say which of the subjects it is given; not that it is given less, or something else."""

from __future__ import annotations

from typing import Any

from opentracing import Span
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from tornado_opentracing import TornadoTracing, init_client_tracing, init_tracing


def untyped_subject(span: Span, request: Any) -> None: ...


def of_fetches(span: Span, request: HTTPRequest) -> None:
    span.set_tag("url", request.url)


def of_requests(span: Span, request: HTTPServerRequest) -> None:
    span.set_tag("uri", request.uri or "")


def of_both(span: Span, request: HTTPRequest | HTTPServerRequest) -> str:
    return request.method or ""


class Counts:
    def __call__(self, span: Span, request: HTTPRequest) -> None: ...

    def method(self, span: Span, request: HTTPServerRequest, extra: int = 0) -> None: ...


init_client_tracing(start_span_cb=untyped_subject)
init_client_tracing(start_span_cb=of_fetches)
init_client_tracing(None, of_fetches)
init_client_tracing(start_span_cb=Counts())
init_tracing(start_span_cb=untyped_subject)
init_tracing(start_span_cb=of_fetches)
init_tracing(start_span_cb=of_requests)
init_tracing(start_span_cb=of_both)
init_tracing(start_span_cb=Counts().method)
init_tracing(start_span_cb=lambda span, request: span.set_tag("tenant", request.headers.get("X-Tenant")))
TornadoTracing(None, of_requests)
TornadoTracing(start_span_cb=of_both)


def with_handler(span: Span, handler: RequestHandler) -> None: ...


def with_outcome(span: Span, outcome: RequestHandler | HTTPResponse | BaseException) -> None:
    if isinstance(outcome, HTTPResponse):
        span.set_tag("code", outcome.code)


init_tracing(finish_span_cb=with_handler)
init_tracing(finish_span_cb=with_outcome)
TornadoTracing(finish_span_cb=with_outcome)


def wanted(request: HTTPServerRequest) -> bool:
    return request.path != "/health"


init_tracing(request_filter=wanted)
init_tracing(request_filter=lambda request: request.headers.get("User-Agent") != "kube-probe")


def too_few(span: Span) -> None: ...


def too_many(span: Span, request: HTTPRequest, response: HTTPResponse) -> None: ...


def no_span(span: str, request: HTTPRequest) -> None: ...


def no_request(request: HTTPRequest) -> bool:
    return True


init_client_tracing(start_span_cb=too_few)  # expect: arg-type
init_client_tracing(start_span_cb=too_many)  # expect: arg-type
init_client_tracing(start_span_cb=no_span)  # expect: arg-type
init_client_tracing(start_span_cb="callback")  # expect: arg-type
init_tracing(start_span_cb=too_few)  # expect: arg-type
init_tracing(start_span_cb=no_span)  # expect: arg-type
init_tracing(finish_span_cb=too_few)  # expect: arg-type
init_tracing(finish_span_cb=too_many)  # expect: arg-type
init_tracing(request_filter=no_request)  # expect: arg-type
init_tracing(request_filter=of_requests)  # expect: arg-type
init_tracing(operation_name=wanted)  # expect: arg-type
