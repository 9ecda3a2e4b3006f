# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a request sets going and nobody ends: the ticks of a ``PeriodicCallback`` are not in the request's trace."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import RECORDERS, MockRecorder, Recorder, Servers, active_id, only
from support.outcomes import UnhandledError
from support.serving import settled, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import PeriodicCallback
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing, remove_tracing


class Behind(RequestHandler):
    def get(self) -> None:
        self.write("behind")


class Ticks:
    """A ``PeriodicCallback`` that a request starts, and what its ticks saw."""

    def __init__(self, tracer: Any, callback: Callable[[], Any] | None = None) -> None:
        self.tracer = tracer
        self.active: list[int | None] = []
        self.callback = callback
        self.periodic = PeriodicCallback(self.tick, 1)

    def tick(self) -> Any:
        self.active.append(active_id(self.tracer))
        return None if self.callback is None else self.callback()

    async def ticked(self, count: int = 3) -> None:
        await until(lambda: len(self.active) >= count)
        self.periodic.stop()


class Starts(RequestHandler):
    def initialize(self, ticks: Ticks) -> None:
        self.ticks = ticks

    def get(self) -> None:
        self.ticks.periodic.start()


@pytest.fixture
def asking(servers: Servers, client: AsyncHTTPClient) -> Callable[..., Any]:
    """Make a request that starts the ticks; wait for some."""

    async def ask(ticks: Ticks, path: str = "/", count: int = 3, **settings: Any) -> None:
        url = servers.start(Application([("/.*", Starts, {"ticks": ticks})], **settings))
        await client.fetch(url + path)
        await ticks.ticked(count)

    return ask


async def test_a_tick_has_nothing_active(each_recorder: Recorder, asking: Any) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    ticks = Ticks(each_recorder.tracer)
    await asking(ticks)
    assert set(ticks.active) == {None}


async def test_a_tick_has_nothing_active_that_the_tick_before_left_so(recorder: Recorder, asking: Any) -> None:
    scopes: list[Any] = []

    async def leave() -> None:
        scopes.append(recorder.tracer.start_active_span("left"))

    init_tracing(recorder.tracer, trace_client=False)
    ticks = Ticks(recorder.tracer, leave)
    await asking(ticks)
    assert set(ticks.active) == {None}


async def test_a_fetch_of_a_tick_is_a_root(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient, asking: Any
) -> None:
    behind = servers.start(Application([("/", Behind)], opentracing_trace_all=False))
    init_tracing(each_recorder.tracer)
    ticks = Ticks(each_recorder.tracer, lambda: client.fetch(behind))
    await asking(ticks)
    spans = await settled(each_recorder, 4)
    roots = [span for span in spans if span.kind == "client" and span.path == "/" and span.parent_id is None]
    assert len(roots) >= 3
    assert len({span.trace_id for span in roots}) == len(roots)


async def test_a_tick_inherits_the_request_where_that_is_asked_for(each_recorder: Recorder, asking: Any) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    ticks = Ticks(each_recorder.tracer)
    await asking(ticks, opentracing_background="inherit")
    request = only(await settled(each_recorder), kind="server")
    assert set(ticks.active) == {request.span_id}


@pytest.mark.parametrize("kind", ["plain", "coroutine", "gen.coroutine"])
async def test_a_tick_that_starts_a_span_has_a_root_that_follows_from_the_request(
    kind: str, each_recorder: Recorder, asking: Any
) -> None:
    tracer = each_recorder.tracer

    def work() -> None:
        with tracer.start_active_span("work"):
            pass
        with tracer.start_active_span("more"):
            pass

    async def coroutine() -> None:
        await asyncio.sleep(0)
        work()

    @gen.coroutine
    def old_coroutine() -> Any:
        yield gen.moment
        work()

    callbacks: dict[str, Any] = {"plain": work, "coroutine": coroutine, "gen.coroutine": old_coroutine}
    init_tracing(tracer, trace_client=False, background="link")
    await asking(Ticks(tracer, callbacks[kind]))
    spans = await settled(each_recorder, 10)
    request = only(spans, kind="server")
    roots = [span for span in spans if span.name.startswith("PeriodicCallback ")]
    assert len(roots) >= 3
    for root in roots:
        assert (root.parent_id, root.tags["component"]) == (None, "tornado")
        assert root.trace_id != request.trace_id
        inside = [span for span in spans if span.parent_id == root.span_id]
        assert sorted(span.name for span in inside) == ["more", "work"]
        assert {span.trace_id for span in inside} == {root.trace_id}


