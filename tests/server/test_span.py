# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Server spans: what they are called and carry, and who may change that."""

from __future__ import annotations

from typing import Any

from support import Recorder, Servers, span_id
from support.handlers import Hello
from support.outcomes import UnhandledError, fail
from support.serving import connection, only_span, settled
from support.tracers import KeepingTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing, remove_tracing


async def test_a_sampler_sees_name_and_tags_when_the_span_starts(servers: Servers, client: AsyncHTTPClient) -> None:
    tracer = KeepingTracer()
    init_tracing(tracer, trace_client=False, traced_attributes=["protocol", "path"])
    await client.fetch(servers.start(Application([("/.*", Hello)])) + "/there?word=value")
    ((name, tags),) = tracer.started
    assert name == "Hello"
    assert tags.items() >= {
        ("component", "tornado"),
        ("span.kind", "server"),
        ("http.method", "GET"),
        ("http.url", "/there?word=value"),
        ("protocol", "http"),
        ("path", "/there"),
    }


async def test_user_and_password_in_the_request_line_are_not_on_the_span(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(Application([("/.*", Hello)]))) as opened:
        await opened.get("http://user:secret@localhost/there")
    assert "secret" not in repr((await only_span(recorder)).tags)


async def test_traced_attributes_become_tags_where_the_request_has_them(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    settings: Any = {"opentracing_traced_attributes": ["uri", "remote_ip", "query", "arguments"]}
    url = servers.start(Application([("/", Hello)], **settings))
    await client.fetch(url)
    await client.fetch(url + "/?a=1")
    plain, query = await settled(recorder, 2)
    assert plain.tags.items() >= {("uri", "/"), ("remote_ip", "127.0.0.1")}
    assert plain.tags.keys().isdisjoint({"query", "arguments"})
    assert query.tags.items() >= {("uri", "/?a=1"), ("query", "a=1"), ("arguments", "{'a': [b'1']}")}


async def test_start_span_cb_may_rename_and_tag_the_span(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    calls: list[tuple[Any, Any]] = []
    found: list[Any] = []

    def name_it(span: Any, request: Any) -> None:
        calls.append((span, request))
        found.append(TornadoTracing.get_span(request))
        span.set_operation_name(f"{request.method} {request.path}")
        span.set_tag("custom", "yes")

    init_tracing(recorder.tracer, start_span_cb=name_it, trace_client=False)
    requests: list[Any] = []

    class Keeping(Hello):
        def prepare(self) -> None:
            assert TornadoTracing.get_span(self) is calls[0][0]
            requests.append(self.request)

    await client.fetch(servers.start(Application([("/", Keeping)])))
    recorded = await only_span(recorder)
    assert (recorded.name, recorded.tags["custom"], recorded.status) == ("GET /", "yes", 200)
    assert isinstance(requests[0], HTTPServerRequest)
    assert [request for _, request in calls] == requests
    assert found == [span for span, _ in calls]


async def test_a_start_span_cb_that_raises_is_logged_and_harmless(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[Any]
) -> None:
    init_tracing(recorder.tracer, start_span_cb=fail, trace_client=False)
    response = await client.fetch(servers.start(Application([("/", Hello)])))
    assert response.body == b"hello"
    span = await only_span(recorder)
    assert span.status == 200
    assert not span.is_error
    assert ["start_span_cb" in record.getMessage() for record in reports] == [True]
    assert reports[0].exc_info[0] is UnhandledError


async def test_get_span_returns_the_span_of_a_request_or_its_handler(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    found: list[Any] = []

    class Asking(RequestHandler):
        def initialize(self) -> None:
            found.append(TornadoTracing.get_span(self.request))

        def get(self) -> None:
            found.extend([TornadoTracing.get_span(self.request), TornadoTracing.get_span(self)])
            handlers.append(self)

    handlers: list[RequestHandler] = []
    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Asking)]))
    await client.fetch(url)
    span = await only_span(recorder)
    assert [span_id(each) for each in found] == [span.span_id] * 3
    # Also when all is over.
    assert TornadoTracing.get_span(handlers[0]) is found[1]

    remove_tracing()
    await client.fetch(url)
    assert found[3:] == [None, None, None]
