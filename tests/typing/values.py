# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the package hands out: spans, scopes, the results of threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from opentracing import Scope, ScopeManager, Span, Tracer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler
from typing_extensions import assert_type

from tornado_opentracing import (
    DEFAULT_REDACTED_QUERY_PARAMS,
    ContextThreadPoolExecutor,
    ContextVarsScopeManager,
    TornadoTracing,
)
from tornado_opentracing.opentelemetry import create_tracer

tracing = TornadoTracing()
application = Application([], opentracing_tracing=tracing)


class Handler(RequestHandler):
    def get(self) -> None:
        span = tracing.get_span(self)
        assert_type(span, Span | None)
        span.set_tag("reader", "nobody")  # expect: union-attr
        if span is not None:
            span.set_tag("reader", "nobody")
        assert_type(TornadoTracing.get_span(self.request), Span | None)
        tracing.get_span("request")  # expect: arg-type
        tracing.get_span()  # expect: call-arg


def of_request(request: HTTPServerRequest) -> Span | None:
    return tracing.get_span(request)


assert_type(tracing.tracer, Tracer)
with_opentelemetry: Tracer = create_tracer()
create_tracer("provider")  # expect: arg-type
assert_type(DEFAULT_REDACTED_QUERY_PARAMS, frozenset[str])

manager: ScopeManager = ContextVarsScopeManager()


def activate(span: Span) -> None:
    with ContextVarsScopeManager().activate(span, finish_on_close=True) as scope:
        assert_type(scope, Scope)
    assert_type(ContextVarsScopeManager().active, Scope | None)
    ContextVarsScopeManager().activate("span", True)  # expect: arg-type


def repeat(text: str, times: int = 1, *, upper: bool = False) -> str:
    return text.upper() * times if upper else text * times


executor = ContextThreadPoolExecutor(max_workers=4, thread_name_prefix="context")
pool: ThreadPoolExecutor = executor

assert_type(executor.submit(repeat, "a", 2, upper=True), Future[str])
assert_type(executor.submit(repeat, "a").result(), str)
assert_type(list(executor.map(repeat, ["a"], [1])), list[str])
executor.submit(repeat, 1)  # expect: arg-type
executor.submit(repeat)  # expect: call-arg
executor.submit(repeat, "a", lower=True)  # expect: call-arg
executor.submit("repeat", "a")  # expect: arg-type
ContextThreadPoolExecutor(max_workers="4")  # expect: call-overload


async def in_thread() -> None:
    assert_type(await asyncio.get_running_loop().run_in_executor(executor, repeat, "a", 2), str)
