# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Metrics of requests: as the conventions name them, right for every way a response may end."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import opentelemetry.metrics
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentracing.mocktracer import MockTracer
from support import Recorder, Servers
from support.measured import Measured
from support.otel import OpenTelemetry
from support.serving import ask, connection, until
from tornado.http1connection import HTTP1Connection
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, FallbackHandler, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import ContextVarsScopeManager, init_tracing, remove_tracing
from tornado_opentracing.opentelemetry import init_metrics

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
RECEIVED = "http.server.request.body.size"
SENT = "http.server.response.body.size"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
HAS_BUCKETS = "explicit_bucket_boundaries_advisory" in opentelemetry.metrics.Meter.create_histogram.__annotations__


class Shop(RequestHandler):
    started: asyncio.Event
    go_on: asyncio.Event

    async def get(self, what: str) -> None:
        if what == "broken":
            raise KeyError("no stock")
        if what == "refused":
            raise HTTPError(503)
        if what == "missing":
            raise HTTPError(404)
        if what == "stream":
            for chunk in ("a" * 10, "b" * 20, "c" * 30):
                self.write(chunk)
                await self.flush()
        elif what == "wait":
            self.started.set()
            await self.go_on.wait()
        else:
            self.write("x" * 100)

    async def post(self, what: str) -> None:
        self.write({"size": len(self.request.body)})

    head = get


@stream_request_body
class Upload(RequestHandler):
    began: asyncio.Event

    def data_received(self, chunk: bytes) -> None:
        self.began.set()

    def put(self) -> None:
        self.write("ok")


class Echo(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


@pytest.fixture
def measured() -> Iterator[Measured]:
    measured = Measured()
    yield measured
    measured.provider.shutdown()


@pytest.fixture
async def url(servers: Servers, measured: Measured) -> str:
    init_tracing(MockTracer(ContextVarsScopeManager()), trace_client=False, excluded_paths=["/shop/health"])
    Shop.started, Shop.go_on, Upload.began = asyncio.Event(), asyncio.Event(), asyncio.Event()
    return servers.start(application(), max_body_size=10_000_000, decompress_request=True)


def application() -> Application:
    return Application([(r"/shop/(\w+)", Shop), ("/upload", Upload), ("/echo", Echo)], compress_response=False)


async def over(measured: Measured, count: int = 1) -> None:
    await until(lambda: measured.count(DURATION) == count)


async def test_a_request_is_measured_as_the_conventions_have_it(url: str, measured: Measured) -> None:
    await ask(url, "/shop/plain?n=1")
    await over(measured)
    attributes = {
        "http.request.method": "GET", "url.scheme": "http", "http.response.status_code": 200,
        "http.route": "/shop/{0}", "network.protocol.version": "1.1",
    }  # fmt: skip
    for name, unit in ((DURATION, "s"), (RECEIVED, "By"), (SENT, "By")):
        assert measured.metrics[name].unit == unit
        assert measured.metrics[name].description
        assert dict(measured.point(name).attributes) == attributes
    assert measured.metrics[ACTIVE].unit == "{request}"
    assert dict(measured.point(ACTIVE).attributes) == {"http.request.method": "GET", "url.scheme": "http"}
    assert (measured.point(RECEIVED).sum, measured.point(SENT).sum) == (0, 100)
    assert 0 < measured.point(DURATION).sum < 20
    if HAS_BUCKETS:
        assert measured.point(DURATION).explicit_bounds == BUCKETS


async def test_the_instruments_say_whose_they_are(url: str, measured: Measured) -> None:
    await ask(url, "/shop/plain")
    await over(measured)
    (resource,) = measured._reader.get_metrics_data().resource_metrics  # type: ignore[union-attr]
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "tornado_opentracing"
    assert scope.scope.schema_url
    assert scope.scope.schema_url.startswith("https://opentelemetry.io/schemas/")


async def test_a_request_is_active_until_its_response_is_finished(url: str, measured: Measured) -> None:
    asked = asyncio.ensure_future(ask(url, "/shop/wait"))
    await Shop.started.wait()
    assert measured.point(ACTIVE).value == 1
    assert measured.count(DURATION) == 0
    Shop.go_on.set()
    await asked
    await over(measured)
    assert measured.point(ACTIVE).value == 0


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/shop/broken", 500, "KeyError"),
        ("/shop/refused", 503, "503"),
        ("/shop/missing", 404, None),
        ("/nowhere", 404, None),
    ],
)
async def test_an_error_has_a_type_that_says_what_it_was(
    path: str, status: int, error: str | None, url: str, measured: Measured
) -> None:
    await ask(url, path)
    await over(measured)
    for name in (DURATION, RECEIVED, SENT):
        attributes = measured.point(name).attributes
        assert attributes["http.response.status_code"] == status
        assert attributes.get("error.type") == error
        assert ("http.route" in attributes) == (path != "/nowhere")
    assert measured.point(ACTIVE).value == 0


