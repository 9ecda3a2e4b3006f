# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Requests that take another way through Tornado than one Application and its handlers: traced once, and correctly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, active_id, span_id
from support.outcomes import UnhandledError
from support.serving import ask, connection, only_span, settled, until
from tornado.httputil import HTTPServerRequest, ResponseStartLine
from tornado.routing import HostMatches, PathMatches, Router, Rule, RuleRouter
from tornado.web import Application, ErrorHandler, FallbackHandler, HTTPError, RequestHandler, stream_request_body
from tornado.wsgi import WSGIContainer

from tornado_opentracing import TornadoTracing, init_tracing


class Hello(RequestHandler):
    def initialize(self, greeting: str = "hello") -> None:
        self.greeting = greeting

    def get(self, *args: str) -> None:
        self.write(self.greeting)


class Missing(RequestHandler):
    """A site's own page for what it does not find."""

    def prepare(self) -> None:
        self.set_status(404)
        self.finish("nothing here")


# FallbackHandler.


def wsgi(status: str) -> WSGIContainer:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain")])
        return [b"from wsgi"]

    return WSGIContainer(application)


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_fallback_to_wsgi_has_one_span_and_no_made_up_status(
    each_recorder: Recorder, servers: Servers, status: int
) -> None:
    """Where Tornado runs the container later, the status is not known when ``FallbackHandler`` is done."""
    init_tracing(each_recorder.tracer)
    fallback = {"fallback": wsgi(f"{status} Whatever")}
    url = servers.start(Application([("/hello", Hello), ("/.*", FallbackHandler, fallback)]))
    assert await ask(url, "/wsgi") == (status, "from wsgi")
    span = await only_span(each_recorder)
    assert (span.name, span.kind, span.path) == ("FallbackHandler", "server", "/wsgi")
    assert span.status in (None, status)
    assert span.is_error == (span.status == 500)


def raises(*args: Any) -> Any:
    raise UnhandledError("oops")


async def test_a_fallback_that_raises_is_an_error(each_recorder: Recorder, servers: Servers) -> None:
    """``FallbackHandler`` answers with a 500 then."""
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/.*", FallbackHandler, {"fallback": raises})]))
    assert (await ask(url, "/"))[0] == 500
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("FallbackHandler", 500, True)


def answer_teapot(request: HTTPServerRequest) -> None:
    connection: Any = request.connection
    connection.write_headers(ResponseStartLine("HTTP/1.1", 418, "Teapot"), request.headers.__class__(), b"")
    connection.finish()


def answer_nothing(request: HTTPServerRequest) -> None:
    """Takes its time: it will answer later, or never."""


@pytest.mark.parametrize(("fallback", "status"), [(answer_teapot, 418), (answer_nothing, None)])
async def test_a_fallback_to_any_callable_has_the_status_that_is_known(
    each_recorder: Recorder, servers: Servers, fallback: Callable[..., Any], status: int | None
) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/.*", FallbackHandler, {"fallback": fallback})]))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        if status is not None:
            await opened.answer()
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("FallbackHandler", status, False)


async def test_a_fallback_to_an_application_has_the_span_of_the_inner_handler_alone(
    each_recorder: Recorder, servers: Servers
) -> None:
    seen: list[int | None] = []

    class Inner(RequestHandler):
        async def get(self, number: str) -> None:
            await asyncio.sleep(0)
            seen.append(active_id(each_recorder.tracer))
            self.set_status(201)

    init_tracing(each_recorder.tracer)
    inner = Application([(r"/inner/(\d+)", Inner)])
    url = servers.start(Application([(r"/inner/.*", FallbackHandler, {"fallback": inner})]))
    assert (await ask(url, "/inner/7"))[0] == 201
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.path) == ("Inner", 201, "/inner/7")
    assert span.tags["http.route"] == "/inner/{0}"
    assert seen == [span.span_id]


