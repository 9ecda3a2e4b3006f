# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What arrives behind a real collector, which several processes export their spans to."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Exported
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from support import Servers
from support.serving import until
from support.zero_code import ZeroCode
from tornado.httpclient import AsyncHTTPClient
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing
from tornado_opentracing.opentelemetry import create_tracer

EXAMPLE = Path(__file__).parents[2] / "examples" / "otlp.py"
Kind = Exported.SpanKind


@dataclasses.dataclass
class Arrived:
    """A span as a back end is given it."""

    service: str
    span: Any

    @property
    def name(self) -> str:
        return str(self.span.name)

    @property
    def tags(self) -> dict[str, Any]:
        return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in self.span.attributes}


class BackEnd(RequestHandler):
    """Where the collector sends the spans that it was sent."""

    def initialize(self, arrived: list[Arrived]) -> None:
        self.arrived = arrived

    def post(self) -> None:
        for resource in ExportTraceServiceRequest.FromString(self.request.body).resource_spans:
            (service,) = [
                item.value.string_value for item in resource.resource.attributes if item.key == "service.name"
            ]
            self.arrived += [Arrived(service, span) for scope in resource.scope_spans for span in scope.spans]


class OtherBackEnd(RequestHandler):
    """Where it sends the rest."""

    def initialize(self, kind: Any, arrived: list[Any]) -> None:
        self.kind, self.arrived = kind, arrived

    def post(self) -> None:
        self.arrived.append(self.kind.FromString(self.request.body))


class Collector:
    """An OpenTelemetry collector in a process of its own."""

    def __init__(self, back_end: str) -> None:
        self._address = ("127.0.0.1", unused_port())
        self.url = f"http://127.0.0.1:{self._address[1]}"
        listen = {"--otlp-http-endpoint": self.url[7:], "--otlp-grpc-endpoint": f"127.0.0.1:{unused_port()}"}
        export = {"--exporter": "otlp", "--otlp-exporter-endpoint": back_end, "--otlp-exporter-protocol": "http"}
        options = {**listen, **export, "--batch-timeout": "20ms"}
        program, environment = agent()
        command = [program, "start", *(word for option in options.items() for word in option)]
        self.process = subprocess.Popen(command, env=environment)

    async def is_up(self) -> None:
        await until(self._listens)
        assert self.process.poll() is None

    def _listens(self) -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(self._address) == 0

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(10)


@functools.cache
def agent() -> tuple[str, dict[str, str]]:
    """The collector's program, and the environment in which it finds Python's library, which it is linked with."""
    package = find_spec("rotel")
    if package is None or package.origin is None:
        pytest.skip("rotel, a collector, has no wheel for this platform")
    program = str(Path(package.origin).parent / "rotel-agent")
    environment = {**os.environ, "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR")}
    if subprocess.run([program, "--version"], env=environment, capture_output=True, check=False).returncode:
        pytest.skip("rotel, a collector, needs a Python that was built with a shared library")
    return program, environment


def unused_port() -> int:
    """A port that nobody listens on; not one of those that the tests of other workers are given by the system."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as attempt, contextlib.suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def _no_complaint() -> None:
    """Of a collector that does not take its spans an exporter is to complain."""


@pytest.fixture
def arrived() -> list[Arrived]:
    return []


@pytest.fixture
def metrics() -> list[Any]:
    return []


@pytest.fixture
def logs() -> list[Any]:
    return []


@pytest.fixture
async def collector(
    arrived: list[Arrived], metrics: list[Any], logs: list[Any], servers: Servers
) -> AsyncIterator[Collector]:
    back_end = Application(
        [
            (r"/v1/traces", BackEnd, {"arrived": arrived}),
            (r"/v1/metrics", OtherBackEnd, {"kind": ExportMetricsServiceRequest, "arrived": metrics}),
            (r"/v1/logs", OtherBackEnd, {"kind": ExportLogsServiceRequest, "arrived": logs}),
        ]
    )
    collector = Collector(servers.start(back_end, decompress_request=True))
    try:
        await collector.is_up()
        yield collector
    finally:
        collector.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the example forks its workers")
async def test_spans_of_all_processes_arrive_and_belong_together(collector: Collector, arrived: list[Arrived]) -> None:
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_RESOURCE_ATTRIBUTES": "a=b"}
    example = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(example.communicate(), 30)
    assert (example.returncode, err.decode()) == (0, "")
    assert out.decode().splitlines()[2] == "cocoa: 1 left, 5.80 each, discount: ?"

    # For each of three pages: one fetch of it, three fetches by the shop, one by the prices; each has a handler's span.
    await until(lambda: len(arrived) >= 3 * 10 + 2)
    assert len(arrived) == len({each.span.span_id for each in arrived}) == 3 * 10 + 2
    traces = {each.span.trace_id for each in arrived}
    assert len(traces) == 3
    by_id = {each.span.span_id: each for each in arrived}
    parents = {each.span.span_id: by_id.get(each.span.parent_span_id) for each in arrived}

    cocoa = next(each for each in arrived if each.name == "GET /discount/{0}" and each.span.status.code)
    trace = [each for each in arrived if each.span.trace_id == cocoa.span.trace_id]
    edges = [
        (f"{parent.service}: {parent.name}" if parent else None, f"{each.service}: {each.name}")
        for each in trace
        for parent in [parents[each.span.span_id]]
    ]
    assert sorted(edges, key=str) == sorted(
        [
            (None, "browser: GET"),
            ("browser: GET", "shop: GET /{0}"),
            *[("shop: GET /{0}", "shop: GET")] * 3,
            ("shop: GET", "stock: GET /stock/{0}"),
            ("shop: GET", "prices: GET /price/{0}"),
            ("shop: GET", "prices: GET /discount/{0}"),
            ("prices: GET /price/{0}", "prices: GET"),
            ("prices: GET", "stock: GET /stock/{0}"),
            *[("stock: GET /stock/{0}", "stock: reorder cocoa")] * 2,
        ],
        key=str,
    )
    assert len({each.tags["process.pid"] for each in arrived if "process.pid" in each.tags}) >= 4

    for each in arrived:
        kind = Kind.SPAN_KIND_CLIENT if each.name == "GET" else Kind.SPAN_KIND_SERVER
        assert each.span.kind == (Kind.SPAN_KIND_INTERNAL if "reorder" in each.name else kind)
    fetch = parents[cocoa.span.span_id]
    assert fetch is not None
    assert [each for each in arrived if each.span.status.code == Status.STATUS_CODE_ERROR] in (
        [cocoa, fetch],
        [fetch, cocoa],
    )
    assert cocoa.tags["http.response.status_code"].__index__() == 500
    (event,) = cocoa.span.events
    assert event.name == "exception"
    assert {item.key: item.value.string_value for item in event.attributes}["exception.type"] == "KeyError"
    for each in (each for each in arrived if "reorder" in each.name):
        assert [link.span_id for link in each.span.links] == [each.span.parent_span_id]


LOGS = """
import logging

