# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``no_parent_scope`` cuts what is started inside from what was active, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest
from opentracing import Scope
from support import RECORDERS, MockRecorder, active_id, only, span_id

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope

if TYPE_CHECKING:
    from support import Recorder

from support.scopes import ELSEWHERE, Close, CountingSpan


async def test_no_parent_scope_cuts_what_is_started_inside(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    parent_closed = asyncio.Event()

    async def worker() -> None:
        tracer.start_span("early").finish()
        await parent_closed.wait()
        with tracer.start_active_span("late") as scope:
            assert active_id(tracer) == span_id(scope.span)
        assert active_id(tracer) is None

    with tracer.start_active_span("request") as scope:
        with no_parent_scope():
            assert active_id(tracer) is None
            running = asyncio.create_task(worker())
            await asyncio.sleep(0)
        assert active_id(tracer) == span_id(scope.span)
    parent_closed.set()
    await running
    assert {span.name: span.parent_id for span in each_recorder.finished} == dict.fromkeys(["early", "request", "late"])


async def test_no_parent_scope_cuts_a_parent_that_is_gone(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    parent_closed = asyncio.Event()

    async def worker() -> None:
        await parent_closed.wait()
        with no_parent_scope():
            tracer.start_span("cut").finish()
        tracer.start_span("kept").finish()

    with tracer.start_active_span("parent"):
        running = asyncio.create_task(worker())
        await asyncio.sleep(0)
    parent_closed.set()
    await running
    spans = each_recorder.finished
    assert only(spans, name="cut").parent_id is None
    assert only(spans, name="kept").parent_id == only(spans, name="parent").span_id


def test_scopes_work_as_ever_within_no_parent_scope(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    with tracer.start_active_span("outer") as outer:
        with no_parent_scope():
            with tracer.start_active_span("inner") as inner:
                assert active_id(tracer) == span_id(inner.span)
                with no_parent_scope():
                    assert active_id(tracer) is None
                assert active_id(tracer) == span_id(inner.span)
            assert active_id(tracer) is None
        assert active_id(tracer) == span_id(outer.span)
        assert [span.name for span in each_recorder.finished] == ["inner"]


def test_an_exception_passes_no_parent_scope_and_ends_it(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    with tracer.start_active_span("outer") as outer:
        with pytest.raises(ArithmeticError), no_parent_scope():
            raise ArithmeticError
        assert active_id(tracer) == span_id(outer.span)


def test_no_parent_scope_is_for_all_managers_at_once() -> None:
    tracers = [recorder().tracer for recorder in (*RECORDERS.values(), MockRecorder)]
    with contextlib.ExitStack() as stack:
        scopes = [stack.enter_context(tracer.start_active_span("outer")) for tracer in tracers]
        with no_parent_scope():
            assert [active_id(tracer) for tracer in tracers] == [None] * len(tracers)
        assert [active_id(tracer) for tracer in tracers] == [span_id(scope.span) for scope in scopes]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_no_parent_scope_in_a_generator_may_be_closed_elsewhere(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody complains, and the consumer gets back what was active."""

    def numbers() -> Generator[int, None, None]:
        with no_parent_scope():
            yield 1

    async def consumer() -> None:
        with manager.activate(CountingSpan(), True) as scope:
            generator = numbers()
            next(generator)
            assert manager.active is None
            await elsewhere(generator.close)
            assert not caplog.records
            assert manager.active is scope

    await asyncio.create_task(consumer())


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_what_was_started_under_a_no_parent_scope_that_is_closed_elsewhere_has_no_parent(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    closed = asyncio.Event()

    def numbers() -> Generator[int, None, None]:
        with no_parent_scope():
            yield 1

    async def heir() -> None:
        await closed.wait()
        found = [manager.active]
        with manager.activate(CountingSpan(), True) as scope:
            found.append(manager.active)
        assert [*found, manager.active] == [None, scope, None]

    with manager.activate(CountingSpan(), True):
        generator = numbers()
        next(generator)
        task = asyncio.ensure_future(heir())
        await elsewhere(generator.close)
        closed.set()
        await task


async def test_a_task_may_end_the_no_parent_scope_that_it_inherited(manager: ContextVarsScopeManager) -> None:
    async def task(cut: contextlib.ExitStack, scope: Scope) -> None:
        assert manager.active is None
        cut.close()
        assert manager.active is scope

    with manager.activate(CountingSpan(), True) as scope, contextlib.ExitStack() as cut:
        cut.enter_context(no_parent_scope())
        await asyncio.create_task(task(cut, scope))


async def test_a_no_parent_scope_in_an_async_generator_may_be_closed_late_by_the_event_loop(
    manager: ContextVarsScopeManager,
) -> None:
    closed = asyncio.Event()
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))

    async def numbers() -> AsyncIterator[int]:
        try:
            with no_parent_scope():
                yield 1
        finally:
            closed.set()

    async def consumer() -> None:
        with manager.activate(CountingSpan(), True) as scope:
            async for _ in numbers():
                break
            await asyncio.wait_for(closed.wait(), 10)
            assert manager.active is scope

    await asyncio.create_task(consumer())
    assert not raised
