"""``start_span_cb`` and ``finish_span_cb``: when exactly they are called, with what, and what they may do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, only
from support.outcomes import UnhandledError, fail
from support.serving import connection, only_span, settled, until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPServerRequest
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.testing import bind_unused_port
from tornado.web import Application, FallbackHandler, Finish, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from tornado_opentracing import TornadoTracing, init_tracing


class Calls(list[tuple[Any, Any]]):
    """A callback that remembers with what it was called."""

    def __init__(self, kind: type | tuple[type, ...] = object) -> None:
        super().__init__()
        #: Of what type the subjects are that are remembered.
        self.kind = kind

    def __call__(self, span: Any, subject: Any) -> None:
        if isinstance(subject, self.kind):
            self.append((span, subject))

    @property
    def subjects(self) -> list[Any]:
        return [subject for _, subject in self]


class Site:
    """What the handlers and the tests tell each other."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.handlers: list[RequestHandler] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()


class Base(RequestHandler):
    def initialize(self, site: Site) -> None:
        self.site = site
        site.handlers.append(self)

    def on_finish(self) -> None:
        self.site.events.append("on_finish")


class Outcome(Base):
    async def get(self, what: str) -> None:
        await asyncio.sleep(0)
        if what == "missing":
            raise HTTPError(404)
        if what == "raising":
            fail()
        if what == "finish":
            raise Finish
        if what == "unavailable":
            self.send_error(503)
        elif what == "redirect":
            self.redirect("/ok")
        else:
            self.write("ok")


class Refused(Base):
    def initialize(self, site: Site) -> None:
        super().initialize(site)
        raise UnhandledError


class Late(Base):
    async def get(self) -> None:
        self._auto_finish = False

        async def later() -> None:
            await self.site.release.wait()
            self.finish("late")

        self.task = asyncio.ensure_future(later())
        self.site.started.set()


class Waiting(Base):
    async def get(self) -> None:
        self.task = asyncio.current_task()
        self.site.started.set()
        await self.site.release.wait()

    def on_connection_close(self) -> None:
        self.site.release.set()


@stream_request_body
class Upload(Base):
    def prepare(self) -> None:
        self.site.started.set()


class Socket(Base, WebSocketHandler):
    def on_message(self, message: str | bytes) -> Any:
        return self.write_message(message)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


class Broken(Base):
    """Breaks the connection off in the middle of its response."""

    async def get(self) -> None:
        self.set_header("Content-Length", "100")
        self.write("that is not all")
        await self.flush()
        connection: Any = self.request.connection
        connection.stream.close()


