# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``client_filter`` and ``propagation_filter``: which fetches have a span, and who learns of the trace."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, Servers, ShimRecorder, only
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_client_tracing, init_tracing

ASKED: list[HTTPServerRequest] = []
TRACE_HEADERS = {
    "Traceparent": "00-11111111111111111111111111111111-2222222222222222-01",
    "TRACESTATE": "theirs=1",
    "baggage": "user=them",
    "X-B3-TraceId": "11111111111111111111111111111111",
    "b3": "0",
    "uber-trace-id": "1:2:3:1",
    "uberctx-user": "them",
    "Ot-Tracer-TraceId": "1",
    "ot-baggage-user": "them",
    "X-Datadog-Trace-Id": "1",
}


class Leaf(RequestHandler):
    def get(self) -> None:
        ASKED.append(self.request)


class Moved(RequestHandler):
    def get(self) -> None:
        ASKED.append(self.request)
        self.redirect("/", status=302)


class Socket(WebSocketHandler):
    def open(self) -> None:
        ASKED.append(self.request)


@pytest.fixture(autouse=True)
def _nothing_asked() -> None:
    ASKED.clear()


@pytest.fixture
def url(servers: Servers) -> str:
    return servers.start(Application([("/", Leaf), ("/moved", Moved), ("/ws", Socket)], opentracing_trace_all=False))


def traces_sent() -> list[set[str]]:
    """The trace headers that the server got, by request."""
    names = {name.lower() for name in TRACE_HEADERS} | {"ot-tracer-spanid", "ot-tracer-sampled"}
    return [{name.lower() for name in request.headers} & names for request in ASKED]


def init(recorder: Recorder, **options: Any) -> None:
    init_client_tracing(TornadoTracing(recorder.tracer, **options))


def not_to(path: str, asked: list[Any]) -> Callable[[HTTPRequest], object]:
    def wants(request: HTTPRequest) -> object:
        assert isinstance(request, HTTPRequest)
        asked.append(request.url)
        return not request.url.endswith(path)

    return wants


async def test_a_fetch_that_the_propagation_filter_is_against_has_a_span_and_sends_no_headers(
    each_recorder: Recorder, url: str, client: AsyncHTTPClient
) -> None:
    init(each_recorder, propagation_filter=not_to("?third", []))
    await client.fetch(f"{url}/?third")
    await client.fetch(f"{url}/?ours")
    without, with_some = traces_sent()
    assert without == set()
    assert with_some
    assert [span.kind for span in each_recorder.finished if span.kind] == ["client"] * 2 or isinstance(
        each_recorder, ShimRecorder
    )
    assert len(await settled(each_recorder, 2)) == 2


@pytest.mark.parametrize("kind", [dict, lambda headers: HTTPRequest("http://x", headers=headers).headers])
async def test_nor_does_it_send_trace_headers_that_the_application_forwards(
    kind: Callable[[dict[str, str]], Any], each_recorder: Recorder, url: str, client: AsyncHTTPClient
) -> None:
    """Of any propagator: they come with the request that is served, and are that request's trace."""
    init(each_recorder, propagation_filter=lambda request: False)
    headers = kind({**TRACE_HEADERS, "X-Request-Id": "7"})
    await client.fetch(url, headers=headers)
    assert traces_sent() == [set()]
    assert ASKED[0].headers["X-Request-Id"] == "7"
    assert headers == kind({**TRACE_HEADERS, "X-Request-Id": "7"}), "the caller's own headers are the caller's"


async def test_the_filters_are_asked_once_for_a_fetch_and_its_redirects(
    each_recorder: Recorder, url: str, each_client: AsyncHTTPClient
) -> None:
    asked: list[str] = []
    init(each_recorder, propagation_filter=not_to("/moved", asked), client_filter=not_to("?none", asked))
    await each_client.fetch(f"{url}/moved")
    assert asked == [f"{url}/moved"] * 2
    assert traces_sent() == [set(), set()]
    assert len(await settled(each_recorder)) == 1


async def test_a_fetch_that_the_client_filter_is_against_has_no_span_nor_have_its_redirects(
    each_recorder: Recorder, url: str, each_client: AsyncHTTPClient
) -> None:
    asked: list[str] = []
    init(each_recorder, client_filter=not_to("/moved", asked))
    response = await each_client.fetch(f"{url}/moved")
    assert response.code == 200
    assert asked == [f"{url}/moved"]
    assert traces_sent() == [set(), set()]
    assert each_recorder.finished == []
    assert each_recorder.unfinished == 0


async def test_what_the_client_filter_is_against_goes_out_as_it_would_untraced(
    recorder: Recorder, url: str, client: AsyncHTTPClient
) -> None:
    init(recorder, client_filter=lambda request: False)
    request = HTTPRequest(url, headers=dict(TRACE_HEADERS))
    response = await client.fetch(request)
    assert response.request is request
    assert traces_sent() == [{name.lower() for name in TRACE_HEADERS}]


@pytest.mark.parametrize("answer", [None, 0, "", True])
async def test_only_false_is_a_no(answer: object, recorder: Recorder, url: str, client: AsyncHTTPClient) -> None:
    init(recorder, client_filter=lambda request: answer, propagation_filter=lambda request: answer)
    await client.fetch(url)
    assert len(await settled(recorder)) == 1
    assert traces_sent() != [set()]


def fails(request: HTTPRequest) -> bool:
    raise ArithmeticError


async def answers_later() -> bool:
    return True


class Later:
    def __await__(self) -> Any:
        yield


@pytest.mark.parametrize("broken", [fails, lambda request: Later()])
async def test_where_the_client_filter_has_no_answer_the_fetch_is_traced(
    broken: Any, recorder: Recorder, url: str, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    init(recorder, client_filter=broken)
    assert (await client.fetch(url)).code == 200
    assert len(await settled(recorder)) == 1
    assert [report.args for report in reports] == [("client_filter",)]


@pytest.mark.parametrize("broken", [fails, lambda request: Later()])
async def test_where_the_propagation_filter_has_no_answer_nobody_learns_of_the_trace(
    broken: Any, recorder: Recorder, url: str, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    init(recorder, propagation_filter=broken)
    assert (await client.fetch(url, headers=TRACE_HEADERS)).code == 200
    assert len(await settled(recorder)) == 1
    assert traces_sent() == [set()]
    assert [report.args for report in reports] == [("propagation_filter",)]


async def test_a_websockets_handshake_is_filtered_too(each_recorder: Recorder, url: str) -> None:
    init(
        each_recorder,
        client_filter=lambda request: "none" not in request.url,
        propagation_filter=lambda request: "third" not in request.url,
    )
    for query in ("none", "third", "ours"):
        connection = await websocket_connect(f"{url.replace('http', 'ws')}/ws?{query}")
        connection.close()
        await connection.read_message()
    none, third, ours = traces_sent()
    assert none == third == set()
    assert ours
    assert len(await settled(each_recorder, 2)) == 2


async def test_they_are_settings_of_an_application_too(
    recorder: Recorder, url: str, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Front(RequestHandler):
        async def get(self) -> None:
            await client.fetch(url, headers=self.request.headers)

    init_tracing(recorder.tracer, propagation_filter=lambda request: True)
    application: Any = Application([("/", Front)], opentracing_propagation_filter=lambda request: False)
    front = servers.start(application)
    await client.fetch(front, headers=TRACE_HEADERS)
    spans = await settled(recorder, 3)
    assert traces_sent() == [set()]
    of_fetches = [span for span in spans if span.kind == "client"]
    assert {span.parent_id for span in of_fetches} == {None, only(spans, kind="server").span_id}
