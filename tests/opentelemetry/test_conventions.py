# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Each attribute of a live request and a live fetch, against the tables of OpenTelemetry's semantic conventions."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import opentelemetry.semconv.attributes
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support import Servers
from support.otel import OpenTelemetry
from support.serving import connection, until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing
from tornado_opentracing.opentelemetry import create_tracer

#: "HTTP server span", by requirement level; what is conditional is so on what a test below brings about.
SERVER = {
    "required": {"http.request.method", "url.path", "url.scheme"},
    "conditionally required": {
        "error.type", "http.request.method_original", "http.response.status_code", "http.route", "server.port",
        "url.query",
    },
    "recommended": {
        "client.address", "network.peer.address", "network.peer.port", "network.protocol.version", "server.address",
        "user_agent.original",
    },
    "opt-in": {"client.port"},
}  # fmt: skip
#: "HTTP client span". What Tornado's response does not tell is neither required nor there: the peer of the connection
#: and the version of the protocol.
CLIENT = {
    "required": {"http.request.method", "server.address", "server.port", "url.full"},
    "conditionally required": {"error.type", "http.request.method_original", "http.response.status_code"},
}


class Book(RequestHandler):
    SUPPORTED_METHODS = (*RequestHandler.SUPPORTED_METHODS, "BREW")

    def get(self, number: str = "") -> None:
        if number == "0":
            raise ValueError("no such book")
        if number == "4":
            self.send_error(404)
        elif number == "5":
            self.send_error(503)
        elif number == "3":
            self.redirect("/book/3")

    brew = get


@pytest.fixture
async def url(otel: OpenTelemetry, servers: Servers) -> str:
    init_tracing(otel.tracer)
    return servers.start(Application([(r"/book/(?P<number>\d+)", Book), (r"/page/(\d+)/(\w+)", Book)]))


def names(table: dict[str, set[str]]) -> set[str]:
    return {name for level in table.values() for name in level}


def stable_names() -> Iterator[str]:
    package = opentelemetry.semconv.attributes
    for module in pkgutil.iter_modules(package.__path__):
        for value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
            if isinstance(value, str):
                yield value


def test_the_names_are_those_of_opentelemetrys_own_package() -> None:
    assert names(SERVER) | names(CLIENT) <= set(stable_names())


async def test_a_server_span_has_all_that_is_required_and_recommended(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/book/7?token=x&n=1", user_agent="test/1")
    spans = await otel.spans(2)
    server, client = spans["SERVER"], spans["CLIENT"]
    assert server.name == "GET /book/{number}"
    attributes = dict(server.attributes)
    assert attributes.keys() == names(SERVER) - {"error.type", "http.request.method_original"}
    host, port = url[7:].split(":")
    assert attributes.pop("client.port") == attributes.pop("network.peer.port") not in (0, int(port))
    assert attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/book/7",
        "url.query": "token=REDACTED&n=1",
        "server.address": host,
        "server.port": int(port),
        "network.peer.address": host,
        "client.address": host,
        "network.protocol.version": "1.1",
        "user_agent.original": "test/1",
        "http.route": "/book/{number}",
        "http.response.status_code": 200,
    }
    assert client.name == "GET"
    assert dict(client.attributes) == {
        "http.request.method": "GET",
        "url.full": f"{url}/book/7?token=REDACTED&n=1",
        "server.address": host,
        "server.port": int(port),
        "http.response.status_code": 200,
    }
    assert (server.status.status_code, client.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)


