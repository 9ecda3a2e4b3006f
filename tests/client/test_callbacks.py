# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``start_span_cb`` and ``finish_span_cb`` of fetches: when exactly they are called, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from support import Recorder, Servers
from support.callbacks import Calls, Site, application
from support.serving import only_span, settled
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import HTTPTimeoutError
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

from tornado_opentracing import init_tracing


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
    each_recorder: Recorder, each_client: AsyncHTTPClient, refused_url: str
) -> None:
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    outcome = await outcome_of(each_client.fetch(refused_url))
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
