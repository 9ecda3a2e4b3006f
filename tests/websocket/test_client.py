# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A client's handshake: one span, however it ends, and the trace goes on in the server."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Recorded, Recorder, Servers, active_id, children, only
from support.ports import refusing_port
from support.serving import connection, only_span, settled, until
from support.sockets import Site, Socket, connected, exchange
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing


class Accepts(Socket):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return subprotocols[0] if subprotocols else None


class RefusesAll(WebSocketHandler):
    def initialize(self, site: Site) -> None:
        pass

    def check_origin(self, origin: str) -> bool:
        return False

    def prepare(self) -> Awaitable[None] | None:
        raise HTTPError(403)


class Hangs(Socket):
    """Lets the handshake wait for as long as anybody is interested in it."""

    async def prepare(self) -> None:
        self.site.is_open = True
        await self.site.release.wait()
        raise HTTPError(503)


class NoSocket(RequestHandler):
    def initialize(self, site: Site) -> None:
        pass

    def get(self) -> None:
        self.write("plain")


@dataclasses.dataclass
class Far:
    """A live server at the other end."""

    url: str
    site: Site


def far(servers: Servers, recorder: Recorder) -> Far:
    site = Site(recorder.tracer)
    routes = [("/", Accepts), ("/403", RefusesAll), ("/hangs", Hangs), ("/plain", NoSocket)]
    application = Application(
        [(pattern, handler, {"site": site}) for pattern, handler in routes],
        log_function=lambda handler: None,
    )
    return Far(servers.start(application).replace("http", "ws"), site)


def as_string(url: str) -> str | HTTPRequest:
    return url


def as_request(url: str) -> str | HTTPRequest:
    return HTTPRequest(url, headers={"X-Mine": "yes"})


def client_span(recorder: Recorder) -> Recorded:
    return only(recorder.finished, kind="client")


@pytest.mark.parametrize("make", [as_string, as_request])
async def test_a_handshake_has_a_client_span_and_the_trace_continues_in_the_server(
    each_recorder: Recorder, servers: Servers, make: Callable[[str], str | HTTPRequest]
) -> None:
    there = far(servers, each_recorder)
    init_tracing(each_recorder.tracer)
    with each_recorder.tracer.start_active_span("caller"):
        opening = websocket_connect(make(f"{there.url}/"), subprotocols=["one"])
    opened = await opening
    assert opened.selected_subprotocol == "one"
    span = client_span(each_recorder)
    assert (span.name, span.tags["http.method"], span.tags["http.url"]) == ("GET", "GET", f"{there.url}/")
    assert (span.status, span.is_error, span.logs) == (101, False, [])
    assert span.tags["component"] == "tornado"
    port = int(there.url.rpartition(":")[2])
    peer = (span.tags["peer.hostname"], span.tags["peer.port"], span.tags["peer.address"])
    assert peer == ("127.0.0.1", port, f"127.0.0.1:{port}")
    await exchange(opened, "a", b"b")
    opened.close()
    await until(lambda: there.site.is_closed)
    spans = await settled(each_recorder, 3)
    assert only(children(spans, only(spans, name="caller"))) == span
    server = only(children(spans, span))
    assert (server.name, server.status) == ("Accepts", 101)
    assert len(spans) == 3


async def test_what_is_active_in_the_caller_stays_as_it_was(each_recorder: Recorder, servers: Servers) -> None:
    there = far(servers, each_recorder)
    init_client_tracing(each_recorder.tracer)
    with each_recorder.tracer.start_active_span("caller"):
        before = active_id(each_recorder.tracer)
        async with connected(f"{there.url}/") as opened:
            assert active_id(each_recorder.tracer) == before
            await exchange(opened, "a")
            assert active_id(each_recorder.tracer) == before
    assert each_recorder.unfinished == 0


