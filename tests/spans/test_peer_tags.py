# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end: OpenTracing's standard ``peer.*`` tags on client and server spans."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import pathlib
import socket
import sys
import tempfile
from typing import Any

import pytest
from support import Recorded, Recorder, Servers, only
from support.serving import Connection, connection, only_span, settled
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import AnyMatches, Rule
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import init_tracing
from tornado_opentracing._spans import tags as span_tags


class Hello(RequestHandler):
    def initialize(self, is_broken: bool = False) -> None:
        if is_broken:
            raise RuntimeError

    def get(self) -> None:
        self.write("hello")


class Socket(WebSocketHandler):
    pass


def application() -> Application:
    return Application(
        [("/", Hello), ("/broken", Hello, {"is_broken": True}), ("/socket", Socket)],
        log_function=lambda handler: None,
    )


def peer_of(span: Recorded) -> dict[str, Any]:
    """The peer among a span's tags."""
    return {name[5:]: value for name, value in span.tags.items() if name.startswith("peer.")}


def serve_on_ipv6(servers: Servers) -> int:
    """A server on IPv6's loopback; its port."""
    try:
        (bound,) = bind_sockets(0, "::1", socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = HTTPServer(application())
    server.add_sockets([bound])
    servers._servers.append(server)
    port: int = bound.getsockname()[1]
    return port


# Client spans.


async def test_a_fetch_names_the_server(recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer)
    port = int(servers.start(application()).rpartition(":")[2])
    await each_client.fetch(f"http://localhost:{port}/")
    span = only(await settled(recorder, 2), kind="client")
    assert peer_of(span) == {"hostname": "localhost", "port": port, "address": f"localhost:{port}"}
    assert type(span.tags["peer.port"]) is int


async def test_a_fetch_names_a_server_that_is_an_ipv6_address(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    port = serve_on_ipv6(servers)
    await each_client.fetch(f"http://[::1]:{port}/")
    span = only(await settled(recorder, 2), kind="client")
    assert peer_of(span) == {"hostname": "::1", "port": port, "address": f"[::1]:{port}"}


class Nowhere(AsyncHTTPClient):
    """A client that goes nowhere, so that any URL will do."""

    def fetch_impl(self, request: Any, callback: Any) -> None:
        callback(HTTPResponse(request, 200))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/a", ("example.com", 80, "example.com:80")),
        ("https://example.com", ("example.com", 443, "example.com:443")),
        ("https://example.com:8443/a", ("example.com", 8443, "example.com:8443")),
        ("HTTPS://EXAMPLE.com/a", ("example.com", 443, "example.com:443")),
        ("http://user:hidden@example.com/", ("example.com", 80, "example.com:80")),
        ("http://192.0.2.1/", ("192.0.2.1", 80, "192.0.2.1:80")),
        ("https://[2001:db8::1]/", ("2001:db8::1", 443, "[2001:db8::1]:443")),
        ("http://[2001:db8::1]:8080/", ("2001:db8::1", 8080, "[2001:db8::1]:8080")),
        ("http://example.com:0/", ("example.com", 0, "example.com:0")),
        ("other://example.com/", ("example.com", None, None)),
        ("http://example.com?next=//elsewhere/", ("example.com", 80, "example.com:80")),
        ("http://example.com#http://elsewhere/", ("example.com", 80, "example.com:80")),
        ("http:\n//example.com:8080", ("example.com", 8080, "example.com:8080")),
        ("http:///path", None),
        ("/path", None),
        ("", None),
        ("http://example.com:port/", None),
        ("http://[::1/", None),
    ],
)
async def test_the_server_is_known_from_the_url(
    url: str, expected: tuple[str, int | None, str | None] | None, recorder: Recorder
) -> None:
    init_tracing(recorder.tracer)
    client: Any = Nowhere(force_instance=True)
    await client.fetch(url)
    client.close()
    named = dict(zip(("hostname", "port", "address"), expected or (), strict=False))
    assert peer_of(await only_span(recorder)) == {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("url", ["http://example.com/?n={}", "http://example.com?n={}", "http://example.com#{}"])
async def test_what_is_remembered_of_urls_does_not_grow_with_them(url: str, recorder: Recorder) -> None:
    """Nor is a secret kept that one of them carries."""
    init_tracing(recorder.tracer)
    client: Any = Nowhere(force_instance=True)
    span_tags._tags_for_server.cache_clear()
    for number in range(3):
        await client.fetch(url.format(number))
    client.close()
    assert span_tags._tags_for_server.cache_info().currsize == 1


async def test_a_fetch_that_fails_names_the_server_that_it_did_not_reach(
    recorder: Recorder, each_client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer)
    with contextlib.suppress(Exception):
        await each_client.fetch("http://127.0.0.1:1/")
    assert peer_of(await only_span(recorder)) == {"hostname": "127.0.0.1", "port": 1, "address": "127.0.0.1:1"}


async def test_a_redirected_fetch_names_the_server_that_was_asked_first(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    target = servers.start(application()) + "/"

    class Redirecting(RequestHandler):
        def get(self) -> None:
            self.redirect(target)

    init_tracing(recorder.tracer)
    url = servers.start(Application([("/", Redirecting)]))
    await client.fetch(url)
    span = only(await settled(recorder, 3), kind="client")
    assert span.tags["peer.address"] == url.partition("//")[2]


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_websocket_names_the_server(scheme: str, recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, trace_all=False)
    port = int(servers.start(application()).rpartition(":")[2])
    if scheme == "ws":
        (await websocket_connect(f"ws://127.0.0.1:{port}/socket")).close()
    else:
        with contextlib.suppress(Exception):
            await websocket_connect(f"wss://127.0.0.1:{port}/socket", connect_timeout=0.1)
    span = await only_span(recorder)
    assert peer_of(span) == {"hostname": "127.0.0.1", "port": port, "address": f"127.0.0.1:{port}"}


@pytest.mark.parametrize(("scheme", "port"), [("ws", 80), ("wss", 443)])
async def test_a_websocket_has_the_default_port_of_its_scheme(scheme: str, port: int, recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    connecting = asyncio.ensure_future(websocket_connect(f"{scheme}://127.0.0.1/", connect_timeout=0.1))
    with contextlib.suppress(Exception):
        await connecting
    assert (await only_span(recorder)).tags["peer.port"] == port


# Server spans.


async def ask(opened: Connection, path: str = "/", *headers: str) -> None:
    assert (await opened.get(path, *headers))[1] == "hello"


async def test_a_request_names_the_client(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(application())) as opened:
        await ask(opened)
        port = opened._writer.get_extra_info("sockname")[1]
    span = await only_span(recorder)
    assert peer_of(span) == {"ipv4": "127.0.0.1", "port": port}
    assert type(span.tags["peer.port"]) is int


async def test_a_request_names_a_client_that_is_an_ipv6_address(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(f"http://[::1]:{serve_on_ipv6(servers)}") as opened:
        await ask(opened)
        port = opened._writer.get_extra_info("sockname")[1]
    assert peer_of(await only_span(recorder)) == {"ipv6": "::1", "port": port}


@pytest.mark.parametrize("path", ["/broken", "/nowhere"])
async def test_a_request_that_fails_names_the_client(path: str, recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(application())) as opened:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await opened.get(path)
        port = opened._writer.get_extra_info("sockname")[1]
    assert peer_of(await only_span(recorder)) == {"ipv4": "127.0.0.1", "port": port}


async def test_a_websocket_names_the_client(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    (await websocket_connect(servers.start(application()).replace("http", "ws") + "/socket")).close()
    assert (await only_span(recorder)).tags["peer.ipv4"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("X-Real-Ip: 192.0.2.7", {"ipv4": "192.0.2.7"}),
        ("X-Real-Ip: 2001:db8::7", {"ipv6": "2001:db8::7"}),
        ("X-Forwarded-For: 192.0.2.7", {"ipv4": "192.0.2.7"}),
        ("X-Forwarded-For: 198.51.100.1, 192.0.2.7", {"ipv4": "192.0.2.7"}),
        ("X-Forwarded-For: 198.51.100.1, 2001:db8::7", {"ipv6": "2001:db8::7"}),
    ],
)
async def test_behind_a_proxy_a_request_names_the_real_client(
    header: str, expected: dict[str, str], recorder: Recorder, servers: Servers
) -> None:
    """Whose port is not known; the connection's is the proxy's."""
    init_tracing(recorder.tracer)
    async with connection(servers.start(application(), xheaders=True)) as opened:
        await ask(opened, "/", header)
    assert peer_of(await only_span(recorder)) == expected


async def test_behind_a_proxy_that_is_known_a_request_names_the_client_before_it(
    recorder: Recorder, servers: Servers
) -> None:
    init_tracing(recorder.tracer)
    url = servers.start(application(), xheaders=True, trusted_downstream=["198.51.100.1"])
    async with connection(url) as opened:
        await ask(opened, "/", "X-Forwarded-For: 192.0.2.7, 198.51.100.1")
    assert peer_of(await only_span(recorder)) == {"ipv4": "192.0.2.7"}


@pytest.mark.parametrize("xheaders", [True, False])
@pytest.mark.parametrize("headers", [[], ["X-Real-Ip: nonsense"], ["X-Forwarded-For: , "]])
async def test_what_a_proxy_does_not_tell_is_the_connections_own(
    headers: list[str], xheaders: bool, recorder: Recorder, servers: Servers
) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(application(), xheaders=xheaders)) as opened:
        await ask(opened, "/", *headers)
        port = opened._writer.get_extra_info("sockname")[1]
    assert peer_of(await only_span(recorder)) == {"ipv4": "127.0.0.1", "port": port}


async def test_what_anybody_may_claim_is_not_believed_without_xheaders(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(application())) as opened:
        await ask(opened, "/", "X-Real-Ip: 192.0.2.7")
    assert (await only_span(recorder)).tags["peer.ipv4"] == "127.0.0.1"


async def test_each_request_of_a_proxys_connection_names_its_own_client(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    async with connection(servers.start(application(), xheaders=True)) as opened:
        await ask(opened, "/", "X-Real-Ip: 192.0.2.7")
        await ask(opened, "/", "X-Real-Ip: 2001:db8::7")
        await ask(opened)
        port = opened._writer.get_extra_info("sockname")[1]
    assert [peer_of(span) for span in await settled(recorder, 3)] == [
        {"ipv4": "192.0.2.7"},
        {"ipv6": "2001:db8::7"},
        {"ipv4": "127.0.0.1", "port": port},
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets in asyncio")
@pytest.mark.parametrize(
    ("headers", "expected"), [([], {}), (["X-Real-Ip: 192.0.2.7"], {"ipv4": "192.0.2.7"})], ids=["direct", "proxy"]
)
async def test_a_unix_socket_has_no_address_but_the_one_that_a_proxy_tells(
    headers: list[str], expected: dict[str, str], recorder: Recorder, servers: Servers
) -> None:
    """Tornado makes one up, which is nobody's."""
    from tornado.netutil import bind_unix_socket

    init_tracing(recorder.tracer)
    server = HTTPServer(application(), xheaders=True)
    servers._servers.append(server)
    with tempfile.TemporaryDirectory() as directory:
        path = str(pathlib.Path(directory, "socket"))
        server.add_sockets([bind_unix_socket(path)])
        opened = Connection(*await asyncio.open_unix_connection(path))
        await ask(opened, "/", *headers)
        await opened.close()
    assert peer_of(await only_span(recorder)) == expected


async def test_a_request_whose_address_the_application_made_something_else_is_served_and_traced(
    recorder: Recorder, servers: Servers, reports: list[logging.LogRecord]
) -> None:
    class Remembers(AnyMatches):
        def match(self, request: Any) -> dict[str, Any] | None:
            request.remote_ip = ipaddress.ip_address(request.remote_ip)
            return {}

    class Hello(RequestHandler):
        def get(self) -> None:
            self.write("hello")

    init_tracing(recorder.tracer)
    async with connection(servers.start(Application([Rule(Remembers(), Hello)]))) as opened:
        assert await opened.get("/") == (200, "hello")
    assert (await only_span(recorder)).status == 200
    assert [record.args for record in reports] == [("describing a request",)]
