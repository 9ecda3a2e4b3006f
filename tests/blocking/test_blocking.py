# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What blocks the event loop is written onto the span that is active then, with the stack of that moment."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Recorder, Servers
from support.serving import until
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.template import DictLoader
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_tracing, remove_tracing
from tornado_opentracing._settings import blocking
from tornado_opentracing.viewer import RecordingTracer

AFTER = 0.05
LONG = 0.4
EVENT = "loop blocked"


class InHandler(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        time.sleep(LONG)


class InTemplate(RequestHandler):
    def get(self) -> None:
        self.render("slow.html", wait=lambda: time.sleep(LONG))


class InC(RequestHandler):
    """What holds the interpreter, too, so that nobody can look meanwhile."""

    text = "[" + "[]," * 2_000_000 + "0]"

    def get(self) -> None:
        json.loads(self.text)


class InThread(RequestHandler):
    async def get(self) -> None:
        await IOLoop.current().run_in_executor(None, time.sleep, LONG)


class Often(RequestHandler):
    """Many short steps, one after the other."""

    async def get(self) -> None:
        end = time.monotonic() + LONG
        while time.monotonic() < end:
            await asyncio.sleep(0)


class Later(RequestHandler):
    """Blocks in a callback, which has no span."""

    def get(self) -> None:
        threading.Timer(0, IOLoop.current().asyncio_loop.call_soon_threadsafe, [time.sleep, LONG]).start()  # type: ignore[attr-defined]


HANDLERS = [InHandler, InTemplate, InC, InThread, Often, Later]


def serve(servers: Servers, **settings: Any) -> str:
    loader = DictLoader({"slow.html": "{{ wait() }}"})
    return servers.start(
        Application([(f"/{kind.__name__}", kind) for kind in HANDLERS], template_loader=loader, **settings)
    )


def blocks(spans: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (span.operation_name, log.key_values) for span in spans for log in span.logs if log.key_values["event"] == EVENT
    ]


def recorded(tracer: RecordingTracer) -> list[Any]:
    return [span for trace in tracer.traces() for span in trace.spans]


@pytest.mark.parametrize(
    ("kind", "span", "line"),
    [
        (InHandler, "InHandler", "time.sleep(LONG)"),
        (InTemplate, "slow.html", "time.sleep(LONG)"),
        (InC, "InC", "json.loads(self.text)"),
        (Later, "loop blocked", ""),
    ],
)
async def test_what_blocks_is_on_the_span_that_was_active_there(
    servers: Servers, client: AsyncHTTPClient, kind: type, span: str, line: str
) -> None:
    tracer = RecordingTracer()
    init_tracing(tracer, trace_client=False, trace_templates=True, blocked_after=AFTER)
    url = serve(servers)
    await client.fetch(f"{url}/{kind.__name__}")
    await until(lambda: blocks(recorded(tracer)))
    remove_tracing()  # and have what is noted to its end
    ((name, log),) = blocks(recorded(tracer))
    assert span in name
    assert line in log["stack"]
    assert "_run_once" not in log["stack"]
    assert AFTER <= log["duration"] < 20


@pytest.mark.parametrize("kind", [InThread, Often])
async def test_what_does_not_block_is_not_noted(servers: Servers, client: AsyncHTTPClient, kind: type) -> None:
    tracer = RecordingTracer()
    init_tracing(tracer, trace_client=False, blocked_after=LONG / 2)
    await client.fetch(f"{serve(servers)}/{kind.__name__}")
    assert not blocks(recorded(tracer))


async def test_how_long_it_was_is_corrected_when_it_is_over(servers: Servers, client: AsyncHTTPClient) -> None:
    """With OpenTracing's own tracer as well; and by an Application's setting alone."""
    tracer = MockTracer(ContextVarsScopeManager())
    init_tracing(tracer, trace_client=False)
    await client.fetch(f"{serve(servers, opentracing_blocked_after=AFTER)}/InHandler")
    await until(lambda: any(log["duration"] > LONG - AFTER for _, log in blocks(tracer.finished_spans())))


async def test_the_requests_that_waited_meanwhile_say_so(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """With any tracer; and they alone, once the loop is free nobody waits."""
    init_tracing(each_recorder.tracer, trace_client=False, blocked_after=AFTER)
    url = serve(servers)
    waiting = client.fetch(f"{url}/InThread")
    await until(lambda: each_recorder.unfinished)
    await client.fetch(f"{url}/InHandler")
    await waiting
    await client.fetch(f"{url}/Often")
    await until(lambda: not each_recorder.unfinished)
    logs = {span.name: [log for log in span.logs if "blocked by" in log] for span in each_recorder.finished}
    ((log,), others) = logs.pop("InThread"), list(logs.values())
    assert not any(others)
    assert str(log["blocked by"]).endswith("InHandler")
    assert int(log["blocked by trace"], 16) > 0
    assert AFTER <= log["duration"] < 20


async def test_how_long_a_request_waited_is_corrected_when_it_is_over(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = RecordingTracer()
    init_tracing(tracer, trace_client=False, blocked_after=AFTER)
    url = serve(servers)
    waiting = client.fetch(f"{url}/InThread")
    await until(tracer.traces)
    await client.fetch(f"{url}/InHandler")
    await waiting
    (span,) = [span for span in recorded(tracer) if span.operation_name == "InThread"]
    (log,) = span.logs
    await until(lambda: log.key_values["duration"] > LONG - 2 * AFTER)
    assert log.key_values["duration"] <= log.timestamp - span.start_time


async def test_several_loops_are_watched(servers: Servers) -> None:
    tracer = MockTracer(ContextVarsScopeManager())
    init_tracing(tracer, blocked_after=AFTER)

    async def block() -> None:
        with tracer.start_active_span("in another thread"):
            time.sleep(LONG)

    await asyncio.get_running_loop().run_in_executor(None, asyncio.run, block())
    assert [name for name, _ in blocks(tracer.finished_spans())] == ["in another thread"]


def test_nobody_watches_unless_asked_to_nor_after_tracing_is_removed() -> None:
    def is_watched() -> bool:
        return any(thread.name == "tornado_opentracing.blocking" for thread in threading.enumerate())

    init_tracing(RecordingTracer())
    assert not is_watched()
    init_tracing(RecordingTracer(), blocked_after=1)
    assert is_watched()
    remove_tracing()
    assert not is_watched()


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "1", True])
def test_what_is_no_time_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="blocked_after"):
        init_tracing(RecordingTracer(), blocked_after=wrong)


def test_a_loop_that_cannot_be_seen_is_told_of(reports: list[logging.LogRecord]) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def start() -> None:
        init_tracing(RecordingTracer(), blocked_after=1)

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    run: Callable[..., Any] = loop.run_until_complete
    try:
        run(start())
    finally:
        loop.close()
        blocking._told_of.clear()
    assert "is not seen" in reports[0].getMessage()