@pytest.mark.parametrize("kind", [dict, HTTPHeaders])
async def test_the_callers_request_and_headers_are_not_changed(
    recorder: Recorder, servers: Servers, kind: type[Any]
) -> None:
    """But that ``request.headers`` is a copy afterwards, as Tornado alone would make it, with what was sent."""
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    headers = kind({"X-Mine": "yes"})
    request = HTTPRequest(f"{there.url}/", headers=headers)
    before = {name: value for name, value in vars(request).items() if name != "_headers"}
    async with connected(request):
        pass
    assert dict(headers) == {"X-Mine": "yes"}
    assert {name: value for name, value in vars(request).items() if name != "_headers"} == before
    assert set(request.headers) >= {"X-Mine", "Host", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version"}
    assert client_span(recorder).status == 101


async def test_one_request_connected_many_times_at_once_gives_each_its_own_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, each_recorder)
    init_tracing(each_recorder.tracer)
    request = HTTPRequest(f"{there.url}/", headers={"X-Mine": "yes"})
    for opened in await asyncio.gather(*(websocket_connect(request) for _ in range(5))):
        opened.close()
        assert await opened.read_message() is None
    spans = await settled(each_recorder, 10)
    for span in [span for span in spans if span.kind == "client"]:
        only(children(spans, span), kind="server")


# How a handshake can end. Each is given the URL of a live server and returns what comes of it.


async def refused_connection(there: Far) -> object:
    with refusing_port() as port:
        return await websocket_connect(f"ws://127.0.0.1:{port}/")


async def forbidden(there: Far) -> object:
    return await websocket_connect(f"{there.url}/403")


async def not_a_socket(there: Far) -> object:
    return await websocket_connect(f"{there.url}/plain")


async def timed_out(there: Far) -> object:
    return await websocket_connect(HTTPRequest(f"{there.url}/hangs", request_timeout=0.2))


async def cancelled(there: Far) -> object:
    task = asyncio.ensure_future(websocket_connect(f"{there.url}/hangs"))
    await until(lambda: there.site.is_open)
    task.cancel()
    return await task


async def waited_for(there: Far) -> object:
    async def connect() -> object:
        return await websocket_connect(f"{there.url}/hangs")

    return await asyncio.wait_for(connect(), 0.01)


async def bad_scheme(there: Far) -> object:
    return await websocket_connect("http://127.0.0.1/")


async def no_url(there: Far) -> object:
    return await websocket_connect("nonsense")


Ending = Callable[[Far], Awaitable[object]]

#: With the status, whether the span is an error, and the class of the exception that is logged on it.
ENDINGS: list[tuple[Ending, int | None, bool, str | None]] = [
    (refused_connection, None, True, "ConnectionRefusedError"),
    (forbidden, 403, False, None),
    (not_a_socket, None, True, "WebSocketError"),
    (timed_out, 599, True, "HTTPTimeoutError"),
    (cancelled, None, True, "CancelledError"),
    (waited_for, None, True, "CancelledError"),
    (bad_scheme, None, True, "KeyError"),
    (no_url, None, True, "KeyError"),
]


@pytest.mark.parametrize(("ending", "status", "error", "logged"), ENDINGS)
async def test_a_handshake_that_fails_has_one_finished_span_and_raises_what_it_would_have_raised(
    each_recorder: Recorder, servers: Servers, ending: Ending, status: int | None, error: bool, logged: str | None
) -> None:
    there = far(servers, each_recorder)

    async def outcome() -> tuple[Any, ...]:
        there.site.is_open = False
        try:
            await ending(there)
        except BaseException as raised:
            return type(raised), str(raised), getattr(raised, "code", None), type(raised.__cause__)
        raise AssertionError

    init_tracing(each_recorder.tracer, trace_all=False)
    traced = await outcome()
    there.site.release.set()
    span = await only_span(each_recorder)
    assert (span.name, span.kind, span.status, span.is_error) == ("GET", "client", status, error)
    assert [log["error.kind"] for log in span.logs] == ([logged] if logged else [])
    remove_tracing()
    there.site.release.clear()
    assert str(traced).rstrip("0123456789") == str(await outcome()).rstrip("0123456789")
    there.site.release.set()


