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
