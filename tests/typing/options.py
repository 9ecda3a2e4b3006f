# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Options: the names and the types that there are, for ``init_tracing`` and ``TornadoTracing`` alike."""

from __future__ import annotations

import re
from typing import Any

from opentracing import Tracer
from opentracing.mocktracer import MockTracer
from tornado.web import RequestHandler
from typing_extensions import assert_type

from tornado_opentracing import (
    ContextVarsScopeManager,
    TornadoTracing,
    current_tracer,
    init_client_tracing,
    init_tracing,
    no_parent_scope,
    remove_tracing,
)

tracer = MockTracer(scope_manager=ContextVarsScopeManager())

init_tracing()
init_tracing(None)
init_tracing(tracer)
init_tracing(tracer=Tracer(ContextVarsScopeManager()))
init_tracing(
    tracer,
    trace_all=False,
    trace_client=False,
    traced_attributes=["uri"],
    operation_name="route",
    excluded_paths=["/health", re.compile("/static/.*")],
    request_filter=None,
    start_span_cb=None,
    finish_span_cb=None,
    traced_request_headers=("X-Request-Id",),
    traced_response_headers={"Content-Type"},
    unredacted_headers=frozenset({"Cookie"}),
    redacted_query_params=(name for name in ["token"]),
    inject_response_headers=True,
    trace_websocket_messages=True,
    trace_websocket_connection=True,
    trace_templates=True,
    accept_parent=False,
    client_filter=lambda request: request.url.startswith("https://"),
    propagation_filter=None,
    server_error_statuses=range(500, 600),
    client_error_statuses=[404, 500],
)
settings: dict[str, Any] = {"trace_all": True}
init_tracing(tracer, **settings)

tracing = TornadoTracing(tracer, operation_name=lambda handler: handler.request.path)
TornadoTracing()
TornadoTracing(start_span_cb=None, excluded_paths=[re.compile("/health")])
init_client_tracing()
init_client_tracing(tracer)
init_client_tracing(TornadoTracing(tracer), start_span_cb=lambda span, request: None)
remove_tracing()

assert_type(init_tracing(), None)
assert_type(remove_tracing(), None)
assert_type(current_tracer(), Tracer)
with no_parent_scope() as nothing:
    assert_type(nothing, None)

init_tracing("tracer")  # expect: arg-type
init_tracing(MockTracer)  # expect: arg-type
init_tracing(tracer, lambda span, request: None)  # expect: call-arg, misc
init_tracing(trace_al=False)  # expect: call-arg
init_tracing(opentracing_trace_all=False)  # expect: call-arg
init_tracing(trace_all="yes")  # expect: arg-type
init_tracing(trace_client=None)  # expect: arg-type
init_tracing(traced_attributes=[1])  # expect: list-item
init_tracing(traced_attributes=7)  # expect: arg-type
init_tracing(operation_name="routes")  # expect: arg-type
init_tracing(operation_name=lambda handler: 1)  # expect: arg-type, return-value
init_tracing(excluded_paths=[b"/health"])  # expect: list-item
init_tracing(excluded_paths=[re.compile(b"/health")])  # expect: arg-type
init_tracing(request_filter="/health")  # expect: arg-type
init_tracing(finish_span_cb=1)  # expect: arg-type
init_tracing(traced_request_headers=1)  # expect: arg-type
init_tracing(inject_response_headers="no")  # expect: arg-type
init_tracing(accept_parent="no")  # expect: arg-type
init_tracing(client_filter=False)  # expect: arg-type
init_tracing(propagation_filter=lambda request: request.uri)  # expect: attr-defined
init_tracing(server_error_statuses=500)  # expect: arg-type
init_tracing(client_error_statuses=["500"])  # expect: list-item

TornadoTracing(tracer, trace_al=False)  # expect: call-arg
TornadoTracing(tracer, trace_all="yes")  # expect: arg-type
TornadoTracing("tracer")  # expect: arg-type

init_client_tracing(tracer, trace_all=False)  # expect: call-arg
init_client_tracing("tracer")  # expect: arg-type
current_tracer(tracer)  # expect: call-arg
remove_tracing(tracer)  # expect: call-arg
ContextVarsScopeManager(tracer)  # expect: call-arg


def name(handler: RequestHandler) -> str:
    return type(handler).__name__


init_tracing(operation_name=name)
init_tracing(accept_parent=lambda request: request.remote_ip == "10.0.0.1")