async def test_a_streamed_response_is_counted_chunk_by_chunk(url: str, measured: Measured) -> None:
    await AsyncHTTPClient().fetch(f"{url}/shop/stream")
    await over(measured)
    assert measured.point(SENT).sum == 60


async def test_the_response_to_head_has_no_body(url: str, measured: Measured) -> None:
    await AsyncHTTPClient().fetch(f"{url}/shop/plain", method="HEAD")
    await over(measured)
    assert measured.point(SENT).sum == 0


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_a_body_is_as_large_as_what_came_over_the_network(
    is_compressed: bool, url: str, measured: Measured
) -> None:
    body = b"a" * 5000
    sent = gzip.compress(body) if is_compressed else body
    headers = {"Content-Encoding": "gzip"} if is_compressed else {}
    response = await AsyncHTTPClient().fetch(f"{url}/shop/form", method="POST", body=sent, headers=headers)
    assert response.body == b'{"size": 5000}'
    await over(measured)
    assert measured.point(RECEIVED).sum == len(sent)


async def test_a_streamed_body_is_counted_as_it_comes_in(url: str, measured: Measured) -> None:
    async def produce(write: Any) -> None:
        for _ in range(3):
            await write(b"x" * 1000)

    await AsyncHTTPClient().fetch(f"{url}/upload", method="PUT", body_producer=produce)
    await over(measured)
    assert measured.point(RECEIVED).sum == 3000


async def test_an_upload_that_is_aborted_counts_what_had_come(url: str, measured: Measured) -> None:
    async with connection(url) as opened:
        opened.send("PUT /upload HTTP/1.1\nHost: localhost\nContent-Length: 1000\n\n" + "x" * 300)
        await Upload.began.wait()
    await over(measured)
    assert measured.point(RECEIVED).sum == 300
    assert measured.point(SENT).sum == 0
    assert "http.response.status_code" not in measured.point(DURATION).attributes
    assert measured.point(ACTIVE).value == 0


async def test_a_client_that_leaves_is_counted_once_without_a_status(url: str, measured: Measured) -> None:
    async with connection(url) as opened:
        opened.send("GET /shop/wait HTTP/1.1\nHost: localhost\n\n")
        await Shop.started.wait()
    await asyncio.sleep(0.01)
    Shop.go_on.set()
    await over(measured)
    assert "http.response.status_code" not in measured.point(DURATION).attributes
    assert "error.type" not in measured.point(DURATION).attributes
    assert measured.point(ACTIVE).value == 0
    assert measured.point(SENT).sum == 0


async def test_methods_that_are_not_known_are_other(url: str, measured: Measured) -> None:
    async with connection(url) as opened:
        for method in ("BREW", "get"):
            opened.send(f"{method} /shop/plain HTTP/1.1\nHost: localhost\n\n")
            await opened.answer()
    await over(measured, 2)
    assert measured.point(DURATION).attributes["http.request.method"] == "_OTHER"
    assert measured.point(ACTIVE).attributes["http.request.method"] == "_OTHER"


async def test_which_methods_are_known_the_environment_may_say(
    monkeypatch: pytest.MonkeyPatch, servers: Servers
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "BREW, GET")
    measured = Measured()
    init_tracing(MockTracer(ContextVarsScopeManager()))
    async with connection(servers.start(application())) as opened:
        for method in ("BREW", "GET", "OPTIONS"):
            opened.send(f"{method} /shop/plain HTTP/1.1\nHost: localhost\n\n")
            await opened.answer()
    await over(measured, 3)
    methods = {point.attributes["http.request.method"] for point in measured.points(ACTIVE)}
    assert methods == {"BREW", "GET", "_OTHER"}


