# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The types that are exported: to annotate callbacks, and functions that pass options on."""

from __future__ import annotations

from opentracing import Tracer
from typing_extensions import Unpack

from tornado_opentracing import (
    AcceptParent,
    Background,
    FetchFilter,
    FinishSpanCallback,
    MessageFilter,
    OperationName,
    OptionValues,
    RequestFilter,
    StartSpanCallback,
    TornadoTracing,
    WebSocketMessages,
    init_tracing,
)


def traced(tracer: Tracer, name: str, **options: Unpack[OptionValues]) -> TornadoTracing:
    init_tracing(tracer, **options)
    return TornadoTracing(tracer, start_span_cb=tagged("shop", name), **options)


def tagged(key: str, value: str) -> StartSpanCallback:
    return lambda span, request: span.set_tag(key, value)


finish: FinishSpanCallback = lambda span, outcome: span.set_tag("outcome", type(outcome).__name__)  # noqa: E731
wanted: RequestFilter = lambda request: request.path != "/health"  # noqa: E731
fetched: FetchFilter = lambda request: not request.url.endswith("/metrics")  # noqa: E731
counted: MessageFilter = lambda handler, message: message != "ping"  # noqa: E731
named: OperationName = lambda handler: handler.request.path  # noqa: E731
accepted: AcceptParent = lambda request: request.remote_ip == "10.0.0.1"  # noqa: E731
messages: WebSocketMessages = "both"
background: Background = "link"

traced(Tracer(), "a name", finish_span_cb=finish, request_filter=wanted, client_filter=fetched, operation_name=named)
traced(Tracer(), "a name", accept_parent=accepted, websocket_message_filter=counted, background=background)
traced(Tracer(), "a name", trace_websocket_messages=messages, trace_al=True)  # expect: call-arg
unnamed: OperationName = "url"  # expect: assignment
TornadoTracing().over  # noqa: B018  # expect: attr-defined