import shop


class Book(shop.Book):
    def get(self, number):
        logging.getLogger("shop").warning("only one copy of %s is left", number)
        super().get(number)


shop.Book = Book
shop.asyncio.run(shop.main(["/book/7"]))
"""


async def test_metrics_and_logs_arrive_beside_the_spans_and_lead_to_them(
    collector: Collector, arrived: list[Arrived], metrics: list[Any], logs: list[Any], tmp_path: Path
) -> None:
    """Of a program that knows nothing of it, by the environment alone."""
    pytest.importorskip("opentelemetry.distro")
    program = ZeroCode(tmp_path)
    program.write("logs.py", LOGS)
    signals = {f"OTEL_{signal}_EXPORTER": "otlp" for signal in ("TRACES", "METRICS", "LOGS")}
    await asyncio.to_thread(
        program.run,
        "logs.py",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
        **signals,
    )
    await until(lambda: len(arrived) == 2 and metrics and logs)
    (server,) = [each.span for each in arrived if each.span.kind == Kind.SPAN_KIND_SERVER]

    found = {
        metric.name: metric
        for request in metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert set(found) >= {"http.server.request.duration", "http.client.request.duration", "http.server.active_requests"}
    (point,) = found["http.server.request.duration"].histogram.data_points
    assert point.count == 1
    assert [exemplar.trace_id for exemplar in point.exemplars] == [server.trace_id]

    records = [
        record
        for request in logs
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]
    (record,) = [record for record in records if record.body.string_value.startswith("only one copy")]
    assert (record.trace_id, record.span_id) == (server.trace_id, server.span_id)


class Plain(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("ok")


async def test_a_collector_that_is_absent_slow_or_killed_neither_slows_nor_fails_a_request(
    collector: Collector, arrived: list[Arrived], servers: Servers
) -> None:
    """All four in one run, request by request, so that what else the machine does is the same for them."""
    silent, port = bind_unused_port()  # it never accepts a connection
    victim = Collector("http://127.0.0.1:9")
    await victim.is_up()
    urls = {
        "healthy": collector.url,
        "absent": f"http://127.0.0.1:{unused_port()}",
        "slow": f"http://127.0.0.1:{port}",
        "killed": victim.url,
    }
    init_tracing(trace_client=False)
    providers = {name: TracerProvider(shutdown_on_exit=False) for name in urls}
    applications = {}
    for name, provider in providers.items():
        exporter = OTLPSpanExporter(f"{urls[name]}/v1/traces", timeout=1)
        # Small enough to be full all the time where nobody takes anything out.
        size = 2048 if name == "healthy" else 20
        provider.add_span_processor(BatchSpanProcessor(exporter, size, 20, min(size, 512)))
        tracing = TornadoTracing(create_tracer(provider))
        applications[name] = servers.start(Application([("/", Plain)], opentracing_tracing=tracing))

    client = AsyncHTTPClient(force_instance=True)
    took: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(250):
        if number == 50:
            victim.stop(signal.SIGKILL)
        for name, url in applications.items():
            began = time.perf_counter()
            response = await client.fetch(url)
            took[name].append(time.perf_counter() - began)
            assert response.body == b"ok"
    await asyncio.gather(*(asyncio.to_thread(provider.shutdown) for provider in providers.values()))
    await until(lambda: len(arrived) == 250)
    client.close()
    silent.close()
    medians = {name: statistics.median(times) for name, times in took.items()}
    assert max(medians.values()) < 2 * medians["healthy"], medians
    assert max(map(max, took.values())) < 1, took
