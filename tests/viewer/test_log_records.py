# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Records of logging are shown on the span under which they are emitted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support import Servers
from support.serving import until
from viewer.serving import get, serve, spans

from tornado_opentracing.viewer import RecordingTracer

logger = logging.getLogger("shop")


@pytest.fixture
def showing() -> Iterator[RecordingTracer]:
    tracer = RecordingTracer(log_records=True)
    yield tracer
    tracer.close()


def messages(span: Any) -> list[str]:
    return [log.key_values["message"] for log in span.logs]


def test_a_record_is_on_the_span_that_is_active_at_its_time(showing: RecordingTracer) -> None:
    logger.warning("outside")
    with showing.start_active_span("outer") as outer:
        logger.warning("in %s", "outer")
        with showing.start_active_span("inner") as inner:
            try:
                raise KeyError("token=secret")
            except KeyError:
                logger.exception("password=secret")
        logger.warning("again")
    assert (messages(outer.span), messages(inner.span)) == (["in outer", "again"], ["password=REDACTED"])
    span: Any = inner.span
    log = span.logs[0]
    assert (log.key_values["event"], log.key_values["level"], log.key_values["logger"]) == ("log", "ERROR", "shop")
    assert log.key_values["source"].partition(":")[0] == __file__
    assert "KeyError" in log.key_values["stack"]
    assert "secret'" not in str(log.key_values)
    assert span.start_time <= log.timestamp <= span.finish_time
    assert not showing.traces()[0].errors


def test_so_many_are_shown_that_the_spans_own_logs_have_room(showing: RecordingTracer) -> None:
    with showing.start_active_span("work") as scope:
        span: Any = scope.span
        for number in range(1000):
            logger.warning("x" * 5000 + str(number))
        span.log_kv({"event": "own"})
    assert span.logs[-1].key_values == {"event": "own"}
    assert 10 < len(span.logs) <= 51
    assert span.dropped == 1001 - len(span.logs)
    assert len(span.logs[0].key_values["message"]) < 3000


async def test_concurrent_requests_have_their_own(servers: Servers, showing: RecordingTracer, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    url = serve(servers, showing)
    await asyncio.gather(*(get(f"{url}/?{number}") for number in range(5)))
    await until(lambda: sum(len(span.logs) for span in spans(showing)) == 5)
    for span in spans(showing):
        assert span.tags["http.url"] in messages(span)[0]  # in Tornado's own line of the access log


def test_a_record_that_cannot_be_shown_harms_nobody(showing: RecordingTracer, reports: list[Any]) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no text")

    record = logger.makeRecord("shop", logging.WARNING, __file__, 1, "%s", (Broken(),), None)
    with showing.start_active_span("work") as scope:
        assert showing._log_records is not None
        showing._log_records.emit(record)
    span: Any = scope.span
    assert [log.key_values["logger"] for log in span.logs] == [report.name for report in reports]  # that it failed


def test_without_being_asked_none_is_shown(tracer: RecordingTracer) -> None:
    before = logging.getLogger().handlers[:]
    with tracer.start_active_span("work") as scope:
        logger.warning("unseen")
    span: Any = scope.span
    assert (span.logs, logging.getLogger().handlers) == ([], before)


def test_whether_a_record_reaches_the_root_logger_decides_and_no_handler_of_it(showing: RecordingTracer) -> None:
    root, apart = logging.getLogger(), logging.getLogger("apart.below")
    logging.getLogger("apart").propagate = False
    before = root.handlers[:]
    try:
        root.handlers[:] = []  # as dictConfig does
        with showing.start_active_span("work") as scope:
            logger.warning("shown")
            apart.warning("unseen")
            root.warning("of the root")
    finally:
        root.handlers[:] = before
        logging.getLogger("apart").propagate = True
    assert messages(scope.span) == ["shown", "of the root"]


def test_what_is_closed_shows_none_and_leaves_loggers_as_they_were() -> None:
    before = logging.Logger.callHandlers
    first, second = RecordingTracer(log_records=True), RecordingTracer(log_records=True)
    first.close()
    with first.start_active_span("work") as unseen:
        logger.warning("to none")
    with second.start_active_span("work") as scope:
        logger.warning("once")
    second.close()
    second.close()
    assert (messages(unseen.span), messages(scope.span)) == ([], ["once"])
    assert logging.Logger.callHandlers is before
