# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Headers as tags, on server and client spans, and the trace's own headers in responses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from support import MockRecorder, Recorded, Recorder, Servers, only
from support.outcomes import fail
from support.serving import connection, only_span, settled, until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.web import (
    Application,
    FallbackHandler,
    Finish,
    HTTPError,
    RedirectHandler,
    RequestHandler,
    StaticFileHandler,
    stream_request_body,
)
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from tornado_opentracing import init_tracing, trace
from tornado_opentracing._redaction import REDACTED

REQUEST = "http.request.header."
RESPONSE = "http.response.header."


def headers_of(span: Recorded, prefix: str) -> dict[str, str]:
    """The headers among a span's tags."""
    return {name[len(prefix) :]: value for name, value in span.tags.items() if name.startswith(prefix)}


class Answering(RequestHandler):
    """Answers in every way that there is, each time with the same headers of its own."""

    def set_default_headers(self) -> None:
        self.set_header("X-One", "first")
        self.add_header("X-Two", "a")
        self.add_header("X-Two", "b")
        self.set_header("Set-Cookie", "session=hidden")
        self.add_header("Set-Cookie", "other=hidden")
        self.set_header("X-Api-Key", "hidden")

    async def get(self, how: str) -> None:
        await asyncio.sleep(0)
        if how == "flushed":
            self.write("some")
            await self.flush()
        elif how == "redirect":
            self.redirect("/ok")
            return
        elif how == "not_found":
            raise HTTPError(404)
        elif how == "unavailable":
            self.send_error(503)
            return
        elif how == "raising":
            fail()
        elif how == "finish":
            raise Finish
        elif how == "no_content":
            self.set_status(204)
            return
        self.write("hello" * 1000)

    head = get

    def compute_etag(self) -> str:
        return '"etag"'


class Socket(WebSocketHandler):
    set_default_headers = Answering.set_default_headers


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/wsgi"), ("Content-Length", "0"), ("X-Wsgi", "1")])
    return []


