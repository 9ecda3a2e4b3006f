# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``inject_response_headers``: what a browser can read of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.propagators.composite import CompositePropagator
from opentracing.mocktracer import MockTracer
from support import BridgeRecorder, Recorder, Servers, ShimRecorder
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_tracing
from tornado_opentracing.viewer import RecordingTracer

NOTHING: dict[str, str] = {}


class Sends(RequestHandler):
    headers: dict[str, str] = NOTHING

    def initialize(self, headers: dict[str, str]) -> None:
        self.headers = headers

    def set_default_headers(self) -> None:
        self.set_header("X-Own", "1")

    def get(self) -> None:
        for name, value in self.headers.items():
            self.set_header(name, value)


class Fails(RequestHandler):
    def get(self) -> None:
        raise HTTPError(503)


async def response(servers: Servers, client: AsyncHTTPClient, path: str = "/", **headers: str) -> HTTPResponse:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    application = Application([("/", Sends, {"headers": given}), ("/fails", Fails)], opentracing_trace_client=False)
    return await client.fetch(servers.start(application) + path, raise_error=False)


def exposed(found: HTTPResponse) -> list[str]:
    return [name.strip().lower() for name in found.headers.get("Access-Control-Expose-Headers", "").split(",")]


@pytest.mark.parametrize("path", ["/", "/fails"])
@pytest.mark.parametrize("make", [ShimRecorder, BridgeRecorder])
async def test_server_timing_has_the_servers_span_as_traceparent(
    make: Any, path: str, servers: Servers, client: AsyncHTTPClient
) -> None:
    recorder = make()
    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    found = await response(servers, client, path)
    (span,) = await settled(recorder)
    timing = found.headers["Server-Timing"]
    assert re.fullmatch(rf'traceparent;desc="00-{span.trace_id:032x}-{span.span_id:016x}-0[13]"', timing)
    assert timing == f'traceparent;desc="{found.headers["Traceparent"]}"'


@pytest.mark.parametrize("make", [ShimRecorder, BridgeRecorder])
async def test_also_where_it_writes_other_headers(
    make: Any, servers: Servers, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", CompositePropagator([]))
    recorder = make()
    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    found = await response(servers, client)
    (span,) = await settled(recorder)
    timing = found.headers["Server-Timing"]
    assert re.fullmatch(rf'traceparent;desc="00-{span.trace_id:032x}-{span.span_id:016x}-0[13]"', timing)
    assert "Traceparent" not in found.headers


async def test_of_a_tracer_that_writes_a_traceparent_it_is_that(servers: Servers, client: AsyncHTTPClient) -> None:
    tracer = RecordingTracer()
    init_tracing(tracer, inject_response_headers=True, trace_client=False)
    found = await response(servers, client)
    assert found.headers["Server-Timing"] == f'traceparent;desc="{found.headers["Traceparent"]}"'


async def test_of_a_tracer_that_has_none_there_is_none(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, inject_response_headers=True, trace_client=False)
    found = await response(servers, client, Access_Control_Allow_Origin="*")
    assert "Server-Timing" not in found.headers
    assert exposed(found) == ["ot-tracer-traceid", "ot-tracer-spanid"]


async def test_a_traceparent_that_is_none_is_not_repeated(servers: Servers, client: AsyncHTTPClient) -> None:
    class Strange:
        def inject(self, span_context: Any, carrier: Any) -> None:
            carrier["traceparent"] = 'a", evil;desc="'

        def extract(self, carrier: Any) -> Any:
            return None

    tracer: Any = MockTracer(ContextVarsScopeManager())
    tracer.register_propagator("http_headers", Strange())
    init_tracing(tracer, inject_response_headers=True, trace_client=False)
    found = await response(servers, client)
    assert found.headers["Traceparent"] == 'a", evil;desc="'
    assert "Server-Timing" not in found.headers


async def test_what_the_application_says_of_its_timing_stays(servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(RecordingTracer(), inject_response_headers=True, trace_client=False)
    found = await response(servers, client, Server_Timing="db;dur=53")
    first, second = found.headers.get_list("Server-Timing")
    assert first == "db;dur=53"
    assert second.startswith("traceparent;desc=")


async def test_scripts_of_other_origins_may_read_it_where_the_response_is_for_such(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, inject_response_headers=True, trace_client=False)
    plain = await response(servers, client)
    assert "Access-Control-Expose-Headers" not in plain.headers
    found = await response(servers, client, Access_Control_Allow_Origin="https://shop.example")
    injected = {name.lower() for name in plain.headers} & {
        "traceparent",
        "server-timing",
        "ot-tracer-traceid",
        "ot-tracer-spanid",
    }
    assert len(injected) == 2
    assert set(exposed(found)) == injected


async def test_what_the_application_lets_them_read_stays_and_nothing_is_named_twice(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(RecordingTracer(), inject_response_headers=True, trace_client=False)
    found = await response(
        servers,
        client,
        Access_Control_Allow_Origin="*",
        Access_Control_Expose_Headers="X-Own, TraceParent",
    )
    assert exposed(found) == ["x-own", "traceparent", "server-timing"]


async def test_without_it_a_response_has_none_of_these(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    found = await response(servers, client, Access_Control_Allow_Origin="*")
    assert not {"Server-Timing", "Access-Control-Expose-Headers", "Traceparent"} & {*found.headers}
