# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What server spans are called: by the handler's class, by the route, or as the application says. Always few names."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import pytest
from support import Recorder, Servers
from support.outcomes import UnhandledError, fail
from support.serving import connection, only_span, settled
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.routing import AnyMatches, HostMatches, PathMatches, Rule, RuleRouter
from tornado.web import Application, ErrorHandler, FallbackHandler, HTTPError, RedirectHandler, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from tornado_opentracing import TornadoTracing, init_tracing, trace


class Story(RequestHandler):
    def get(self, *args: str, **kwargs: str) -> None:
        self.write("a story")

    head = get


class GetOnly(RequestHandler):
    def initialize(self, is_broken: bool = False) -> None:
        if is_broken:
            raise UnhandledError

    async def get(self, *args: str, **kwargs: str) -> None:
        if "missing" in self.request.arguments:
            raise HTTPError(404)
        fail()


class Guarded(Story):
    """With the usual base class, whose ``prepare`` looks who is there."""

    async def prepare(self) -> None:
        pass


class InPrepare(RequestHandler):
    """Answers whatever the method is."""

    def prepare(self) -> None:
        self.finish("prepared")


class NotFoundInPrepare(RequestHandler):
    """What Tornado's documentation of ``default_handler_class`` suggests."""

    def prepare(self) -> None:
        raise HTTPError(404)


class Dav(RequestHandler):
    """What Tornado's documentation of ``SUPPORTED_METHODS`` suggests."""

    SUPPORTED_METHODS = (*RequestHandler.SUPPORTED_METHODS, "PROPFIND")

    def propfind(self) -> None:
        self.write("found")


class ReadOnly(Story):
    SUPPORTED_METHODS = ("GET",)

    def post(self) -> None:
        raise AssertionError("Tornado does not call this")


class Socket(WebSocketHandler):
    pass


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