def application(**settings: Any) -> Application:
    return Application(
        [
            (r"/(ok|flushed|redirect|not_found|unavailable|raising|finish|no_content)", Answering),
            (r"/socket", Socket),
            (r"/gone", RedirectHandler, {"url": "/ok"}),
            (r"/static/(.*)", StaticFileHandler, {"path": __file__.rpartition("/")[0]}),
            (r"/wsgi", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
        ],
        **settings,
    )


# Headers of requests.


async def test_request_headers_become_tags_of_server_and_client_span(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    """Found whatever the case of letters, several values in one tag, no tag where there is no such header."""
    init_tracing(recorder.tracer, traced_request_headers=["X-One", "x-two", "X-THREE", "X-Absent"])
    headers = HTTPHeaders({"x-one": "1", "X-Three": "three, four"})
    headers.add("X-TWO", "a")
    headers.add("x-Two", "b")
    await each_client.fetch(servers.start(application()) + "/ok", headers=headers)
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == {"x-one": "1", "x-two": "a, b", "x-three": "three, four"}


@pytest.mark.parametrize("how", ["request", "dict", "headers"])
async def test_request_headers_of_a_fetch_become_tags_however_they_are_given(
    how: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, traced_request_headers=["X-One"])
    url = servers.start(application()) + "/ok"
    headers = {"x-oNE": "1"}
    if how == "request":
        await client.fetch(HTTPRequest(url, headers=headers))
    else:
        await client.fetch(url, headers=headers if how == "dict" else HTTPHeaders(headers))
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == {"x-one": "1"}


async def test_request_headers_of_a_websocket_become_tags_of_both_ends(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, traced_request_headers=["X-One", "Authorization"])
    url = servers.start(application()).replace("http", "ws") + "/socket"
    (await websocket_connect(HTTPRequest(url, headers={"X-One": "1", "Authorization": "hidden"}))).close()
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == {"x-one": "1", "authorization": REDACTED}


async def test_an_empty_header_has_an_empty_tag(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, traced_request_headers=["X-Empty"])
    async with connection(servers.start(application())) as opened:
        await opened.get("/ok", "X-Empty:")
    assert headers_of(await only_span(recorder), REQUEST) == {"x-empty": ""}


async def test_request_headers_are_there_when_the_span_starts(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    seen: list[str] = []

    def look(span: Any, request: object) -> None:
        seen.append(span.tags[REQUEST + "x-one"])

    init_tracing(recorder.tracer, traced_request_headers=["X-One"], start_span_cb=look)
    await client.fetch(servers.start(application()) + "/ok", headers={"X-One": "1"})
    assert seen == ["1", "1"]


async def test_a_request_that_is_refused_has_its_request_headers(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Refused(RequestHandler):
        def initialize(self) -> None:
            fail()

    init_tracing(recorder.tracer, traced_request_headers=["X-One"], traced_response_headers=["Server"])
    url = servers.start(Application([("/refused", Refused)]))
    with contextlib.suppress(HTTPClientError):
        await client.fetch(url + "/refused", headers={"X-One": "1"})
    await client.fetch(url + "/nowhere", headers={"X-One": "1"}, raise_error=False)
    spans = await settled(recorder, 4)
    assert [headers_of(span, REQUEST) for span in spans] == [{"x-one": "1"}] * 4
    assert headers_of(only(spans, name="Refused"), RESPONSE) == {}


# Headers of responses.

TRACED = ["x-one", "X-TWO", "Set-Cookie", "X-Api-Key", "X-Absent"]
OWN = {"x-one": "first", "x-two": "a, b", "set-cookie": REDACTED, "x-api-key": REDACTED}


@pytest.mark.parametrize(
    "how", ["ok", "flushed", "redirect", "not_found", "unavailable", "raising", "finish", "no_content"]
)
async def test_response_headers_become_tags_of_server_and_client_span(
    how: str, recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    """Those that went out, whatever became of the request."""
    init_tracing(recorder.tracer, traced_response_headers=TRACED)
    await each_client.fetch(f"{servers.start(application())}/{how}", follow_redirects=False, raise_error=False)
    for span in await settled(recorder, 2):
        assert headers_of(span, RESPONSE) == OWN


async def test_response_headers_become_tags_where_the_fetch_raises(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, traced_response_headers=TRACED)
    with pytest.raises(HTTPClientError):
        await each_client.fetch(servers.start(application()) + "/not_found")
    assert headers_of(only(await settled(recorder, 2), kind="client"), RESPONSE) == OWN


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("HEAD", "/ok", {}, {"content-length": "5000", "content-type": "text/html; charset=UTF-8"}),
        ("GET", "/ok", {"If-None-Match": '"etag"'}, {}),
        ("GET", "/gone", {}, {"location": "/ok", "content-length": "0", "content-type": "text/html; charset=UTF-8"}),
        (
            "GET",
            "/ok",
            {"Accept-Encoding": "gzip"},
            {"content-encoding": "gzip", "vary": "Accept-Encoding", "content-type": "text/html; charset=UTF-8"},
        ),
    ],
    ids=["head", "not_modified", "redirect", "gzip"],
)
async def test_response_headers_are_those_that_went_out(
    method: str,
    path: str,
    headers: dict[str, str],
    expected: dict[str, str],
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    names = ["Content-Type", "Content-Encoding", "Content-Length", "Location", "Vary"]
    init_tracing(recorder.tracer, traced_response_headers=names, trace_client=False)
    url = servers.start(application(compress_response="Accept-Encoding" in headers))
    response = await client.fetch(
        url + path,
        method=method,
        headers=headers,
        follow_redirects=False,
        raise_error=False,
        decompress_response=False,
    )
    found = headers_of(await only_span(recorder), RESPONSE)
    sent = {name.lower(): response.headers[name] for name in names if name in response.headers}
    assert found == sent
    if "Accept-Encoding" in headers:
        del found["content-length"]
    assert found == expected


async def test_response_headers_of_a_websocket_become_tags(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, traced_response_headers=["Upgrade", "X-One"], trace_client=False)
    (await websocket_connect(servers.start(application()).replace("http", "ws") + "/socket")).close()
    assert headers_of(await only_span(recorder), RESPONSE) == {"upgrade": "websocket", "x-one": "first"}


async def test_headers_of_a_response_that_never_went_out_are_no_tags(recorder: Recorder, servers: Servers) -> None:
    started = asyncio.Event()

    @stream_request_body
    class Upload(RequestHandler):
        def prepare(self) -> None:
            started.set()

    init_tracing(recorder.tracer, traced_response_headers=["Content-Type", "Server"])
    async with connection(servers.start(Application([("/", Upload)]))) as opened:
        opened.send("POST / HTTP/1.1\nHost: h\nContent-Length: 10\n\nhalf")
        await asyncio.wait_for(started.wait(), 20)
    span = await only_span(recorder)
    assert span.status is None
    assert headers_of(span, RESPONSE) == {}


async def test_what_somebody_else_answered_has_no_made_up_response_headers(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """A ``FallbackHandler`` has headers of its own, which do not go out."""
    init_tracing(recorder.tracer, traced_response_headers=["Content-Type", "X-Wsgi"], trace_client=False)
    response = await client.fetch(servers.start(application()) + "/wsgi")
    assert response.headers["Content-Type"] == "text/wsgi"
    found = headers_of(await only_span(recorder), RESPONSE)
    assert found.items() <= {"content-type": "text/wsgi", "x-wsgi": "1"}.items()


async def test_a_fetch_without_a_response_has_no_response_headers(recorder: Recorder, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, traced_response_headers=["Server"])
    with pytest.raises(OSError, match=r"."):
        await client.fetch("http://127.0.0.1:1/")
    assert headers_of(await only_span(recorder), RESPONSE) == {}


async def test_the_response_headers_of_a_redirected_fetch_are_the_last_ones(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, traced_response_headers=["X-One", "Location"])
    await each_client.fetch(servers.start(application()) + "/gone")
    fetch = only(await settled(recorder, 3), kind="client")
    assert headers_of(fetch, RESPONSE) == {"x-one": "first"}


async def test_no_header_is_a_tag_where_none_was_asked_for(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    await client.fetch(servers.start(application()) + "/ok", headers={"X-One": "1"})
    assert not [name for span in await settled(recorder, 2) for name in span.tags if "header" in name]


# Secrets.


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "Cookie2",
        "WWW-Authenticate",
        "X-Auth-Token",
        "X-Api-Key",
        "X-ApiKey",
        "X-API_KEY",
        "Apikey",
        "X-Access-Key",
        "X-Functions-Key",
        "Ocp-Apim-Subscription-Key",
        "Private-Token",
        "X-CSRFToken",
        "X-XSRF-Token",
        "X-Amz-Security-Token",
        "X-Secret",
        "X-Client-Secret",
        "X-Password",
        "X-Passphrase",
        "X-User-Pwd",
        "X-Session-Id",
        "X-Credential",
        "X-Hub-Signature-256",
        "X-JWT-Assertion",
    ],
)
@pytest.mark.parametrize("change", [str, str.lower, str.upper])
async def test_a_header_whose_name_looks_like_a_secret_is_redacted_even_when_asked_for(
    name: str, change: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Secretive(RequestHandler):
        def get(self) -> None:
            self.set_header(name, "hidden")

    init_tracing(recorder.tracer, traced_request_headers=[change(name)], traced_response_headers=[change(name)])
    await client.fetch(servers.start(Application([("/", Secretive)])), headers={name: "hidden"})
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == headers_of(span, RESPONSE) == {name.lower(): REDACTED}
        assert "hidden" not in repr(span)


@pytest.mark.parametrize(
    "name", ["User-Agent", "Content-Type", "X-Request-Id", "Accept-Language", "X-Forwarded-For", "Keep-Alive", "Via"]
)
async def test_an_ordinary_header_is_not_redacted(
    name: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, traced_request_headers=[name])
    await client.fetch(servers.start(application()) + "/ok", headers={name: "shown"})
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == {name.lower(): "shown"}


async def test_a_secret_header_is_shown_where_that_was_explicitly_allowed(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    names = ["X-Api-Key", "Set-Cookie", "Authorization"]
    options: Any = {"traced_request_headers": names, "traced_response_headers": names}
    init_tracing(recorder.tracer, unredacted_headers=["x-api-KEY", "SET-cookie"], **options)
    await client.fetch(servers.start(application()) + "/ok", headers={"X-Api-Key": "mine", "Authorization": "hidden"})
    for span in await settled(recorder, 2):
        assert headers_of(span, REQUEST) == {"x-api-key": "mine", "authorization": REDACTED}
        assert headers_of(span, RESPONSE) == {"x-api-key": "hidden", "set-cookie": "session=hidden, other=hidden"}


async def test_allowing_a_header_does_not_make_it_a_tag(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, unredacted_headers=["Authorization"])
    await client.fetch(servers.start(application()) + "/ok", headers={"Authorization": "hidden"})
    assert "hidden" not in repr(await settled(recorder, 2))


# The trace's own headers in the response.


def ids_in(recorder: Recorder, headers: HTTPHeaders) -> tuple[int, int]:
    """The ids of trace and span that a response's headers carry."""
    if isinstance(recorder, MockRecorder):
        return int(headers["Ot-Tracer-Traceid"], 16), int(headers["Ot-Tracer-Spanid"], 16)
    _, trace_id, span_id, _ = headers["Traceparent"].split("-")
    return int(trace_id, 16), int(span_id, 16)


RESPONSES: list[Any] = [
    # method, path, request headers, status
    ("GET", "/ok", {}, 200),
    ("GET", "/flushed", {}, 200),
    ("GET", "/finish", {}, 200),
    ("GET", "/no_content", {}, 204),
    ("HEAD", "/ok", {}, 200),
    ("GET", "/ok", {"If-None-Match": '"etag"'}, 304),
    ("GET", "/ok", {"Accept-Encoding": "gzip"}, 200),
    ("GET", "/redirect", {}, 302),
    ("GET", "/gone", {}, 301),
    ("GET", "/static/test_headers.py", {}, 200),
    ("GET", "/static/nothing", {}, 404),
    ("GET", "/not_found", {}, 404),
    ("GET", "/nowhere", {}, 404),
    ("POST", "/ok", {}, 405),
    ("STRANGE", "/ok", {}, 405),
    ("GET", "/socket", {}, 400),
    ("GET", "/raising", {}, 500),
    ("GET", "/unavailable", {}, 503),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), RESPONSES)
@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "plain"])
async def test_every_response_carries_the_context_of_its_span(
    compressed: bool,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    init_tracing(each_recorder.tracer, inject_response_headers=True, trace_client=False)
    response = await client.fetch(
        servers.start(application(compress_response=compressed)) + path,
        method=method,
        headers=headers,
        follow_redirects=False,
        raise_error=False,
        allow_nonstandard_methods=True,
    )
    span = await only_span(each_recorder)
    assert response.code == span.status == status
    assert ids_in(each_recorder, response.headers) == (span.trace_id, span.span_id)
    if path == "/ok" and (method, status) == ("GET", 200):
        assert response.body == b"hello" * 1000
        assert ("X-Consumed-Content-Encoding" in response.headers) == compressed


async def test_the_response_of_a_websocket_handshake_carries_the_context_of_its_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer, inject_response_headers=True, trace_client=False)
    opened = await websocket_connect(servers.start(application()).replace("http", "ws") + "/socket")
    span = await only_span(each_recorder)
    assert opened.headers is not None
    assert ids_in(each_recorder, opened.headers) == (span.trace_id, span.span_id)
    opened.close()


async def test_a_client_can_go_on_with_the_trace_that_a_response_carries(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    response = await each_client.fetch(servers.start(application()) + "/not_found", raise_error=False)
    served = await only_span(recorder)
    carrier = {name.lower(): value for name, value in response.headers.get_all()}
    context = recorder.tracer.extract("http_headers", carrier)
    recorder.tracer.start_span("rendering", child_of=context).finish()
    rendering = only(await settled(recorder, 2), name="rendering")
    assert (rendering.trace_id, rendering.parent_id) == (served.trace_id, served.span_id)


async def test_the_trace_of_a_response_is_the_one_of_its_request(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Also where that began elsewhere, and where requests are served at once."""
    here = {"arrived": 0}

    class Meeting(RequestHandler):
        async def get(self) -> None:
            here["arrived"] += 1
            await until(lambda: here["arrived"] == 5)
            self.write("hello")

    init_tracing(recorder.tracer, inject_response_headers=True)
    url = servers.start(Application([("/", Meeting)]))
    responses = await asyncio.gather(*(client.fetch(url) for _ in range(5)))
    spans = await settled(recorder, 10)
    served = {(span.trace_id, span.span_id) for span in spans if span.kind == "server"}
    assert {ids_in(recorder, response.headers) for response in responses} == served
    assert len(served) == 5


async def test_the_context_takes_the_place_of_headers_of_that_name(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Passing(RequestHandler):
        """Passes on what another service answered."""

        def get(self) -> None:
            self.set_header("ot-tracer-traceid", "ffff")
            self.set_header("OT-TRACER-SPANID", "ffff")

    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    response = await client.fetch(servers.start(Application([("/", Passing)])))
    span = await only_span(recorder)
    assert ids_in(recorder, response.headers) == (span.trace_id, span.span_id)


async def test_the_context_in_a_response_has_what_start_span_cb_added(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    def add(span: Any, request: object) -> None:
        span.set_baggage_item("who", "me")

    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False, start_span_cb=add)
    response = await client.fetch(servers.start(application()) + "/ok")
    assert response.headers["Ot-Baggage-Who"] == "me"


@pytest.mark.parametrize("trace_all", [True, False])
async def test_the_response_of_a_decorated_handler_carries_the_context_of_its_span(
    trace_all: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Decorated(RequestHandler):
        @trace
        async def get(self) -> None:
            self.other()
            raise HTTPError(404)

        @trace
        def other(self) -> None:
            pass

    init_tracing(recorder.tracer, trace_all=trace_all, inject_response_headers=True, trace_client=False)
    settings: Any = {"compress_response": True}
    response = await client.fetch(servers.start(Application([("/", Decorated)], **settings)), raise_error=False)
    span = await only_span(recorder)
    assert ids_in(recorder, response.headers) == (span.trace_id, span.span_id)


@pytest.mark.parametrize("path", ["/ok", "/not_found", "/raising"])
async def test_no_response_carries_a_context_where_that_was_not_asked_for(
    path: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    response = await client.fetch(servers.start(application()) + path, raise_error=False)
    assert not [name for name in response.headers if name.lower().startswith("ot-")]


async def test_one_application_may_ask_for_it_alone(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    asking = await client.fetch(servers.start(application(opentracing_inject_response_headers=True)) + "/ok")
    other = await client.fetch(servers.start(application()) + "/ok")
    assert "Ot-Tracer-Traceid" in asking.headers
    assert "Ot-Tracer-Traceid" not in other.headers


async def test_a_tracer_that_cannot_inject_is_logged_and_the_response_goes_out(
    recorder: Any, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    def inject(*args: Any) -> None:
        raise RuntimeError("no headers today")

    recorder.tracer.inject = inject
    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    response = await client.fetch(servers.start(application()) + "/ok")
    assert response.body == b"hello" * 1000
    assert (await only_span(recorder)).status == 200
    assert len(reports) == 1


async def test_the_subprotocols_of_a_websocket_which_may_hold_a_token_are_not_shown(
    recorder: Recorder, servers: Servers
) -> None:
    """Bokeh's client sends its session's token so."""
    init_tracing(recorder.tracer, trace_client=False, traced_request_headers=["Sec-WebSocket-Protocol"])
    url = servers.start(Application([("/", RequestHandler)]))
    await AsyncHTTPClient().fetch(url, headers={"Sec-WebSocket-Protocol": "bokeh, secret"}, raise_error=False)
    span = await only_span(recorder)
    assert span.tags["http.request.header.sec-websocket-protocol"] == "REDACTED"