async def test_the_error_of_a_refused_handshake_leads_to_the_callers_request(
    recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer)
    request = HTTPRequest(f"{there.url}/403")
    with pytest.raises(HTTPClientError) as raised:
        await websocket_connect(request)
    response = raised.value.response
    assert response is not None
    theirs: Any = response.request
    assert request in (theirs, getattr(theirs, "request", None))


async def test_a_timeout_has_the_exception_that_tornado_made(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    with pytest.raises(HTTPTimeoutError):
        await timed_out(there)
    there.site.release.set()
    (log,) = (await only_span(recorder)).logs
    assert isinstance(log["error.object"], HTTPTimeoutError)


async def test_messages_of_a_client_reach_the_callback_and_have_no_spans(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    got: list[Any] = []
    opened = await websocket_connect(f"{there.url}/", on_message_callback=got.append)
    await opened.write_message("a")
    await until(lambda: got)
    opened.close()
    await until(lambda: got == ["a", None])
    assert (await only_span(recorder)).status == 101


async def test_start_span_cb_sees_the_private_copy_before_the_context_is_injected(
    recorder: Recorder, servers: Servers
) -> None:
    there = far(servers, recorder)
    seen: list[Any] = []

    def callback(span: Any, request: HTTPRequest) -> None:
        seen.append((request.url, dict(request.headers)))
        span.set_operation_name("connect").set_baggage_item("colour", "blue")
        request.headers["X-Added"] = "yes"

    init_client_tracing(recorder.tracer, start_span_cb=callback)
    request = HTTPRequest(f"{there.url}/", headers={"X-Mine": "yes"})
    async with connected(request):
        pass
    assert seen == [(f"{there.url}/", {"X-Mine": "yes"})]
    assert "X-Added" not in request.headers
    assert (await only_span(recorder)).name == "connect"


async def test_secrets_are_not_in_the_url(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_client_tracing(recorder.tracer)
    host = there.url.partition("://")[2]
    async with connected(f"ws://user:secret@{host}/?token=secret&page=1"):
        pass
    span = await only_span(recorder)
    assert "secret" not in str(span.tags)
    assert "page=1" in span.tags["http.url"]


async def test_trace_client_false_traces_no_handshake_and_adds_no_header(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer, trace_client=False)
    with recorder.tracer.start_active_span("caller"):
        async with connected(f"{there.url}/"):
            pass
    spans = await settled(recorder, 2)
    assert only(spans, name="Accepts").parent_id is None
    assert not [span for span in spans if span.kind == "client"]


async def test_a_handshake_in_a_handler_is_a_child_of_the_request(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    there = far(servers, each_recorder)

    class Front(RequestHandler):
        async def get(self) -> None:
            async with connected(f"{there.url}/", there.site) as opened:
                await exchange(opened, "a")

    front = servers.start(Application([("/", Front)]))
    init_tracing(each_recorder.tracer)
    async with connection(front) as opened:
        assert (await opened.get())[0] == 200
    spans = await settled(each_recorder, 3)
    request = only(spans, name="Front")
    handshake = only(children(spans, request))
    assert only(children(spans, handshake)).name == "Accepts"


async def test_both_ends_go_untraced_after_removal(recorder: Recorder, servers: Servers) -> None:
    there = far(servers, recorder)
    init_tracing(recorder.tracer, trace_websocket_messages=True)
    async with connected(f"{there.url}/", there.site) as opened:
        await exchange(opened, "a")
        remove_tracing()
        count = len(recorder.finished)
        await exchange(opened, "b")
    async with connected(f"{there.url}/") as opened:
        await exchange(opened, "c")
    assert len(recorder.finished) == count
    assert recorder.unfinished == 0