async def test_what_a_tick_links_to_is_said(asking: Any) -> None:
    recorder = MockRecorder()
    init_tracing(recorder.tracer, trace_client=False, background="link")
    await asking(Ticks(recorder.tracer, lambda: recorder.tracer.start_span("work").finish()))
    request = only(await settled(recorder, 5), kind="server")
    root = next(span for span in recorder.finished if span.name.startswith("PeriodicCallback "))
    assert f"{request.trace_id:x}" in root.tags["follows_from"]


# OpenTelemetry's shim asks a span who it is as soon as it is made active.
@pytest.mark.parametrize("stack", ["ours", "opentracing", "bridge"])
async def test_a_tick_that_starts_no_span_has_none(stack: str, asking: Any) -> None:
    recorder = RECORDERS[stack]()
    init_tracing(recorder.tracer, trace_client=False, background="link")
    periodic = Ticks(recorder.tracer)
    periodic.periodic.callback = lambda: periodic.active.append(0)
    await asking(periodic)
    assert [span.kind for span in await settled(recorder)] == ["server"]


async def test_what_a_tick_leaves_behind_does_not_keep_its_root_open(recorder: Recorder, asking: Any) -> None:
    tasks: list[Any] = []

    async def later() -> None:
        await asyncio.sleep(0.005)
        recorder.tracer.start_span("late").finish()

    init_tracing(recorder.tracer, trace_client=False, background="link")
    await asking(Ticks(recorder.tracer, lambda: tasks.append(asyncio.ensure_future(later()))))
    await asyncio.gather(*tasks)
    spans = await settled(recorder, 7)
    roots = {span.span_id for span in spans if span.name.startswith("PeriodicCallback ")}
    assert {span.parent_id for span in spans if span.name == "late"} <= roots


async def test_a_tick_started_by_an_excluded_request_is_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, asking: Any
) -> None:
    behind = servers.start(Application([("/", Behind)], opentracing_trace_all=False))
    init_tracing(recorder.tracer, excluded_paths=["/health"])
    await asking(Ticks(recorder.tracer, lambda: client.fetch(behind)), "/health")
    assert len([span for span in await settled(recorder, 3) if span.path == "/"]) >= 3


async def test_a_tick_counts_to_the_application_that_started_it(
    servers: Servers, client: AsyncHTTPClient, asking: Any
) -> None:
    mine, theirs = MockRecorder(), MockRecorder()
    behind = servers.start(Application([("/", Behind)], opentracing_trace_all=False))
    init_tracing(theirs.tracer)
    ticks = Ticks(mine.tracer, lambda: client.fetch(behind))
    await asking(ticks, opentracing_tracing=TornadoTracing(mine.tracer))
    assert [span for span in await settled(mine, 4) if span.kind == "client"]
    assert [span.kind for span in theirs.finished] == ["client"]  # the test's own


async def test_a_tick_that_raises_is_logged_by_tornado_and_goes_on(
    recorder: Recorder, asking: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        recorder.tracer.start_span("before").finish()
        raise UnhandledError

    init_tracing(recorder.tracer, trace_client=False, background="link")
    await asking(Ticks(recorder.tracer, fail))
    await settled(recorder, 4)
    assert [record for record in caplog.records if record.name == "tornado.application"]


@pytest.fixture
def running() -> Iterator[list[PeriodicCallback]]:
    found: list[PeriodicCallback] = []
    yield found
    for each in found:
        each.stop()


@pytest.mark.parametrize("background", ["detached", "inherit", "link"])
async def test_ticks_go_on_when_tracing_is_removed(
    background: Any, recorder: Recorder, running: list[PeriodicCallback]
) -> None:
    init_tracing(recorder.tracer, background=background)
    ticks = Ticks(recorder.tracer)
    running.append(ticks.periodic)
    with recorder.tracer.start_active_span("request"):
        ticks.periodic.start()
    await until(lambda: ticks.active)
    remove_tracing()
    seen = len(ticks.active)
    await until(lambda: len(ticks.active) > seen + 2)


def test_a_tick_is_what_tornado_makes_it() -> None:
    before = [inspect.iscoroutinefunction(vars(PeriodicCallback)[name]) for name in ("start", "_run")]
    init_tracing(MockRecorder().tracer)
    assert [inspect.iscoroutinefunction(vars(PeriodicCallback)[name]) for name in ("start", "_run")] == before


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="background must be"):
        init_tracing(MockRecorder().tracer, background="elsewhere")  # type: ignore[arg-type]