async def test_what_is_excluded_counts_nothing_nor_do_its_fetches(servers: Servers, measured: Measured) -> None:
    class Fetches(RequestHandler):
        async def get(self) -> None:
            await AsyncHTTPClient().fetch(f"{url}/shop/health")

    init_tracing(MockTracer(ContextVarsScopeManager()), excluded_paths=["/shop/health", "/fetches"])
    url = servers.start(Application([(r"/shop/(\w+)", Shop), ("/fetches", Fetches)]))
    assert (await ask(url, "/fetches"))[0] == 200
    assert measured.metrics.keys() <= {"tornado.ioloop.lag"}


@pytest.mark.parametrize("is_sampled", [True, False])
async def test_a_request_counts_whether_it_is_sampled_and_an_exemplar_leads_to_its_trace_if_it_is(
    is_sampled: bool, servers: Servers, measured: Measured
) -> None:
    otel = OpenTelemetry(ALWAYS_ON if is_sampled else ALWAYS_OFF)
    finished: list[Any] = []
    init_tracing(otel.tracer, trace_client=False, finish_span_cb=lambda span, _: finished.append(span))
    await ask(servers.start(application()), "/shop/plain")
    await until(lambda: finished)
    metrics = measured.metrics  # once, for that takes the exemplars
    for name in (DURATION, RECEIVED, SENT):
        (point,) = metrics[name].data.data_points
        exemplars = point.exemplars
        expected = [otel.only().context] if is_sampled else []
        assert [(e.trace_id, e.span_id) for e in exemplars] == [(c.trace_id, c.span_id) for c in expected]


async def test_measuring_again_with_the_same_provider_counts_what_was_active_and_what_is(
    url: str, measured: Measured
) -> None:
    asked = [asyncio.ensure_future(ask(url, "/shop/wait"))]
    await Shop.started.wait()
    init_metrics(measured.provider)
    Shop.started.clear()
    asked.append(asyncio.ensure_future(ask(url, "/shop/wait")))
    await Shop.started.wait()
    assert measured.point(ACTIVE).value == 2
    Shop.go_on.set()
    await asyncio.gather(*asked)
    await over(measured, 2)
    assert measured.point(ACTIVE).value == 0


async def test_a_request_counts_once_on_every_stack(
    each_recorder: Recorder, servers: Servers, measured: Measured
) -> None:
    inner = Application([("/inner", Shop)])
    init_tracing(each_recorder.tracer, trace_client=False)
    url = servers.start(Application([("/shop/(plain)", Shop), (".*", FallbackHandler, {"fallback": inner})]))
    await ask(url, "/shop/plain")
    await ask(url, "/nowhere")
    await over(measured, 2)
    assert {point.attributes["http.response.status_code"] for point in measured.points(DURATION)} == {200, 404}
    assert measured.point(ACTIVE).value == 0


async def test_a_websocket_s_handshake_is_what_counts(url: str, measured: Measured) -> None:
    connected = await websocket_connect(url.replace("http", "ws") + "/echo")
    await connected.write_message("hello")
    assert await connected.read_message() == "hello"
    await over(measured)
    assert measured.point(DURATION).attributes["http.response.status_code"] == 101
    assert measured.point(ACTIVE).value == 0
    assert measured.point(SENT).sum == 0
    connected.close()


async def test_remove_tracing_ends_it(url: str, measured: Measured) -> None:
    before = HTTP1Connection.write
    remove_tracing()
    assert HTTP1Connection.write is not before
    init_tracing(MockTracer(ContextVarsScopeManager()))
    await ask(url, "/shop/plain")
    assert not measured.metrics


async def test_another_meter_provider_takes_the_place_of_the_first(url: str, measured: Measured) -> None:
    second = Measured()
    await ask(url, "/shop/plain")
    await over(second)
    assert measured.count(DURATION) == 0
    second.provider.shutdown()


async def test_metrics_that_fail_cost_the_request_nothing(url: str, reports: list[Any]) -> None:
    class Broken(opentelemetry.metrics.NoOpMeterProvider):
        def get_meter(self, *args: Any, **kwargs: Any) -> Any:
            return BrokenMeter("broken")

    class BrokenInstrument:
        def add(self, *args: Any) -> None:
            raise RuntimeError("broken")

        record = add

    class BrokenMeter(opentelemetry.metrics.NoOpMeter):
        def create_histogram(self, *args: Any, **kwargs: Any) -> Any:
            return BrokenInstrument()

        def create_up_down_counter(self, *args: Any, **kwargs: Any) -> Any:
            return BrokenInstrument()

    init_metrics(Broken())
    assert await ask(url, "/shop/plain") == (200, "x" * 100)
    assert reports
