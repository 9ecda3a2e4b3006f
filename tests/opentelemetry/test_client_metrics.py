# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Metrics of fetches, and of the event loop."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
import tornado
from opentracing.mocktracer import MockTracer
from support import Servers
from support.measured import Measured
from support.otel import OpenTelemetry
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_client_tracing, remove_tracing

# Of pycurl, which older Tornados use so.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

DURATION = "http.client.request.duration"
SENT = "http.client.request.body.size"
RECEIVED = "http.client.response.body.size"
LAG = "tornado.ioloop.lag"


class Stock(RequestHandler):
    async def get(self, what: str) -> None:
        if what == "broken":
            self.set_status(503)
        elif what == "missing":
            self.set_status(404)
        elif what == "elsewhere":
            self.redirect("/plain")
        elif what == "round":
            self.redirect("/round")
        elif what == "slow":
            await asyncio.sleep(5)
        elif what == "stream":
            for _ in range(3):
                self.write("x" * 10)
                await self.flush()
        else:
            self.write("x" * 100)

    head = get

    def post(self, what: str) -> None:
        self.write("ok")


@pytest.fixture
def measured() -> Iterator[Measured]:
    measured = Measured()
    init_client_tracing(MockTracer(ContextVarsScopeManager()))
    yield measured
    measured.provider.shutdown()


@pytest.fixture
def url(servers: Servers) -> str:
    return servers.start(Application([(r"/(\w+)", Stock)], compress_response=True))


async def test_a_fetch_is_measured_as_the_conventions_have_it(
    url: str, measured: Measured, each_client: AsyncHTTPClient
) -> None:
    await each_client.fetch(f"{url}/plain?token=secret")
    attributes = {
        "http.request.method": "GET", "http.response.status_code": 200,
        "server.address": "127.0.0.1", "server.port": int(url.rpartition(":")[2]),
    }  # fmt: skip
    for name, unit in ((DURATION, "s"), (SENT, "By"), (RECEIVED, "By")):
        assert measured.metrics[name].unit == unit
        assert dict(measured.point(name).attributes) == attributes
    assert (measured.point(SENT).sum, measured.point(RECEIVED).sum) == (0, 100)
    assert 0 < measured.point(DURATION).sum < 20
    assert measured.count(DURATION) == 1


@pytest.mark.parametrize("raise_error", [True, False])
@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("broken", 503, "503"),
        ("missing", 404, "404"),
        ("round", 302, "302"),
        ("slow", None, "tornado.simple_httpclient.HTTPTimeoutError"),
    ],
)
async def test_an_error_has_a_type_and_a_status_where_there_was_a_response(
    path: str, status: int | None, error: str, raise_error: bool, url: str, measured: Measured
) -> None:
    timeout = 0.05 if path == "slow" else 20
    try:
        await AsyncHTTPClient().fetch(f"{url}/{path}", raise_error=raise_error, request_timeout=timeout)
    except HTTPClientError:
        assert raise_error or path == "slow"
    attributes = measured.point(DURATION).attributes
    assert attributes.get("http.response.status_code") == status
    assert attributes["error.type"] == error


async def test_a_server_that_is_not_there_and_a_url_that_is_none(measured: Measured) -> None:
    with pytest.raises(ConnectionRefusedError):
        await AsyncHTTPClient().fetch("http://127.0.0.1:1/")
    assert measured.point(DURATION).attributes["error.type"] == "ConnectionRefusedError"
    assert measured.point(DURATION).attributes["server.port"] == 1
    assert not measured.points(RECEIVED)


async def test_a_fetch_that_is_cancelled_counts(url: str, measured: Measured) -> None:
    fetching = asyncio.ensure_future(AsyncHTTPClient().fetch(f"{url}/slow"))
    await asyncio.sleep(0)
    fetching.cancel()
    await until(lambda: measured.count(DURATION) == 1)
    assert measured.point(DURATION).attributes["error.type"] == "asyncio.exceptions.CancelledError"


async def test_a_chain_of_redirects_is_one_fetch(url: str, measured: Measured) -> None:
    await AsyncHTTPClient().fetch(f"{url}/elsewhere")
    assert measured.count(DURATION) == 1
    assert measured.point(DURATION).attributes["http.response.status_code"] == 200