async def test_groups_without_a_name_are_numbered_in_a_spans_name(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/page/1/a", raise_error=False)
    assert (await otel.spans(2))["SERVER"].name == "GET /page/{0}/{1}"


async def test_where_no_route_matched_the_name_is_the_method(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/nowhere", raise_error=False)
    server = (await otel.spans(2))["SERVER"]
    assert server.name == "GET"
    assert "http.route" not in server.attributes


async def test_an_unknown_method_is_other_on_both_sides_and_the_name_says_http(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/book/7", method="BREW", allow_nonstandard_methods=True)
    spans = await otel.spans(2)
    assert (spans["SERVER"].name, spans["CLIENT"].name) == ("HTTP /book/{number}", "HTTP")
    for span in spans.values():
        assert span.attributes["http.request.method"] == "_OTHER"
        assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize("name", ["handler", "route", lambda handler: "mine"])
async def test_a_name_that_the_application_asked_for_is_left_to_it(
    otel: OpenTelemetry, servers: Servers, name: Any
) -> None:
    init_tracing(otel.tracer, operation_name=name)
    await AsyncHTTPClient().fetch(f"{servers.start(Application([('/a', Book)]))}/a")
    expected = {"handler": "Book", "route": "GET /a"}.get(name, "mine")
    assert (await otel.spans(2))["SERVER"].name == expected


async def test_a_decorated_method_gives_the_same_span(otel: OpenTelemetry, servers: Servers) -> None:
    class Decorated(RequestHandler):
        @TornadoTracing(otel.tracer).trace
        def get(self) -> None:
            pass

    await AsyncHTTPClient().fetch(f"{servers.start(Application([('/a', Decorated)]))}/a")
    server = (await otel.spans(1))["SERVER"]
    assert server.name == "GET /a"
    assert server.attributes["url.scheme"] == "http"


# Outcomes


async def test_an_exception_is_the_type_of_a_servers_error(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/book/0", raise_error=False)
    server = (await otel.spans(2))["SERVER"]
    assert (server.status.status_code, server.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")


@pytest.mark.parametrize(("number", "status"), [(4, 404), (5, 503)])
async def test_a_status_is_an_error_as_its_side_sees_it(
    otel: OpenTelemetry, url: str, number: int, status: int
) -> None:
    await AsyncHTTPClient().fetch(f"{url}/book/{number}", raise_error=False)
    spans = await otel.spans(2)
    server, client = spans["SERVER"], spans["CLIENT"]
    assert server.attributes["http.response.status_code"] == client.attributes["http.response.status_code"] == status
    assert client.status.status_code is StatusCode.ERROR
    assert "error.type" in client.attributes
    if status == 404:
        assert client.attributes["error.type"] == "404"
        assert (server.status.status_code, "error.type" in server.attributes) == (StatusCode.UNSET, False)
    else:
        assert (server.status.status_code, server.attributes["error.type"]) == (StatusCode.ERROR, "503")


@pytest.mark.parametrize("side", ["server", "client"])
async def test_which_statuses_are_errors_is_for_the_application_to_say(
    otel: OpenTelemetry, servers: Servers, side: str
) -> None:
    statuses: Any = {f"{side}_error_statuses": [503]}
    init_tracing(otel.tracer, **statuses)
    url = servers.start(Application([(r"/book/(?P<number>\d+)", Book)]))
    for number in (4, 5):
        await AsyncHTTPClient().fetch(f"{url}/book/{number}", raise_error=False)
    await until(lambda: len(otel.finished) == 4)
    found = [span for span in otel.finished if span.kind.name.lower() == side]
    assert [span.status.status_code for span in found] == [StatusCode.UNSET, StatusCode.ERROR]
    assert "error.type" not in found[0].attributes


@pytest.mark.parametrize("most", [0, 2])
async def test_too_many_redirects_are_an_error_of_the_client(otel: OpenTelemetry, url: str, most: int) -> None:
    with pytest.raises(HTTPClientError):
        await AsyncHTTPClient().fetch(f"{url}/book/3", max_redirects=most)
    client = (await otel.spans(2 + most))["CLIENT"]
    assert client.status.status_code is StatusCode.ERROR
    assert client.attributes["http.response.status_code"] == 302
    assert client.attributes["error.type"] == "302"


async def test_a_redirect_that_nobody_wanted_to_follow_is_no_error(otel: OpenTelemetry, url: str) -> None:
    await AsyncHTTPClient().fetch(f"{url}/book/3", follow_redirects=False, raise_error=False)
    client = (await otel.spans(2))["CLIENT"]
    assert (client.status.status_code, "error.type" in client.attributes) == (StatusCode.UNSET, False)


async def test_where_there_was_no_response_there_is_no_status(otel: OpenTelemetry) -> None:
    init_tracing(otel.tracer)
    with pytest.raises((HTTPClientError, OSError)):
        await AsyncHTTPClient().fetch("http://127.0.0.1:1/")
    client = (await otel.spans(1))["CLIENT"]
    assert "http.response.status_code" not in client.attributes
    assert client.status.status_code is StatusCode.ERROR
    assert client.attributes["error.type"] not in ("599", "_OTHER")


async def test_a_timeout_has_no_status_but_its_type(otel: OpenTelemetry, servers: Servers) -> None:
    class Never(RequestHandler):
        async def get(self) -> None:
            await until(lambda: bool(otel.finished))

    init_tracing(otel.tracer)
    with pytest.raises(HTTPClientError):
        await AsyncHTTPClient().fetch(servers.start(Application([("/", Never)])), request_timeout=0.1)
    client = (await otel.spans(2))["CLIENT"]
    assert "http.response.status_code" not in client.attributes
    assert client.attributes["error.type"].endswith("HTTPTimeoutError")


# Where a request comes from and where it goes


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        ("example.com", "example.com", 80),
        ("example.com:8080", "example.com", 8080),
        ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", 80),
        ("example.com:", "example.com", 80),
        ("example.com:http", "example.com:http", 80),
    ],
)
async def test_the_server_is_the_one_that_the_client_asked_for(
    otel: OpenTelemetry, url: str, host: str, address: str, port: int
) -> None:
    async with connection(url) as opened:
        opened.send(f"GET /book/7 HTTP/1.1\nHost: {host}\n\n")
        await opened.answer()
    server = (await otel.spans(1))["SERVER"]
    assert (server.attributes["server.address"], server.attributes["server.port"]) == (address, port)


async def test_the_whole_url_in_a_request_says_which_server(otel: OpenTelemetry, url: str) -> None:
    async with connection(url) as opened:
        await opened.get("http://user:pw@elsewhere.com:81/book/7?a=b")
    attributes = (await otel.spans(1))["SERVER"].attributes
    assert (attributes["server.address"], attributes["server.port"]) == ("elsewhere.com", 81)
    assert (attributes["url.path"], attributes["url.query"]) == ("/book/7", "a=b")


async def test_behind_a_proxy_client_and_peer_are_two(otel: OpenTelemetry, servers: Servers) -> None:
    init_tracing(otel.tracer, trace_client=False)
    url = servers.start(Application([("/", Book)]), xheaders=True)
    await AsyncHTTPClient().fetch(url, headers={"X-Real-Ip": "203.0.113.9", "X-Scheme": "https"})
    attributes = (await otel.spans(1))["SERVER"].attributes
    assert attributes["client.address"] == "203.0.113.9"
    assert attributes["network.peer.address"] == "127.0.0.1"
    assert attributes["network.peer.port"] > 0
    assert "client.port" not in attributes
    assert attributes["url.scheme"] == "https"


async def test_a_unix_socket_has_no_peer_that_could_be_named(otel: OpenTelemetry, tmp_path: Any) -> None:
    init_tracing(otel.tracer)
    server = HTTPServer(Application([("/", Book)]))
    path = str(tmp_path / "socket")
    server.add_socket(bind_unix_socket(path))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    await reader.read()
    writer.close()
    server.stop()
    attributes = (await otel.spans(1))["SERVER"].attributes
    assert not {"client.address", "client.port", "network.peer.address", "network.peer.port"} & attributes.keys()
    assert attributes["network.protocol.version"] == "1.0"


# Names, versions


async def test_old_names_are_there_as_well_where_the_environment_asks_for_both(
    monkeypatch: pytest.MonkeyPatch, servers: Servers
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "database, http/dup")
    otel = OpenTelemetry()
    init_tracing(otel.tracer)
    url = servers.start(Application([(r"/book/(?P<number>\d+)", Book)]))
    await AsyncHTTPClient().fetch(f"{url}/book/7?n=1", user_agent="test/1")
    spans = await otel.spans(2)
    for span in spans.values():
        assert {"http.method": "GET", "http.request.method": "GET", "component": "tornado"}.items() <= dict(
            span.attributes
        ).items()
        assert span.attributes["http.status_code"] == span.attributes["http.response.status_code"] == 200
    assert spans["SERVER"].attributes["http.url"] == "/book/7?n=1"
    assert spans["SERVER"].attributes["url.path"] == "/book/7"
    assert spans["SERVER"].attributes["peer.ipv4"] == spans["SERVER"].attributes["client.address"]
    assert spans["CLIENT"].attributes["http.url"] == spans["CLIENT"].attributes["url.full"]
    assert spans["CLIENT"].attributes["peer.hostname"] == spans["CLIENT"].attributes["server.address"]
    assert names(SERVER) - {"error.type", "http.request.method_original"} <= spans["SERVER"].attributes.keys()


@pytest.mark.parametrize("value", ["", "http", "database/dup"])
def test_only_stable_names_are_there_otherwise(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", value)
    otel = OpenTelemetry()
    otel.tracer.start_span("work", tags={"http.method": "GET"}).set_tag("peer.port", 80).finish()
    assert otel.only().attributes == {"http.request.method": "GET", "server.port": 80}


def test_the_instrumentation_scope_says_which_conventions_are_kept(otel: OpenTelemetry) -> None:
    otel.tracer.start_span("work").finish()
    scope = otel.only().instrumentation_scope
    assert scope.name == "tornado_opentracing"
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.23.0"


def test_the_instrumentation_scope_has_the_version_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"version of {name}")
    otel = OpenTelemetry()
    otel.tracer.start_span("work").finish()
    assert otel.only().instrumentation_scope.version == "version of tornado-opentracing"


async def test_headers_and_attributes_that_are_asked_for_are_there(otel: OpenTelemetry, servers: Servers) -> None:
    init_tracing(otel.tracer, traced_request_headers=["X-Id"], traced_attributes=["host_name"])
    url = servers.start(Application([("/", Book)]))
    await AsyncHTTPClient().fetch(url, headers={"X-Id": "7"})
    spans = await otel.spans(2)
    for span in spans.values():
        assert span.attributes["http.request.header.x-id"] == ("7",)
    assert spans["SERVER"].attributes["host_name"] == "127.0.0.1"


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL])
def test_tags_of_the_applications_own_spans_have_stable_names_too(kind: SpanKind) -> None:
    otel = OpenTelemetry()
    tags = {"span.kind": kind.name.lower(), "http.method": "GET", "http.status_code": 404, "component": "mine"}
    create_tracer(otel.provider).start_span("work", tags=tags).finish()
    span = otel.only()
    kept = {"http.request.method": "GET", "http.response.status_code": 404, "component": "mine"}
    assert kept.items() <= dict(span.attributes).items()
    assert (span.status.status_code is StatusCode.ERROR) == (kind is SpanKind.CLIENT)


async def test_what_a_client_sends_is_bounded(otel: OpenTelemetry, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET /book/7 HTTP/1.1\nHost: {'h' * 30_000}\nUser-Agent: {'u' * 30_000}\n\n")
        await opened.answer()
    attributes = (await otel.spans(1))["SERVER"].attributes
    for name in ("server.address", "user_agent.original"):
        assert 10_000 < len(attributes[name]) < 20_000
        assert "characters left out" in attributes[name]