@pytest.mark.parametrize(
    ("handler", "status", "error"),
    [(raises, 500, True), (HTTPError, 503, True), (ErrorHandler, 404, False)],
    ids=["raises", "HTTPError", "not found"],
)
async def test_what_fails_behind_a_fallback_is_told_on_the_one_span(
    each_recorder: Recorder, servers: Servers, handler: Any, status: int, error: bool
) -> None:
    class Inner(RequestHandler):
        def get(self) -> None:
            if handler is raises:
                raise UnhandledError
            raise HTTPError(503)

    init_tracing(each_recorder.tracer)
    inner = Application([("/", Inner)] if handler is not ErrorHandler else [])
    url = servers.start(Application([("/", FallbackHandler, {"fallback": inner})]))
    assert (await ask(url, "/"))[0] == status
    span = await only_span(each_recorder)
    expected = "ErrorHandler" if handler is ErrorHandler else "Inner"
    assert (span.name, span.status, span.is_error) == (expected, status, error)


async def test_fallbacks_may_be_nested(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    application = Application([("/.*", Hello)])
    for _ in range(3):
        application = Application([("/.*", FallbackHandler, {"fallback": application})])
    assert await ask(servers.start(application), "/deep") == (200, "hello")
    assert (await only_span(each_recorder)).name == "Hello"


async def test_a_request_behind_a_fallback_is_traced_by_the_inner_application(servers: Servers) -> None:
    outer, inner = MockRecorder(), MockRecorder()
    settings: Any = {"opentracing_tracing": TornadoTracing(inner.tracer)}
    application = Application([("/.*", Hello)], **settings)
    init_tracing(outer.tracer)
    url = servers.start(Application([("/.*", FallbackHandler, {"fallback": application})]))
    await ask(url, "/")
    assert (await only_span(inner)).name == "Hello"
    assert outer.finished == []


async def test_requests_that_share_a_connection_with_a_fallback_are_traced_each_for_itself(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    routes = [("/hello", Hello), ("/.*", FallbackHandler, {"fallback": wsgi("404 Not Found")})]
    async with connection(servers.start(Application(routes))) as opened:  # type: ignore[arg-type]
        for path, status in (("/hello", 200), ("/wsgi", 404), ("/hello", 200)):
            assert (await opened.get(path))[0] == status
    spans = await settled(each_recorder, 3)
    assert [(span.name, span.path) for span in spans] == [
        ("Hello", "/hello"),
        ("FallbackHandler", "/wsgi"),
        ("Hello", "/hello"),
    ]
    assert {span.parent_id for span in spans} == {None}


# Routers and nested Applications.


class OwnRouter(Router):
    """Finds the handler by itself."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        return self.application.get_handler_delegate(request, Hello, path_args=[b"/own"])


def nested_application(application: Application) -> Any:
    return Application([(r"/in/(\w+)", Hello, {"greeting": "nested"})])


def nested_twice(application: Application) -> Any:
    return Application([(r"/in/.*", nested_application(application))])


def nested_rules(application: Application) -> Any:
    return [(r"/in/(\w+)", Hello, {"greeting": "nested"})]


def nested_router(application: Application) -> Any:
    return RuleRouter([Rule(PathMatches(r"/in/.*"), nested_application(application))])


def own_router(application: Application) -> Any:
    return OwnRouter(application)


@pytest.mark.parametrize("target", [nested_application, nested_twice, nested_rules, nested_router, own_router])
async def test_a_request_to_a_nested_router_has_one_span(
    each_recorder: Recorder, servers: Servers, target: Callable[[Application], Any]
) -> None:
    init_tracing(each_recorder.tracer)
    application = Application([("/", Hello)])
    application.add_handlers(".*", [(r"/in/.*", target(application))])
    url = servers.start(application)
    status, body = await ask(url, "/in/a")
    assert (status, body) == (200, "hello" if target is own_router else "nested")
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.path, span.is_error) == ("Hello", 200, "/in/a", False)


async def test_a_nested_application_that_does_not_find_a_page_has_one_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([(r"/in/.*", Application([("/in/a", Hello)]))]))
    assert (await ask(url, "/in/b"))[0] == 404
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("ErrorHandler", 404, False)


async def test_a_nested_application_traces_its_own_requests(servers: Servers) -> None:
    outer, inner = MockRecorder(), MockRecorder()
    settings: Any = {"opentracing_tracing": TornadoTracing(inner.tracer)}
    application = Application([("/in/.*", Application([("/in/.*", Hello)], **settings)), ("/.*", Hello)])
    init_tracing(outer.tracer)
    url = servers.start(application)
    async with connection(url) as opened:
        for path in ("/in/a", "/out", "/in/b"):
            await opened.get(path)
    assert [span.path for span in await settled(inner, 2)] == ["/in/a", "/in/b"]
    assert [span.path for span in outer.finished] == ["/out"]


async def test_a_router_before_applications_is_traced_once_by_the_right_one(servers: Servers) -> None:
    """No Application is in charge of the server as a whole."""
    first, second = MockRecorder(), MockRecorder()

    def application(recorder: MockRecorder) -> Application:
        settings: Any = {"opentracing_tracing": TornadoTracing(recorder.tracer)}
        return Application([("/.*", Hello)], **settings)

    init_tracing()
    router: Any = RuleRouter(
        [Rule(PathMatches("/first.*"), application(first)), Rule(PathMatches("/second.*"), application(second))]
    )
    url = servers.start(router)
    for path in ("/first", "/second"):
        assert (await ask(url, path))[0] == 200
    assert (await only_span(first)).path == "/first"
    assert (await only_span(second)).path == "/second"


async def test_a_request_that_reaches_no_application_has_no_span(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    router: Any = RuleRouter([Rule(PathMatches("/app"), Application([("/app", Hello)]))])
    url = servers.start(router)
    assert (await ask(url, "/elsewhere"))[0] == 404
    assert (await ask(url, "/app"))[0] == 200
    assert (await only_span(recorder)).path == "/app"


# Rules for hosts.


def by_add_handlers() -> Application:
    application = Application([("/.*", Hello, {"greeting": "anybody"})])
    application.add_handlers(r"one\.example", [("/.*", Hello, {"greeting": "one"})])
    application.add_handlers(r"two\.example", [("/nowhere", Hello)])
    return application


def by_host_matches() -> Application:
    return Application(
        [
            (HostMatches(r"one\.example"), [("/.*", Hello, {"greeting": "one"})]),
            (HostMatches(r"two\.example"), Application([("/.*", Hello, {"greeting": "anybody"})])),
            ("/.*", Hello, {"greeting": "anybody"}),
        ]
    )


@pytest.mark.parametrize("make_application", [by_add_handlers, by_host_matches])
async def test_a_request_routed_by_its_host_has_one_span(
    each_recorder: Recorder, servers: Servers, make_application: Callable[[], Application]
) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(make_application())
    for number, (host, greeting) in enumerate(
        [("one.example", "one"), ("two.example", "anybody"), ("three.example", "anybody")], 1
    ):
        async with connection(url) as opened:
            opened.send(f"GET /page HTTP/1.1\nHost: {host}\n\n")
            assert await opened.answer() == (200, greeting)
        span = (await settled(each_recorder, number))[-1]
        assert (span.name, span.status, span.path) == ("Hello", 200, "/page")
    assert len(each_recorder.finished) == 3


async def test_a_default_host_has_one_span(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    application = Application(default_host="one.example")
    application.add_handlers(r"one\.example", [("/.*", Hello)])
    assert (await ask(servers.start(application), "/page"))[0] == 200
    assert (await only_span(each_recorder)).name == "Hello"


async def test_a_default_handler_class_has_one_span(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", Hello)], default_handler_class=Missing))
    assert await ask(url, "/unmatched") == (404, "nothing here")
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("Missing", 404, False)
    assert "http.route" not in span.tags


class Gate(FallbackHandler):
    def prepare(self) -> None:
        if self.get_argument("closed", ""):
            self.set_status(403)
            self.finish("closed")
        else:
            super().prepare()


async def test_a_fallback_handler_that_answers_itself_has_its_span(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    inner = Application([("/", Hello)])
    url = servers.start(Application([("/", Gate, {"fallback": inner})]))
    assert await ask(url, "/?closed=1") == (403, "closed")
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == ("Gate", 403, False)
    assert await ask(url, "/") == (200, "hello")
    assert [span.name for span in await settled(each_recorder, 2)] == ["Gate", "Hello"]


# detach().


class Detaches(RequestHandler):
    """Takes the connection over and answers in its own way."""

    active: list[int | None]
    returned: asyncio.Event
    release: asyncio.Event
    tracer: Any
    tasks: list[Any]

    async def get(self) -> None:
        await self.take()

    async def take(self) -> None:
        self.active.append(span_id(TornadoTracing.get_span(self)))
        stream = self.detach()
        await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        await self.release.wait()
        self.active.append(active_id(self.tracer))
        await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye")
        stream.close()


class DetachesInPrepare(Detaches):
    async def prepare(self) -> None:
        await self.take()


async def test_a_handler_that_nobody_traces_can_detach_the_connection(recorder: Recorder, servers: Servers) -> None:
    class Bye(RequestHandler):
        async def get(self) -> None:
            stream = self.detach()
            await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye")
            stream.close()

    init_tracing(recorder.tracer, trace_all=False)
    assert await ask(servers.start(Application([("/", Bye)])), "/") == (200, "bye")
    assert not recorder.finished


class DetachesByItself(Detaches):
    """And would not have Tornado finish it."""

    async def get(self) -> None:
        self._auto_finish = False
        await self.take()


class DetachesLater(Detaches):
    """``get`` is over, and nobody will ever call ``finish()``."""

    async def get(self) -> None:
        self._auto_finish = False
        self.tasks.append(asyncio.ensure_future(self.later()))

    async def later(self) -> None:
        await self.returned.wait()
        await self.take()


@pytest.mark.parametrize(
    ("handler", "is_decorated"),
    [
        (Detaches, False),
        (Detaches, True),
        (DetachesInPrepare, False),
        (DetachesByItself, False),
        (DetachesByItself, True),
        (DetachesLater, False),
        (DetachesLater, True),
    ],
)
async def test_a_request_whose_handler_detaches_the_connection_has_one_finished_span(
    each_recorder: Recorder, servers: Servers, handler: type[Detaches], is_decorated: bool
) -> None:
    """With the handler, or if that has returned, with ``detach()``; what goes out then is no response of Tornado's."""
    active: list[int | None] = []
    returned, release = asyncio.Event(), asyncio.Event()
    tasks: list[Any] = []
    members: dict[str, Any] = {
        "active": active,
        "returned": returned,
        "release": release,
        "tracer": each_recorder.tracer,
        "tasks": tasks,
    }
    if is_decorated:
        get: Any = handler.get
        members["get"] = TornadoTracing(each_recorder.tracer).trace(get)
    else:
        init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", type(handler.__name__, (handler,), members))]))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        if handler is DetachesLater:
            await until(lambda: tasks)
            for _ in range(10):
                await asyncio.sleep(0)
            returned.set()
        assert await opened.answer() == (200, "hi")
        if handler is DetachesLater:
            await only_span(each_recorder)
        else:
            assert each_recorder.unfinished == 1
        release.set()
        assert await opened.answer() == (200, "bye")
    span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error, span.logs) == (handler.__name__, None, False, [])
    assert active == [span.span_id] * 2


# What takes the body into its own hands.


@stream_request_body
class Streams(RequestHandler):
    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return None

    def post(self) -> None:
        self.write("streamed")


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_streamed_body_to_a_nested_application_has_one_span(
    each_recorder: Recorder, servers: Servers, depth: int
) -> None:
    init_tracing(each_recorder.tracer)
    application = Application([("/", Streams)])
    for _ in range(depth):
        application = Application([("/", application)])
    async with connection(servers.start(application)) as opened:
        opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc")
        assert await opened.answer() == (200, "streamed")
        opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nab")
        await until(lambda: each_recorder.unfinished)
    spans = await settled(each_recorder, 2)
    assert [(span.name, span.status, span.is_error) for span in spans] == [
        ("Streams", 200, False),
        ("Streams", None, False),
    ]
