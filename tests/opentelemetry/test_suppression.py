# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's ``suppress_instrumentation`` keeps this package from tracing, and its baggage goes along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from support import Servers
from support.otel import OpenTelemetry, parent_of
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_tracing

SUPPRESS = pytest.mark.parametrize("suppress", [suppress_instrumentation, suppress_http_instrumentation])


class Plain(RequestHandler):
    def get(self) -> None:
        self.write(",".join(sorted(name.lower() for name in self.request.headers)))


@SUPPRESS
async def test_a_fetch_is_not_traced_where_instrumentation_is_suppressed(
    otel: OpenTelemetry, servers: Servers, suppress: Callable[[], Any]
) -> None:
    init_tracing(otel.tracer, trace_all=False)
    url = servers.start(Application([("/", Plain)]))
    with otel.tracer.start_active_span("work"):
        with suppress():
            response = await AsyncHTTPClient().fetch(url)
        assert b"traceparent" not in response.body
        assert b"traceparent" in (await AsyncHTTPClient().fetch(url)).body
    assert [span.name for span in otel.finished] == ["GET", "work"]


@SUPPRESS
async def test_a_redirect_of_a_fetch_that_is_not_traced_is_not_either(
    otel: OpenTelemetry, servers: Servers, suppress: Callable[[], Any]
) -> None:
    class Redirects(RequestHandler):
        def get(self) -> None:
            self.redirect("/")

    init_tracing(otel.tracer, trace_all=False)
    url = servers.start(Application([("/", Plain), ("/from", Redirects)]))
    with suppress():
        assert b"traceparent" not in (await AsyncHTTPClient().fetch(f"{url}/from")).body
    assert not otel.finished


@SUPPRESS
async def test_a_request_is_not_traced_where_the_server_was_told_so(
    otel: OpenTelemetry, servers: Servers, suppress: Callable[[], Any]
) -> None:
    init_tracing(otel.tracer, trace_client=False)
    with suppress():
        url = servers.start(Application([("/", Plain)]))
    assert (await AsyncHTTPClient().fetch(url)).code == 200
    assert not otel.finished


@SUPPRESS
async def test_a_decorated_method_is_not_traced_either(
    otel: OpenTelemetry, servers: Servers, suppress: Callable[[], Any]
) -> None:
    class Decorated(RequestHandler):
        async def get(self) -> None:
            with suppress():
                await self.traced()

        @TornadoTracing(otel.tracer).trace
        async def traced(self) -> None:
            self.write("done")

    response = await AsyncHTTPClient().fetch(servers.start(Application([("/", Decorated)])))
    assert response.body == b"done"
    assert not otel.finished


async def test_a_websocket_handshake_is_not_traced_either(otel: OpenTelemetry, servers: Servers) -> None:
    class Socket(WebSocketHandler):
        pass

    init_tracing(otel.tracer)
    with suppress_http_instrumentation():
        url = servers.start(Application([("/", Socket)]))
        (await websocket_connect(url.replace("http", "ws"))).close()
    await asyncio.sleep(0)
    assert not otel.finished


async def test_where_it_is_not_suppressed_any_more_fetches_are_traced(otel: OpenTelemetry, servers: Servers) -> None:
    init_tracing(otel.tracer, trace_all=False)
    url = servers.start(Application([("/", Plain)]))
    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, False))
    await AsyncHTTPClient().fetch(url)
    context.detach(token)
    assert len(otel.finished) == 1


# Baggage


def seen() -> tuple[int | None, dict[str, object]]:
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().span_id or None, dict(baggage.get_all())


async def test_a_thread_of_the_loop_has_the_span_and_opentelemetrys_baggage(otel: OpenTelemetry) -> None:
    init_tracing(otel.tracer)
    with otel.tracer.start_active_span("work") as scope:
        token = context.attach(baggage.set_baggage("user", "ada"))
        scope.span.set_baggage_item("more", "b")
        inside = await IOLoop.current().run_in_executor(None, seen)
        context.detach(token)
    assert inside == (scope.span.context.span_id, {"user": "ada", "more": "b"})
    assert await IOLoop.current().run_in_executor(None, seen) == (None, {})


async def test_a_thread_of_the_loop_has_baggage_without_a_span(otel: OpenTelemetry) -> None:
    init_tracing(otel.tracer)
    token = context.attach(baggage.set_baggage("user", "ada"))
    inside = await IOLoop.current().run_in_executor(None, seen)
    context.detach(token)
    assert inside == (None, {"user": "ada"})


async def test_children_in_a_thread_have_the_baggage(otel: OpenTelemetry) -> None:
    init_tracing(otel.tracer)

    def work() -> Any:
        with otel.tracer.start_active_span("child") as child:
            return child.span.context.baggage

    with otel.tracer.start_active_span("work") as scope:
        token = context.attach(baggage.set_baggage("user", "ada"))
        assert await IOLoop.current().run_in_executor(None, work) == {"user": "ada"}
        context.detach(token)
    assert parent_of(otel.finished[0]) == scope.span.context.span_id


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_a_child_shares_its_parents_baggage_and_copies_none_of_it(otel: OpenTelemetry, whose: str) -> None:
    """However many items there are: to copy them for each child is what makes them dear."""
    items = {f"key{number}": "value" for number in range(150)}
    if whose == "ours":
        parent = otel.tracer.start_span("parent")
        for name, value in items.items():
            parent.set_baggage_item(name, value)
    else:
        for name, value in items.items():
            context.attach(baggage.set_baggage(name, value))
        parent = otel.tracer.start_span("parent")
    with otel.tracer.scope_manager.activate(parent, True):
        kept = parent.context.baggage
        assert kept == items
        assert baggage.get_all() == items
        with otel.tracer.start_active_span("child") as child, otel.tracer.start_active_span("grandchild") as grandchild:
            assert child.span.context.baggage is grandchild.span.context.baggage is kept
    token = context.attach(context.Context())
    context.detach(token)


@pytest.fixture(autouse=True)
def _context() -> Any:
    token = context.attach(context.Context())
    yield
    context.detach(token)