async def test_bodies_are_as_large_as_what_goes_over_the_network(
    url: str, measured: Measured, each_client: AsyncHTTPClient
) -> None:
    await each_client.fetch(f"{url}/form", method="POST", body="a=1&b=2")
    assert measured.point(SENT).sum == 7
    assert measured.point(RECEIVED).sum == 2
    await each_client.fetch(f"{url}/plain", method="HEAD")
    assert sum(point.sum for point in measured.points(RECEIVED)) == 2


async def test_a_body_that_is_streamed_is_counted_both_ways(url: str, measured: Measured) -> None:
    async def produce(write: Any) -> None:
        await write(b"a=1")
        await write(b"&b=2")

    await AsyncHTTPClient().fetch(f"{url}/form", method="POST", body_producer=produce)
    chunks: list[bytes] = []
    await AsyncHTTPClient().fetch(f"{url}/stream", streaming_callback=chunks.append)
    assert b"".join(chunks) == b"x" * 30
    by_method = {point.attributes["http.request.method"]: point.sum for point in measured.points(SENT)}
    assert by_method == {"POST": 7, "GET": 0}
    by_method = {point.attributes["http.request.method"]: point.sum for point in measured.points(RECEIVED)}
    assert by_method == {"POST": 2, "GET": 30}


@pytest.mark.skipif(tornado.version_info < (6, 6), reason="new in Tornado 6.6")
async def test_a_streaming_callback_that_is_a_coroutine_stays_one(url: str, measured: Measured) -> None:
    chunks: list[bytes] = []

    async def receive(chunk: bytes) -> None:
        await asyncio.sleep(0)
        chunks.append(chunk)

    await AsyncHTTPClient().fetch(f"{url}/stream", streaming_callback=receive)
    assert b"".join(chunks) == b"x" * 30
    assert measured.point(RECEIVED).sum == 30


async def test_an_exemplar_leads_to_the_fetch(url: str, measured: Measured) -> None:
    otel = OpenTelemetry()
    init_client_tracing(otel.tracer)
    await AsyncHTTPClient().fetch(f"{url}/plain")
    (exemplar,) = measured.point(DURATION).exemplars
    context = otel.only().context
    assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


async def test_a_filtered_fetch_counts_nothing(url: str) -> None:
    from tornado_opentracing import init_tracing

    measured = Measured()
    init_tracing(MockTracer(ContextVarsScopeManager()), client_filter=lambda request: False, trace_all=False)
    await AsyncHTTPClient().fetch(f"{url}/plain")
    assert not measured.metrics


async def test_how_late_the_loop_is_is_measured_twice_a_second() -> None:
    measured = Measured()
    started = time.monotonic()
    await until(lambda: measured.count(LAG) == 1)
    assert 0.45 < time.monotonic() - started < 5
    assert measured.metrics[LAG].unit == "s"
    before = measured.point(LAG).sum
    await asyncio.sleep(0.3)
    time.sleep(0.5)
    await until(lambda: measured.count(LAG) >= 2)
    assert measured.point(LAG).sum - before > 0.2
    measured.provider.shutdown()


async def test_the_loop_is_measured_no_more_once_tracing_is_removed() -> None:
    measured = Measured()
    remove_tracing()
    await asyncio.sleep(0.7)
    assert measured.count(LAG) == 0


def test_every_loop_is_measured_from_its_first_fetch_on() -> None:
    measured = Measured()
    init_client_tracing(MockTracer(ContextVarsScopeManager()))

    async def fetch() -> None:
        client: Any = AsyncHTTPClient(force_instance=True)
        with pytest.raises(ConnectionRefusedError):
            await client.fetch("http://127.0.0.1:1/")
        client.close()
        expected = measured.count(LAG) + 1
        await until(lambda: measured.count(LAG) == expected)

    asyncio.run(fetch())
    asyncio.run(fetch())
    assert measured.count(LAG) == 2


# What earlier tests left to the collector complains when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_measuring_the_loop_keeps_nothing_of_the_request_in_which_it_began() -> None:
    class Kept:
        pass

    variable: ContextVar[Any] = ContextVar("kept")

    async def begin() -> weakref.ref[Kept]:
        kept = Kept()
        variable.set(kept)
        began.append(Measured())
        return weakref.ref(kept)

    began: list[Measured] = []
    reference = await asyncio.ensure_future(begin())
    await asyncio.sleep(0.01)
    gc.collect()
    assert reference() is None
    await until(lambda: began[0].count(LAG) == 1)
    began[0].provider.shutdown()