def application(**settings: Any) -> Application:
    inner = Application([(r"/inner/(?P<name>known)", Story)])
    rules: Any = [
        (r"/story/(?P<story_id>\d+)", Story),
        (r"/unnamed/(\d+)/(\w+)", Story),
        (r"/get/(\d+)", GetOnly),
        (r"/broken/(\d+)", GetOnly, {"is_broken": True}),
        (r"/prepare/(\d+)", InPrepare),
        (r"/guarded/(\d+)", Guarded),
        (r"/dav", Dav),
        (r"/readonly", ReadOnly),
        (r"/gone/(.*)", ErrorHandler, {"status_code": 410}),
        (r"/old/(.*)", RedirectHandler, {"url": "/new"}),
        (r"/wsgi/(.*)", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
        (r"/socket/(.*)", Socket),
        (r"/rules/.*", [(r"/rules/(?P<rule>.*)", Story)]),
        (r"/inner/.*", inner),
        (r"/handed/.*", FallbackHandler, {"fallback": Application([(r"/handed/(?P<on>.*)", Story)])}),
        Rule(HostMatches("only.host"), Story),
    ]
    return Application(rules, **settings)


async def name_of(
    target: Any, method: str, path: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> str:
    """The name of a request's one span."""
    with contextlib.suppress(HTTPClientError):
        await client.fetch(
            servers.start(target) + path, method=method, allow_nonstandard_methods=True, follow_redirects=False
        )
    return (await only_span(recorder)).name


REQUESTS = [
    # method, path, name by handler, name by route
    ("GET", "/story/17", "Story", "GET /story/{story_id}"),
    ("GET", "/story/18?a=b", "Story", "GET /story/{story_id}"),
    ("GET", "/unnamed/1/x", "Story", "GET /unnamed/{0}/{1}"),
    ("HEAD", "/story/17", "Story", "HEAD /story/{story_id}"),
    ("GET", "/get/1", "GetOnly", "GET /get/{0}"),
    ("GET", "/get/1?missing=1", "GetOnly", "GET /get/{0}"),
    ("GET", "/gone/x", "ErrorHandler", "GET /gone/{0}"),
    ("GET", "/old/x", "RedirectHandler", "GET /old/{0}"),
    ("GET", "/wsgi/x", "FallbackHandler", "GET /wsgi/{0}"),
    ("POST", "/wsgi/x", "FallbackHandler", "POST /wsgi/{0}"),
    ("GET", "/socket/x", "Socket", "GET /socket/{0}"),
    ("GET", "/broken/1", "GetOnly", "GET /broken/{0}"),
    ("GET", "/prepare/1", "InPrepare", "GET /prepare/{0}"),
    ("DELETE", "/prepare/1", "InPrepare", "DELETE /prepare/{0}"),
    ("GET", "/guarded/1", "Guarded", "GET /guarded/{0}"),
    ("PROPFIND", "/dav", "Dav", "PROPFIND /dav"),
    # Nested.
    ("GET", "/rules/x", "Story", "GET /rules/{rule}"),
    ("GET", "/inner/known", "Story", "GET /inner/{name}"),
    ("GET", "/handed/x", "Story", "GET /handed/{on}"),
    # Method not allowed.
    ("HEAD", "/get/1", "GetOnly", "HEAD method_not_allowed"),
    ("POST", "/get/1", "GetOnly", "POST method_not_allowed"),
    ("POST", "/guarded/1", "Guarded", "POST method_not_allowed"),
    ("OPTIONS", "/story/1", "Story", "OPTIONS method_not_allowed"),
    ("GET", "/dav", "Dav", "GET method_not_allowed"),
    ("POST", "/readonly", "ReadOnly", "POST method_not_allowed"),
    ("HEAD", "/readonly", "ReadOnly", "HEAD method_not_allowed"),
    ("POST", "/broken/1", "GetOnly", "POST method_not_allowed"),
    ("STRANGE", "/story/1", "Story", "_OTHER method_not_allowed"),
    ("PROPFIND", "/story/1", "Story", "_OTHER method_not_allowed"),
    ("get", "/story/1", "Story", "_OTHER method_not_allowed"),
    ("STRANGE", "/nowhere", "ErrorHandler", "_OTHER method_not_allowed"),
    ("STRANGE", "/prepare/1", "InPrepare", "_OTHER method_not_allowed"),
    # Not found.
    ("GET", "/nowhere", "ErrorHandler", "GET not_found"),
    ("POST", "/nowhere/17", "ErrorHandler", "POST not_found"),
    ("HEAD", "/story/seventeen", "ErrorHandler", "HEAD not_found"),
    ("GET", "/inner/unknown", "ErrorHandler", "GET not_found"),
]


@pytest.mark.parametrize(("method", "path", "by_handler", "by_route"), REQUESTS)
@pytest.mark.parametrize("choice", ["handler", "route"])
async def test_a_span_is_called_by_its_handler_or_by_its_route(
    choice: Any,
    method: str,
    path: str,
    by_handler: str,
    by_route: str,
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    init_tracing(recorder.tracer, operation_name=choice, trace_client=False)
    expected = by_handler if choice == "handler" else by_route
    assert await name_of(application(), method, path, recorder, servers, client) == expected


async def test_a_span_is_called_by_its_handler_where_nothing_is_set(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    assert await name_of(application(), "GET", "/story/1", recorder, servers, client) == "Story"


async def test_an_applications_setting_wins(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, operation_name="handler", trace_client=False)
    target = application(opentracing_operation_name="route")
    assert await name_of(target, "GET", "/story/1", recorder, servers, client) == "GET /story/{story_id}"


async def test_a_websocket_is_called_by_its_route(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    url = servers.start(application()).replace("http", "ws")
    (await websocket_connect(f"{url}/socket/1")).close()
    assert (await only_span(recorder)).name == "GET /socket/{0}"


@pytest.mark.parametrize("handler", [Story, NotFoundInPrepare, InPrepare, GetOnly])
async def test_what_goes_to_the_default_handler_is_not_found(
    handler: type[RequestHandler], recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    target = application(default_handler_class=handler)
    assert await name_of(target, "GET", "/nowhere", recorder, servers, client) == "GET not_found"


async def test_a_default_handler_that_has_a_route_too_is_called_by_it(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    target = Application([(r"/here", Story)], default_handler_class=Story)
    assert await name_of(target, "GET", "/here", recorder, servers, client) == "GET /here"


@pytest.mark.parametrize(
    "target",
    [
        lambda: Application([(AnyMatches(), Story)]),
        lambda: Application([(HostMatches(".*"), Story)]),
        lambda: RuleRouter([Rule(AnyMatches(), Application([(HostMatches(".*"), Story)]))]),
    ],
)
async def test_what_is_routed_without_a_path_pattern_is_called_by_method_and_handler(
    target: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    assert await name_of(target(), "GET", "/x", recorder, servers, client) == "GET Story"


async def test_a_router_that_leads_to_applications_gives_the_inner_route(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    target = RuleRouter([Rule(PathMatches(r"/story/.*"), application())])
    assert await name_of(target, "GET", "/story/1", recorder, servers, client) == "GET /story/{story_id}"


async def test_rules_added_later_have_their_names(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    target = Application()
    url = servers.start(target)
    await client.fetch(f"{url}/later/1", raise_error=False)
    target.add_handlers(r"127\.0\.0\.1", [(r"/later/(?P<number>\d)", Story)])
    await client.fetch(f"{url}/later/1")
    assert [span.name for span in await settled(recorder, 2)] == ["GET not_found", "GET /later/{number}"]


async def test_however_many_urls_are_requested_the_names_are_few(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, operation_name="route")
    methods = ["GET", "HEAD", *(f"METHOD{number}" for number in range(10))]
    async with connection(servers.start(Application([(r"/story/(?P<story_id>\d+)", Story)]))) as opened:
        for number in range(10):
            for method in methods:
                for path in (f"/story/{number}", f"/nowhere/{number}"):
                    opened.send(f"{method} {path}?q={number} HTTP/1.1\nHost: h\nConnection: keep-alive\n\n")
        names = {span.name for span in await settled(recorder, 10 * len(methods) * 2)}
    assert names <= {
        "GET /story/{story_id}",
        "HEAD /story/{story_id}",
        "GET not_found",
        "HEAD not_found",
        "_OTHER method_not_allowed",
    }


# A callable.


async def test_a_callable_gives_the_name(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    handlers: list[Any] = []

    def name(handler: RequestHandler) -> str:
        handlers.append(handler)
        return f"my {handler.request.method}"

    init_tracing(recorder.tracer, operation_name=name, trace_client=False)
    assert await name_of(application(), "GET", "/story/1", recorder, servers, client) == "my GET"
    assert [type(handler) for handler in handlers] == [Story]


async def test_a_callable_is_called_once_for_a_request_and_never_for_a_fetch(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    calls: list[Any] = []

    def name(handler: RequestHandler) -> str:
        calls.append(handler)
        return "named"

    class Decorated(RequestHandler):
        @trace
        async def get(self) -> None:
            await self.other()

        @trace
        async def other(self) -> None:
            self.write("done")

    init_tracing(recorder.tracer, operation_name=name)
    await client.fetch(servers.start(Application([("/", Decorated)])))
    assert sorted(span.name for span in await settled(recorder, 2)) == ["GET", "named"]
    assert len(calls) == 1


async def test_the_name_given_by_a_callable_is_the_one_that_a_sampler_sees(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    seen: list[str] = []

    def look(span: Any, request: object) -> None:
        seen.append(span.operation_name)

    init_tracing(recorder.tracer, operation_name=lambda _: "named", trace_client=False, start_span_cb=look)
    await name_of(application(), "GET", "/story/1", recorder, servers, client)
    assert seen == ["named"]


async def test_a_callable_may_be_a_setting_and_a_method(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Namer:
        def name(self, handler: RequestHandler) -> str:
            return type(handler).__name__.lower()

    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    target = application(opentracing_operation_name=Namer().name)
    assert await name_of(target, "GET", "/story/1", recorder, servers, client) == "story"


def _raising(handler: RequestHandler) -> str:
    raise UnhandledError("no name")


@pytest.mark.parametrize(
    "function", [_raising, lambda _: None, lambda _: 17, lambda _: b"bytes", lambda: "no parameter"]
)
async def test_a_callable_that_gives_no_name_is_logged_and_the_handlers_class_counts(
    function: Any,
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    reports: list[logging.LogRecord],
) -> None:
    init_tracing(recorder.tracer, operation_name=function, trace_client=False)
    assert await name_of(application(), "GET", "/story/1", recorder, servers, client) == "Story"
    assert recorder.finished[0].status == 200
    (report,) = reports
    assert "operation_name" in report.getMessage()


async def test_a_request_whose_handler_cannot_be_constructed_is_called_by_its_class(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """There is no handler that the callable could be given."""
    init_tracing(recorder.tracer, operation_name=lambda _: "named", trace_client=False)
    assert await name_of(application(), "GET", "/broken/1", recorder, servers, client) == "GetOnly"


# Under @trace.


@pytest.mark.parametrize(
    ("choice", "expected"), [("handler", "Traced"), ("route", "GET /traced/{number}"), (lambda _: "named", "named")]
)
async def test_a_decorated_handler_is_called_as_its_tracing_says(
    choice: Any, expected: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer, operation_name=choice)

    class Traced(RequestHandler):
        @tracing.trace
        def get(self, number: str) -> None:
            self.write(number)

    target = Application([(r"/traced/(?P<number>\d)", Traced)])
    assert await name_of(target, "GET", "/traced/1", recorder, servers, client) == expected
