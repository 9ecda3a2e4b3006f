# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``TraceIdFilter``: every record says which trace it belongs to, whatever the tracer."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import queue
from collections.abc import Iterator
from typing import Any

import opentracing
import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.shim.opentracing_shim import create_tracer as create_shim
from opentracing.mocktracer import MockTracer
from support import Recorder, Servers, only
from support.serving import ask, settled
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, TraceIdFilter, init_tracing
from tornado_opentracing.opentelemetry import create_tracer
from tornado_opentracing.viewer import RecordingTracer

NONE = ("0" * 32, "0" * 16)
log = logging.getLogger("shop")


class Lines(logging.Handler):
    """Keeps what comes through the filter."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[Any] = []
        self.filter_ = TraceIdFilter()
        self.addFilter(self.filter_)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def ids(self) -> list[tuple[str, str]]:
        return [(record.trace_id, record.span_id) for record in self.records]


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    loggers = [log, logging.getLogger("tornado.access"), logging.getLogger("tornado.general")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield handler
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


class Logs(RequestHandler):
    def initialize(self) -> None:
        log.info("initialize")

    def prepare(self) -> None:
        log.info("prepare")

    async def get(self) -> None:
        await asyncio.gather(self.later(), self.later())

    async def later(self) -> None:
        await asyncio.sleep(0)
        log.info("later")

    def on_finish(self) -> None:
        log.info("on_finish")


class Fails(RequestHandler):
    def get(self) -> None:
        raise HTTPError(400, log_message="no such thing")


async def test_every_line_of_a_request_has_the_ids_of_its_span_the_access_log_s_too(
    each_recorder: Recorder, servers: Servers, lines: Lines
) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", Logs)]))
    log.info("before")
    await ask(url, "/")
    span = only(await settled(each_recorder))
    log.info("after")
    ids = (f"{span.trace_id:032x}", f"{span.span_id:016x}")
    assert sorted(record.name for record in lines.records) == [*["shop"] * 7, "tornado.access"]
    assert lines.ids == [NONE, *[ids] * 6, NONE]


async def test_a_failing_request_s_lines_have_them_too(each_recorder: Recorder, servers: Servers, lines: Lines) -> None:
    init_tracing(each_recorder.tracer)
    await ask(servers.start(Application([("/", Fails)])), "/")
    span = only(await settled(each_recorder))
    assert len(lines.ids) == 2
    assert set(lines.ids) == {(f"{span.trace_id:032x}", f"{span.span_id:016x}")}


async def test_an_excluded_request_has_none(recorder: Recorder, servers: Servers, lines: Lines) -> None:
    init_tracing(recorder.tracer, excluded_paths=["/"])
    await ask(servers.start(Application([("/", Logs)])), "/")
    assert set(lines.ids) == {NONE}


async def test_each_application_s_own_tracer_counts(recorder: Recorder, servers: Servers, lines: Lines) -> None:
    init_tracing(MockTracer(ContextVarsScopeManager()))
    tracing = TornadoTracing(recorder.tracer)
    await ask(servers.start(Application([("/", Logs)], opentracing_tracing=tracing)), "/")
    span = only(await settled(recorder))
    assert set(lines.ids) == {(f"{span.trace_id:032x}", f"{span.span_id:016x}")}


def provider(**kwargs: Any) -> TracerProvider:
    return TracerProvider(resource=Resource({"service.name": "stock"}), shutdown_on_exit=False, **kwargs)


@pytest.mark.parametrize(
    ("make_tracer", "service"),
    [
        (lambda: MockTracer(ContextVarsScopeManager()), ""),
        (lambda: RecordingTracer(service="stock"), "stock"),
        (lambda: RecordingTracer().for_service("stock"), "stock"),
        (lambda: create_shim(provider()), "stock"),
        (lambda: create_tracer(provider()), "stock"),
        (lambda: create_tracer(provider(sampler=ALWAYS_OFF)), "stock"),
        (lambda: create_tracer(otel.NoOpTracerProvider()), ""),
        (opentracing.Tracer, ""),
    ],
    ids=["MockTracer", "viewer", "for_service", "shim", "bridge", "not sampled", "API alone", "no-op"],
)
def test_the_service_is_what_the_tracer_says_unless_it_is_given(make_tracer: Any, service: str, lines: Lines) -> None:
    init_tracing(make_tracer())
    log.info("a line")
    lines.removeFilter(lines.filter_)
    lines.addFilter(TraceIdFilter("mine"))
    log.info("a line")
    assert [record.service for record in lines.records] == [service, "mine"]


def test_a_span_that_is_not_sampled_has_its_ids_in_the_log(lines: Lines) -> None:
    tracer = create_tracer(provider(sampler=ALWAYS_OFF))
    init_tracing(tracer)
    with tracer.start_active_span("work") as scope:
        log.info("a line")
        context: Any = scope.span.context
    assert lines.ids == [
        (otel.format_trace_id(context.unwrap().trace_id), otel.format_span_id(context.unwrap().span_id))
    ]
    assert lines.ids != [NONE]


def test_a_span_opened_with_opentelemetry_s_own_api_counts(lines: Lines) -> None:
    own = provider()
    init_tracing(create_tracer(own))
    with own.get_tracer("app").start_as_current_span("work") as span:
        log.info("a line")
    context = span.get_span_context()
    assert lines.ids == [(otel.format_trace_id(context.trace_id), otel.format_span_id(context.span_id))]


@pytest.mark.parametrize("is_set", [True, False])
def test_without_tracing_the_global_tracer_counts(is_set: bool, lines: Lines) -> None:
    tracer = MockTracer(ContextVarsScopeManager())
    if is_set:
        opentracing.set_global_tracer(tracer)
    with tracer.start_active_span("work"):
        log.info("a line")
    assert lines.ids == [(f"{2:032x}", f"{1:016x}") if is_set else NONE]


@pytest.mark.parametrize(
    ("trace_id", "span_id", "expected"),
    [
        ("ABCDEF", "1f", (f"{0xABCDEF:032x}", f"{0x1F:016x}")),
        (None, None, NONE),
        (-1, -1, ("f" * 32, "f" * 16)),
        (1 << 128, 1 << 64, NONE),
    ],
    ids=["hexadecimal", "none", "signed", "too large"],
)
def test_the_ids_are_as_wide_as_they_are_to_be_whatever_the_tracer_has(
    trace_id: Any, span_id: Any, expected: tuple[str, str], lines: Lines
) -> None:
    tracer = MockTracer(ContextVarsScopeManager())
    init_tracing(tracer)
    with tracer.start_active_span("work") as scope:
        context: Any = scope.span.context
        context.trace_id, context.span_id = trace_id, span_id
        log.info("a line")
    assert lines.ids == [expected]


@pytest.mark.parametrize("broken", ["active_span", "context", "trace_id", "unwrap"])
async def test_a_tracer_that_fails_costs_the_ids_and_neither_the_line_nor_the_request(
    broken: str, servers: Servers, lines: Lines, reports: list[logging.LogRecord]
) -> None:
    class Broken(MockTracer):
        @property
        def active_span(self) -> Any:
            if broken == "active_span":
                raise RuntimeError("broken")
            return self

        @property
        def context(self) -> Any:
            if broken == "context":
                raise RuntimeError("broken")
            return self

        trace_id = "no number" if broken == "trace_id" else 7
        span_id = 8

        def __getattr__(self, name: str) -> Any:
            if name == "unwrap" and broken == "unwrap":
                raise RuntimeError("broken")
            raise AttributeError(name)

    # The report itself is logged, and comes by the filter too.
    logging.getLogger("tornado_opentracing").addHandler(lines)
    try:
        init_tracing(Broken(ContextVarsScopeManager()))
        status, _ = await ask(servers.start(Application([("/", Logs)])), "/")
    finally:
        logging.getLogger("tornado_opentracing").removeHandler(lines)
    assert status == 200
    assert sum(record.name != "tornado_opentracing" for record in lines.records) == 6
    assert set(lines.ids) == {NONE}
    assert {record.service for record in lines.records} == {""}
    assert reports


def test_a_record_that_was_made_elsewhere_keeps_what_it_was_given_there(recorder: Recorder, lines: Lines) -> None:
    """A queue's listener handles it in a thread of its own."""
    init_tracing(recorder.tracer)
    records: queue.Queue[Any] = queue.Queue()
    sending = logging.handlers.QueueHandler(records)
    sending.addFilter(TraceIdFilter("shop"))
    with recorder.tracer.start_active_span("work"):
        sending.handle(logging.makeLogRecord({"msg": "a line"}))
    with recorder.tracer.start_active_span("other work"):
        lines.handle(records.get_nowait())
    span = recorder.finished[0]
    assert lines.ids == [(f"{span.trace_id:032x}", f"{span.span_id:016x}")]
    assert lines.records[0].service == "shop"