def application(site: Site, **settings: Any) -> Application:
    own: Any = {"site": site}
    return Application(
        [
            (r"/(ok|missing|raising|finish|unavailable|redirect)", Outcome, own),
            (r"/refused", Refused, own),
            (r"/late", Late, own),
            (r"/waiting", Waiting, own),
            (r"/upload", Upload, own),
            (r"/socket", Socket, own),
            (r"/broken", Broken, own),
            (r"/wsgi", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
        ],
        log_function=lambda handler: None,
        **settings,
    )


# When they are called for requests.


async def answered(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        await opened.get(path)


async def dropped(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            await opened.answer()


async def cancelled(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)
        handler: Any = site.handlers[0]
        handler.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await handler.task


async def left(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)


async def left_in_the_body(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"POST {path} HTTP/1.1\nHost: h\nContent-Length: 10\n\nhalf")
        await asyncio.wait_for(site.started.wait(), 20)


async def released(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)
        site.release.set()
        await opened.answer()


async def connected(path: str, site: Site, url: str) -> None:
    opened = await websocket_connect(url.replace("http", "ws") + path)
    await opened.write_message("hello")
    assert await opened.read_message() == "hello"
    opened.close()


REQUESTS: list[Any] = [
    # path, how it is requested, status
    ("/ok", answered, 200),
    ("/finish", answered, 200),
    ("/redirect", answered, 302),
    ("/missing", answered, 404),
    ("/nowhere", answered, 404),
    ("/raising", answered, 500),
    ("/unavailable", answered, 503),
    ("/socket", answered, 400),
    ("/socket", connected, 101),
    ("/wsgi", answered, 200),
    ("/late", released, 200),
    ("/late", left, None),
    ("/waiting", released, 200),
    ("/waiting", left, None),
    ("/upload", left_in_the_body, None),
]


@pytest.mark.parametrize(("path", "how", "status"), REQUESTS)
async def test_both_are_called_once_for_a_request(
    path: str,
    how: Callable[[str, Site, str], Awaitable[None]],
    status: int | None,
    each_recorder: Recorder,
    servers: Servers,
) -> None:
    """The one with the request when the span started; the other with the handler when everything is known."""
    site = Site()
    started, finished = Calls(HTTPServerRequest), Calls(RequestHandler)
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished, trace_client=False)
    await how(path, site, servers.start(application(site, opentracing_trace_websocket_messages=False)))
    span = await only_span(each_recorder)
    # Whether a WSGI application has answered by then depends on Tornado's version.
    assert span.status == status or (path == "/wsgi" and span.status is None)
    ((started_span, request),) = started
    ((finished_span, handler),) = finished
    assert handler.request is request
    assert finished_span is started_span
    if site.handlers:
        assert handler is site.handlers[0]


async def test_both_are_called_once_for_a_request_that_is_cancelled(each_recorder: Recorder, servers: Servers) -> None:
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    await cancelled("/waiting", site, servers.start(application(site)))
    assert (await only_span(each_recorder)).is_error
    assert len(started) == 1
    assert finished.subjects == site.handlers


async def test_only_the_first_is_called_for_a_request_whose_handler_cannot_be_constructed(
    each_recorder: Recorder, servers: Servers
) -> None:
    """There is no handler that the other could be given."""
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    await dropped("/refused", site, servers.start(application(site)))
    await only_span(each_recorder)
    assert [type(subject) for subject in started.subjects] == [HTTPServerRequest]
    assert finished == []


async def test_finish_span_cb_comes_after_on_finish_and_before_the_span_is_finished(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    site = Site()

    def finishing(span: Any, handler: RequestHandler) -> None:
        site.events.append(f"finish_span_cb {len(recorder.finished)} {span.tags['http.status_code']}")

    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    await client.fetch(servers.start(application(site)) + "/ok")
    await only_span(recorder)
    assert site.events == ["on_finish", "finish_span_cb 0 200"]


@pytest.mark.parametrize(("path", "status"), [("/ok", 200), ("/raising", 500), ("/late", 200)])
async def test_finish_span_cb_sees_the_outcome_and_may_add_to_it(
    path: str, status: int, each_recorder: Recorder, servers: Servers
) -> None:
    def finishing(span: Any, handler: RequestHandler) -> None:
        assert TornadoTracing.get_span(handler) == span
        span.set_tag("seen", handler.get_status())
        span.set_operation_name("renamed")
        span.log_kv({"event": "finishing"})

    site = Site()
    site.release.set()
    init_tracing(each_recorder.tracer, finish_span_cb=finishing)
    await answered(path, site, servers.start(application(site)))
    span = await only_span(each_recorder)
    assert (span.name, span.tags["seen"], span.status) == ("renamed", status, status)
    assert span.logs[-1].get("event", "finishing") == "finishing"


async def test_finish_span_cb_sees_the_tags_and_logs_of_an_error(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    seen: list[Any] = []

    def finishing(span: Any, handler: RequestHandler) -> None:
        seen.append((span.tags["error"], span.tags["http.status_code"], span.logs[0].key_values["error.kind"]))

    site = Site()
    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    await client.fetch(servers.start(application(site)) + "/raising", raise_error=False)
    await only_span(recorder)
    assert seen == [(True, 500, "UnhandledError")]


async def test_callbacks_of_a_decorators_tracing_are_called(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    started, finished = Calls(), Calls()
    tracing = TornadoTracing(recorder.tracer, started, finish_span_cb=finished)

    class Decorated(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            self.other()

        @tracing.trace
        def other(self) -> None:
            pass

    await client.fetch(servers.start(Application([("/", Decorated)])))
    await only_span(recorder)
    assert [type(subject) for subject in started.subjects] == [HTTPServerRequest]
    assert [type(subject) for subject in finished.subjects] == [Decorated]


async def test_neither_is_called_for_the_messages_of_a_websocket(recorder: Recorder, servers: Servers) -> None:
    site = Site()
    started, finished = Calls(), Calls()
    options: Any = {"start_span_cb": started, "finish_span_cb": finished, "trace_websocket_messages": True}
    init_tracing(recorder.tracer, trace_client=False, **options)
    await connected("/socket", site, servers.start(application(site)))
    await settled(recorder, 4)
    assert [type(subject) for subject in started.subjects] == [HTTPServerRequest]
    assert finished.subjects == site.handlers


# When they are called for fetches.


async def outcome_of(fetch: Awaitable[Any]) -> Any:
    try:
        return await fetch
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("path", "kwargs", "kind"),
    [
        ("/ok", {}, HTTPResponse),
        ("/redirect", {}, HTTPResponse),
        ("/redirect", {"follow_redirects": False}, HTTPClientError),
        ("/redirect", {"follow_redirects": False, "raise_error": False}, HTTPResponse),
        ("/missing", {}, HTTPClientError),
        ("/missing", {"raise_error": False}, HTTPResponse),
        ("/raising", {}, HTTPClientError),
        ("/raising", {"raise_error": False}, HTTPResponse),
        ("/waiting", {"request_timeout": 0.05}, HTTPClientError),
        ("/waiting", {"request_timeout": 0.05, "raise_error": False}, HTTPClientError),
        ("/broken", {}, HTTPClientError),
        ("/broken", {"raise_error": False}, HTTPClientError),
    ],
)
async def test_both_are_called_once_for_a_fetch(
    path: str,
    kwargs: dict[str, Any],
    kind: type,
    each_recorder: Recorder,
    servers: Servers,
    each_client: AsyncHTTPClient,
) -> None:
    """The one with the request when the span started; the other with exactly what the caller gets."""
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    url = servers.start(application(site, opentracing_trace_all=False))
    outcome = await outcome_of(each_client.fetch(url + path, **kwargs))
    await only_span(each_recorder)
    assert isinstance(outcome, kind)
    assert finished.subjects == [outcome]
    ((started_span, request),) = started
    assert isinstance(request, HTTPRequest)
    assert finished[0][0] is started_span
    site.release.set()


async def test_a_fetch_that_is_refused_gives_the_exception(
    each_recorder: Recorder, each_client: AsyncHTTPClient
) -> None:
    unused, port = bind_unused_port()
    unused.close()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    outcome = await outcome_of(each_client.fetch(f"http://127.0.0.1:{port}/"))
    await only_span(each_recorder)
    assert isinstance(outcome, Exception)
    assert finished.subjects == [outcome]
    assert len(started) == 1


async def test_a_fetch_that_times_out_in_the_queue_gives_the_exception(recorder: Recorder, servers: Servers) -> None:
    site = Site()
    finished = Calls()
    init_tracing(recorder.tracer, finish_span_cb=finished)
    url = servers.start(application(site, opentracing_trace_all=False))
    client: Any = AsyncHTTPClient(force_instance=True, max_clients=1)
    first = asyncio.ensure_future(client.fetch(url + "/waiting"))
    await asyncio.wait_for(site.started.wait(), 20)
    outcome = await outcome_of(client.fetch(url + "/ok", connect_timeout=0.01, request_timeout=0.01))
    assert isinstance(outcome, HTTPTimeoutError)
    assert finished.subjects == [outcome]
    site.release.set()
    response = await first
    assert finished.subjects == [outcome, response]
    client.close()


async def test_a_fetch_that_is_cancelled_gives_a_cancelled_error(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    url = servers.start(application(site, opentracing_trace_all=False))
    future = asyncio.ensure_future(client.fetch(url + "/waiting"))
    await asyncio.wait_for(site.started.wait(), 20)
    future.cancel()
    await only_span(each_recorder)
    assert [type(subject) for subject in finished.subjects] == [asyncio.CancelledError]
    assert len(started) == 1
    site.release.set()


async def test_a_fetch_by_a_closed_client_gives_the_exception(each_recorder: Recorder) -> None:
    finished = Calls()
    init_tracing(each_recorder.tracer, finish_span_cb=finished)
    client: Any = AsyncHTTPClient(force_instance=True)
    client.close()
    with pytest.raises(RuntimeError) as raised:
        client.fetch("http://127.0.0.1:1/")
    await only_span(each_recorder)
    assert finished.subjects == [raised.value]


async def test_a_fetch_whose_arguments_make_no_request_gives_the_exception_alone(
    each_recorder: Recorder, client: AsyncHTTPClient
) -> None:
    """There is no request that the other could be given."""
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    with pytest.raises(TypeError) as raised:
        client.fetch("http://127.0.0.1:1/", no_such_argument=True)
    await only_span(each_recorder)
    assert finished.subjects == [raised.value]
    assert started == []


async def test_start_span_cb_comes_before_the_context_is_injected(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    def add(span: Any, request: Any) -> None:
        if isinstance(request, HTTPRequest):
            assert "Ot-Tracer-Traceid" not in request.headers
            span.set_baggage_item("who", "me")
            request.headers["X-Added"] = "yes"

    received: list[Any] = []

    class Receiving(RequestHandler):
        def get(self) -> None:
            received.append((self.request.headers["Ot-Baggage-Who"], self.request.headers["X-Added"]))

    init_tracing(recorder.tracer, start_span_cb=add)
    await client.fetch(servers.start(Application([("/", Receiving)])))
    assert received == [("me", "yes")]


async def test_finish_span_cb_of_a_fetch_comes_before_its_span_is_finished_and_before_the_caller_goes_on(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    events: list[str] = []

    def finishing(span: Any, response: HTTPResponse) -> None:
        events.append(f"finish_span_cb {len(each_recorder.finished)}")
        span.set_tag("size", len(response.body))

    site = Site()
    init_tracing(each_recorder.tracer, finish_span_cb=finishing)
    await client.fetch(servers.start(application(site, opentracing_trace_all=False)) + "/ok")
    events.append(f"caller {len(each_recorder.finished)}")
    assert events == ["finish_span_cb 0", "caller 1"]
    assert (await only_span(each_recorder)).tags["size"] == 2


async def test_a_websocket_handshake_gives_its_exception_and_nothing_when_it_succeeds(
    recorder: Recorder, servers: Servers
) -> None:
    """There is no ``HTTPResponse``."""
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    url = servers.start(application(site, opentracing_trace_all=False)).replace("http", "ws")
    (await websocket_connect(url + "/socket")).close()
    assert [type(subject) for subject in started.subjects] == [HTTPRequest]
    assert finished == []
    outcome = await outcome_of(websocket_connect(url + "/missing"))
    await settled(recorder, 2)
    assert isinstance(outcome, HTTPClientError)
    assert finished.subjects == [outcome]
    assert len(started) == 2


# What they cannot break.


def raising(*args: object) -> None:
    raise UnhandledError("a callback")


@pytest.mark.parametrize("name", ["start_span_cb", "finish_span_cb"])
@pytest.mark.parametrize("path", ["/ok", "/raising", "/late"])
async def test_a_callback_that_raises_is_logged_and_changes_nothing(
    path: str,
    name: str,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    reports: list[logging.LogRecord],
) -> None:
    site = Site()
    site.release.set()
    options: Any = {name: raising}
    init_tracing(each_recorder.tracer, **options)
    response = await client.fetch(servers.start(application(site)) + path, raise_error=False)
    spans = await settled(each_recorder, 2)
    assert {span.status for span in spans} == {response.code}
    assert {span.trace_id for span in spans} == {spans[0].trace_id}
    # The second is left out: at most one a minute.
    (report,) = reports
    assert report.getMessage().startswith(name)
    assert report.exc_info is not None
    assert report.exc_info[0] is UnhandledError


@pytest.mark.parametrize("name", ["start_span_cb", "finish_span_cb"])
async def test_a_callback_of_the_wrong_signature_is_logged_and_changes_nothing(
    name: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    options: Any = {name: lambda span: None}
    init_tracing(recorder.tracer, **options)
    assert (await client.fetch(servers.start(application(Site())) + "/ok")).body == b"ok"
    assert len(await settled(recorder, 2)) == 2
    assert len(reports) == 1


async def test_a_callback_that_finishes_the_response_again_does_no_harm(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    def finishing(span: Any, subject: Any) -> None:
        if isinstance(subject, RequestHandler):
            subject.finish()

    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    assert (await client.fetch(servers.start(application(Site())) + "/ok")).body == b"ok"
    await only_span(recorder)
    assert len(reports) == 1


async def test_a_callback_that_fetches_is_traced_like_any_other_code(
    recorder: MockRecorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """What ``finish_span_cb`` starts belongs to the request; it must not call itself for ever, though."""
    tasks: list[asyncio.Future[Any]] = []

    def reporting(span: Any, subject: Any) -> None:
        if isinstance(subject, Outcome):
            tasks.append(asyncio.ensure_future(client.fetch(other)))

    init_tracing(recorder.tracer, finish_span_cb=reporting)
    other = servers.start(application(Site(), opentracing_trace_all=False)) + "/ok"
    await answered("/ok", Site(), servers.start(application(Site())))
    await until(lambda: tasks)
    await tasks[0]
    spans = await settled(recorder, 2)
    assert only(spans, kind="client").parent_id == only(spans, kind="server").span_id


# Two Applications.


async def test_each_application_has_its_own_callbacks(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    default, own = Calls(), Calls()
    init_tracing(recorder.tracer, start_span_cb=default, finish_span_cb=default, trace_client=False)
    await client.fetch(servers.start(application(Site())) + "/ok")
    settings: Any = {"opentracing_start_span_cb": own, "opentracing_finish_span_cb": own}
    await client.fetch(servers.start(application(Site(), **settings)) + "/ok")
    none: Any = {"opentracing_start_span_cb": None, "opentracing_finish_span_cb": None}
    await client.fetch(servers.start(application(Site(), **none)) + "/ok")
    await settled(recorder, 3)
    assert len(default) == len(own) == 2
    assert default[0][0] is default[1][0] is not own[0][0]
