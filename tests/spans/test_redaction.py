# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""No secret in any tag, log or log record of this package."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from typing import Any

import pytest
from support import Recorded, Recorder, Servers, only
from support.serving import connection, only_span, settled
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_tracing, trace
from tornado_opentracing._redaction import REDACTED


class Answer(RequestHandler):
    async def get(self) -> None:
        target = self.get_query_argument("redirect", None)
        if target is not None:
            self.redirect(target)

    post = get


async def test_the_urls_of_server_and_client_spans_have_no_secrets(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Answer)]))
    await each_client.fetch(url.replace("//", "//user:hidden@") + "/?a=b&access_token=hidden")
    spans = await settled(recorder, 2)
    assert only(spans, kind="server").tags["http.url"] == "/?a=b&access_token=REDACTED"
    assert only(spans, kind="client").tags["http.url"] == f"{url}/?a=b&access_token=REDACTED"


async def test_the_url_that_a_redirect_led_to_has_no_secrets(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Answer)]))
    target = f"{url.replace('//', '//user:hidden@')}/?token=hidden"
    application = Application([("/to", Redirecting, {"target": target})])
    await each_client.fetch(servers.start(application) + "/to")
    fetch = only(await settled(recorder, 3), kind="client")
    assert fetch.tags["http.effective_url"] == f"{url}/?token={REDACTED}"
    assert "hidden" not in repr(recorder.finished)


class Redirecting(RequestHandler):
    def initialize(self, target: str) -> None:
        self.target = target

    def get(self) -> None:
        self.redirect(self.target)


async def test_the_url_of_a_websocket_has_no_secrets(recorder: Recorder, servers: Servers) -> None:
    class Socket(WebSocketHandler):
        pass

    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Socket)])).replace("http", "ws")
    (await websocket_connect(url.replace("//", "//user:hidden@") + "/?token=hidden")).close()
    spans = await settled(recorder, 2)
    assert only(spans, kind="server").tags["http.url"] == f"/?token={REDACTED}"
    assert only(spans, kind="client").tags["http.url"] == f"{url}/?token={REDACTED}"


