# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTracing instrumentation for Tornado 6 and later.

.. code-block:: python

    import tornado_opentracing

    tracer = SomeTracer(scope_manager=tornado_opentracing.ContextVarsScopeManager())
    tornado_opentracing.init_tracing(tracer)

From then on every request that reaches a :class:`tornado.web.Application` and every
:meth:`tornado.httpclient.AsyncHTTPClient.fetch` has a span, each with the right parent.
"""

from tornado_opentracing._install import init_client_tracing, init_tracing, remove_tracing
from tornado_opentracing._redaction import DEFAULT_QUERY_PARAMS as DEFAULT_REDACTED_QUERY_PARAMS
from tornado_opentracing._settings.current import current_tracer
from tornado_opentracing._settings.options import (
    AcceptParent,
    Background,
    FetchFilter,
    FinishSpanCallback,
    MessageFilter,
    OperationName,
    OptionValues,
    RequestFilter,
    StartSpanCallback,
    WebSocketMessages,
)
from tornado_opentracing._spans.messages import WebSocketMessage
from tornado_opentracing._tracing import TornadoTracing, trace
from tornado_opentracing.executor import ContextThreadPoolExecutor
from tornado_opentracing.logs import TraceIdFilter
from tornado_opentracing.scope_manager import ContextVarsScopeManager, no_parent_scope

__all__ = [
    "DEFAULT_REDACTED_QUERY_PARAMS",
    "AcceptParent",
    "Background",
    "ContextThreadPoolExecutor",
    "ContextVarsScopeManager",
    "FetchFilter",
    "FinishSpanCallback",
    "MessageFilter",
    "OperationName",
    "OptionValues",
    "RequestFilter",
    "StartSpanCallback",
    "TornadoTracing",
    "TraceIdFilter",
    "WebSocketMessage",
    "WebSocketMessages",
    "current_tracer",
    "init_client_tracing",
    "init_tracing",
    "no_parent_scope",
    "remove_tracing",
    "trace",
]