@pytest.mark.parametrize(
    "url",
    [
        " http://user:hidden@127.0.0.1:1/?token=hidden",
        "user:hidden@127.0.0.1:1/?token=hidden",
        "ftp://user:hidden@127.0.0.1:1/?token=hidden",
        "http://user:hidden@127.0.0.1:port/?token=hidden",
        "http://user:hidden@",
        b"http://user:hidden@127.0.0.1:1/?token=hidden",
    ],
)
async def test_a_url_that_cannot_be_fetched_shows_no_secrets(
    url: Any, recorder: Recorder, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    with contextlib.suppress(Exception):
        await each_client.fetch(url)
    assert "hidden" not in shown(await only_span(recorder))


def shown(span: Recorded) -> str:
    """All that a span shows, but the exception itself."""
    logs = [{name: value for name, value in log.items() if name != "error.object"} for log in span.logs]
    return repr((span.name, span.tags, logs))


async def test_the_parameters_may_be_chosen(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    """The choice takes the place of the default list; user and password are removed all the same."""
    init_tracing(recorder.tracer, redacted_query_params=["Mine", "my-own"])
    url = servers.start(Application([("/", Answer)]))
    await client.fetch(url.replace("//", "//user:hidden@") + "/?mine=hidden&MY-OWN=hidden&token=shown")
    spans = await settled(recorder, 2)
    assert only(spans, kind="server").tags["http.url"] == "/?mine=REDACTED&MY-OWN=REDACTED&token=shown"
    assert only(spans, kind="client").tags["http.url"] == f"{url}/?mine=REDACTED&MY-OWN=REDACTED&token=shown"


async def test_no_parameters_may_be_chosen(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, redacted_query_params=[])
    url = servers.start(Application([("/", Answer)]))
    await client.fetch(url.replace("//", "//user:hidden@") + "/?token=shown")
    spans = await settled(recorder, 2)
    assert only(spans, kind="server").tags["http.url"] == "/?token=shown"
    assert only(spans, kind="client").tags["http.url"] == f"{url}/?token=shown"


async def test_each_application_has_its_own_parameters(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    settings: Any = {"opentracing_redacted_query_params": ["a"]}
    await client.fetch(servers.start(Application([("/", Answer)], **settings)) + "/?a=hidden&token=shown")
    await client.fetch(servers.start(Application([("/", Answer)])) + "/?a=shown&token=hidden")
    urls = [span.tags["http.url"] for span in await settled(recorder, 2)]
    assert urls == ["/?a=REDACTED&token=shown", "/?a=shown&token=REDACTED"]


# Attributes of requests.


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uri", "/?a=b&token=REDACTED"),
        ("query", "a=b&token=REDACTED"),
        ("arguments", "{'a': [b'b'], 'token': 'REDACTED', 'c': [b'd'], 'password': 'REDACTED'}"),
        ("query_arguments", "{'a': [b'b'], 'token': 'REDACTED'}"),
        ("body_arguments", "{'c': [b'd'], 'password': 'REDACTED'}"),
        ("body", "c=d&password=REDACTED"),
        ("cookies", "{'name': 'REDACTED', 'other': 'REDACTED'}"),
        ("path", "/"),
        ("method", "POST"),
    ],
)
async def test_an_attribute_is_shown_without_secrets(
    name: str, expected: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Decorated(RequestHandler):
        """Where the body is parsed already."""

        @trace(name)
        def post(self) -> None:
            pass

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(
        servers.start(Application([("/", Decorated)])) + "/?a=b&token=hidden",
        method="POST",
        body="c=d&password=hid;den",
        headers={"Cookie": "name=hidden; other=hidden", "Content-Type": "application/x-www-form-urlencoded"},
    )
    span = await only_span(recorder)
    assert span.tags[name] == expected


async def test_headers_as_an_attribute_are_shown_without_secrets(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(
        recorder.tracer, trace_client=False, traced_attributes=["headers"], unredacted_headers=["X-Allowed-Token"]
    )
    headers = HTTPHeaders({"Authorization": "hidden", "X-Api-Key": "hidden", "X-Allowed-Token": "shown"})
    headers.add("X-Many", "1")
    headers.add("X-Many", "2")
    headers.add("Referer", "http://user:hidden@host/?token=hidden")
    await client.fetch(servers.start(Application([("/", Answer)])), headers=headers)
    found = (await only_span(recorder)).tags["headers"]
    assert "hidden" not in found
    assert "'Authorization': 'REDACTED'" in found
    assert "'X-Allowed-Token': 'shown'" in found
    assert "'X-Many': '1, 2'" in found


@pytest.mark.parametrize("name", ["full_url", "connection", "request_time"])
async def test_whatever_else_is_named_as_an_attribute_shows_no_secrets(
    name: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False, traced_attributes=[name])
    await client.fetch(servers.start(Application([("/", Answer)])) + "/?token=hidden")
    assert "hidden" not in shown(await only_span(recorder))


# Exceptions.


async def test_an_exceptions_message_and_stack_show_no_secrets(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Nor do those of the exceptions that led to it; the exception itself is what it was."""
    raised: list[BaseException] = []

    class Raising(RequestHandler):
        def get(self) -> None:
            try:
                try:
                    raise ValueError(f"no {self.request.full_url()}")
                except ValueError as error:
                    raise LookupError(f"no {self.request.uri}") from error
            except LookupError as error:
                raised.append(RuntimeError("http://user:hidden@host/?a=b&token=hidden is down"))
                raise raised[0] from error

    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Raising)]))
    await client.fetch(f"{url}/?token=hidden", raise_error=False)
    span = await only_span(recorder)
    (log,) = span.logs
    assert log["message"] == "http://host/?a=b&token=REDACTED is down"
    assert log["error.object"] is raised[0]
    assert "LookupError: no /?token=REDACTED" in log["stack"]
    assert "ValueError: no http://127.0.0.1" in log["stack"]
    assert "hidden" not in shown(span).replace('"http://user:hidden@host/?a=b&token=hidden is down"', "")


async def test_an_exception_without_a_text_is_logged_all_the_same(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    class WordlessError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Raising(RequestHandler):
        def get(self) -> None:
            raise WordlessError

        def log_exception(self, *args: Any) -> None:
            pass

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Raising)])), raise_error=False)
    span = await only_span(recorder)
    assert (span.status, span.is_error) == (500, True)


# Everything at once.

_LOGGER = logging.getLogger("tornado_opentracing")


class Records(logging.Handler):
    """What the package's log records look like in a log."""

    def __init__(self) -> None:
        super().__init__(0)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += logging.Formatter("%(message)s").format(record) + "\n"


@pytest.fixture
def records() -> Iterable[Records]:
    handler = Records()
    _LOGGER.addHandler(handler)
    yield handler
    _LOGGER.removeHandler(handler)


class Secrets:
    """Hands out secrets, each marked with where it is put."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def __getitem__(self, where: str) -> str:
        self.given.append(where)
        return f"s3cr3t-{where}-"

    def found_in(self, text: str) -> set[str]:
        return {where for where in self.given if f"s3cr3t-{where}-" in text}


async def test_no_secret_is_in_any_tag_log_or_record(
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    records: Records,
    reports: list[logging.LogRecord],
) -> None:
    """Everything that can be switched on is, and everything that can fail does."""
    secret = Secrets()
    attributes = [name for name in dir(HTTPServerRequest) if not name.startswith("_")]
    attributes += ["uri", "query", "headers", "cookies", "arguments", "query_arguments", "body_arguments", "body"]
    attributes += ["connection", "server_connection", "files", "host"]
    names = ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "Referer", "Location"]

    def complaining(where: str) -> Any:
        def callback(*args: Any) -> Any:
            raise ValueError(f"{where}: http://user:{secret[where]}@host/?token={secret[where]}")

        return callback

    tracing = TornadoTracing(recorder.tracer)

    class Raising(RequestHandler):
        def initialize(self, is_broken: bool = False) -> None:
            if is_broken:
                raise ValueError(f"cannot make {self.request.full_url()}")

        @tracing.trace(attributes)
        async def post(self) -> None:
            self.set_cookie("name", secret["set-cookie"])
            self.set_header("X-Api-Key", secret["response-key"])
            elsewhere = f"//user:{secret['location']}@{self.request.host}/nowhere"
            self.set_header("Location", f"http:{elsewhere}?token={secret['location']}")
            if "raise" in self.request.arguments:
                raise ValueError(f"cannot serve {self.request.full_url()}")
            if "refuse" in self.request.arguments:
                raise HTTPError(400, "cannot serve %s", self.request.full_url())
            self.set_status(int(self.get_query_argument("status")))

        get = post

    class Socket(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            raise ValueError(f"cannot answer {self.request.full_url()}: http://user:{secret['message']}@host/")

    init_tracing(
        recorder.tracer,
        traced_attributes=attributes,
        traced_request_headers=names,
        traced_response_headers=names,
        operation_name=complaining("operation-name"),
        request_filter=complaining("request-filter"),
        start_span_cb=complaining("start-callback"),
        finish_span_cb=complaining("finish-callback"),
        inject_response_headers=True,
        trace_websocket_messages=True,
    )
    base = servers.start(
        Application([("(?:http.*)?/", Raising), ("/broken", Raising, {"is_broken": True}), ("/socket", Socket)])
    )

    # By hand, for what no client would send.
    body = f"a=b&password={secret['body']}"
    lines = [
        f"POST http://user:{secret['request-line']}@host/?status=200&a=b&token={secret['uri']} HTTP/1.1",
        "Host: h",
        f"Authorization: Bearer {secret['authorization']}",
        f"Proxy-Authorization: Basic {secret['proxy-authorization']}",
        f"Cookie: name={secret['cookie']}",
        f"X-Api-Key: {secret['request-key']}",
        f"Referer: http://user:{secret['referer']}@host/?a=b&token={secret['referer-query']}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    async with connection(base) as opened:
        opened.send("\n".join([*lines, "", body]))
        assert (await opened.answer())[0] == 200

    # By a client, whose own spans are looked at too.
    def url(path: str, where: str, query: str = "a=b") -> str:
        user = base.replace("//", f"//user:{secret[where + '-user']}@")
        return f"{user}{path}?{query}&token={secret[where]}#access_token={secret[where + '-fragment']}"

    headers = {"Authorization": secret["client-authorization"], "X-Api-Key": secret["client-key"]}
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))
    refused = f"http://user:{secret['refused']}@127.0.0.1:{unused.getsockname()[1]}/?token={secret['refused']}"
    requests: list[Any] = [
        HTTPRequest(url("/", "ok", "status=200"), headers=headers),
        HTTPRequest(url("/", "login", "status=200"), auth_username="user", auth_password=secret["login-password"]),
        url("/", "raise", "raise=1"),
        url("/", "refuse", "refuse=1"),
        url("/nowhere", "nowhere"),
        url("/broken", "broken"),
        url("/", "redirect", "status=302"),
        refused,
        f"ftp://user:{secret['scheme-user']}@host/?token={secret['scheme']}",
        f"user:{secret['no-scheme-user']}@host/?token={secret['no-scheme']}",
        f" http://user:{secret['blank-user']}@127.0.0.1:1/?token={secret['blank']}",
        f"http://user:{secret['port-user']}@host:port/?token={secret['port']}",
        f"http://[:{secret['bracket']}@host/?token={secret['bracket']}",
    ]
    for request in requests:
        with contextlib.suppress(Exception):
            await client.fetch(request, max_redirects=1) if isinstance(request, str) else await client.fetch(request)

    opened_socket = await websocket_connect(url("/socket", "socket").replace("http", "ws"))
    await opened_socket.write_message("hello")
    await opened_socket.read_message()
    opened_socket.close()
    with contextlib.suppress(HTTPClientError):
        await websocket_connect(url("/", "not-a-socket").replace("http", "ws"))

    unused.close()
    spans = await settled(recorder, 20)
    for _ in range(20):
        await asyncio.sleep(0)
    assert {where for span in spans for where in secret.found_in(shown(span))} == set()
    assert secret.found_in(records.text) == set()
    # They were not hidden by not looking.
    assert {"start_span_cb", "finish_span_cb", "request_filter", "operation_name"} <= set(records.text.split())
    assert len([span for span in spans if span.logs]) >= 5
    assert REDACTED in "".join(shown(span) for span in spans)
