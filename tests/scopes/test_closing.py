# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Scopes may be closed anywhere: in another task, thread or context, late, or twice; spans are finished once."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentracing import Scope
from support import children, only

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope

if TYPE_CHECKING:
    from support import Recorder

from support.scopes import ELSEWHERE, Close, CountingSpan


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_scope_closed_elsewhere_is_finished_once_and_no_longer_active_in_its_opener(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    outer, span = CountingSpan("outer"), CountingSpan()
    with manager.activate(outer, True) as outer_scope:
        scope = manager.activate(span, True)
        await elsewhere(scope.close)
        assert span.finishes == 1
        assert manager.active is outer_scope
        scope.close()
        await elsewhere(scope.close)
        assert span.finishes == 1
        assert manager.active is outer_scope
    assert outer.finishes == 1
    assert manager.active is None


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_scopes_closed_elsewhere_are_no_longer_active_in_a_task_that_inherited_them(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    closed = asyncio.Event()

    async def inherits() -> None:
        await asyncio.wait_for(closed.wait(), 10)
        assert manager.active is outer_scope

    with manager.activate(CountingSpan("outer"), True) as outer_scope:
        scopes = [manager.activate(CountingSpan(), True) for _ in range(3)]
        task = asyncio.create_task(inherits())
        for scope in reversed(scopes):
            await elsewhere(scope.close)
        closed.set()
        await task


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_what_follows_a_scope_closed_elsewhere_has_the_scope_below_as_parent(
    elsewhere: Callable[[Close], Awaitable[None]], recorder: Recorder
) -> None:
    tracer = recorder.tracer
    with tracer.start_active_span("outer"):
        await elsewhere(tracer.start_active_span("closed elsewhere").close)
        with tracer.start_active_span("next"):
            pass
    names = [span.name for span in children(recorder.finished, only(recorder.finished, name="outer"))]
    assert names == ["closed elsewhere", "next"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_tasks_that_follow_a_scope_closed_elsewhere_have_the_scope_below_as_parent(
    elsewhere: Callable[[Close], Awaitable[None]], recorder: Recorder
) -> None:
    """Also where its opener did nothing in between by which to notice that it is closed."""
    tracer = recorder.tracer

    async def work() -> None:
        tracer.start_span("work").finish()

    with tracer.start_active_span("outer"):
        await elsewhere(tracer.start_active_span("closed elsewhere").close)
        await asyncio.gather(work(), work())

        await elsewhere(tracer.start_active_span("closed elsewhere").close)
        task = asyncio.create_task(work())
        tracer.start_span("own").finish()
        await task
    names = [span.name for span in children(recorder.finished, only(recorder.finished, name="outer"))]
    assert names == ["closed elsewhere", "work", "work", "closed elsewhere", "own", "work"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_scope_below_that_is_closed_elsewhere_is_finished_and_skipped_later(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    outer, below, above = CountingSpan("outer"), CountingSpan("below"), CountingSpan("above")
    with manager.activate(outer, True) as outer_scope:
        below_scope = manager.activate(below, True)
        with manager.activate(above, True) as above_scope:
            await elsewhere(below_scope.close)
            assert manager.active is above_scope
            assert above.finishes == 0
        assert (above.finishes, below.finishes, outer.finishes) == (1, 1, 0)
        assert manager.active is outer_scope


async def test_a_task_may_close_the_scope_it_inherited(recorder: Recorder) -> None:
    """What it starts then has the scope below as its parent, like what its opener starts."""
    tracer = recorder.tracer

    async def task(scope: Scope) -> None:
        scope.close()
        tracer.start_span("in the task").finish()

    with tracer.start_active_span("outer"):
        await asyncio.create_task(task(tracer.start_active_span("inherited")))
        tracer.start_span("in the opener").finish()
    names = [span.name for span in children(recorder.finished, only(recorder.finished, name="outer"))]
    assert names == ["inherited", "in the task", "in the opener"]


async def test_a_scope_opened_in_a_callback_can_be_closed_in_the_next_one(recorder: Recorder) -> None:
    """Code that knows no tasks: each callback runs in a context of its own."""
    tracer = recorder.tracer
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def started() -> None:
        loop.call_soon(ended, tracer.start_active_span("work"))

    def ended(scope: Scope) -> None:
        tracer.start_span("part of it").finish()
        scope.close()
        tracer.start_span("after it").finish()
        done.set()

    with tracer.start_active_span("root"):
        loop.call_soon(started)
        await asyncio.wait_for(done.wait(), 10)
    spans = recorder.finished
    assert [span.name for span in children(spans, only(spans, name="root"))] == ["work", "after it"]
    assert [span.name for span in children(spans, only(spans, name="work"))] == ["part of it"]


def test_closing_twice_finishes_once(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan()
    with manager.activate(CountingSpan("outer"), True) as outer:
        scope = manager.activate(span, True)
        for _ in range(3):
            scope.close()
            assert span.finishes == 1
            assert manager.active is outer


def test_closing_within_the_spans_own_finish_finishes_once(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan(on_finish=lambda _: scope.close())
    scope = manager.activate(span, True)
    scope.close()
    assert span.finishes == 1


def test_a_second_thread_that_closes_while_the_first_is_finishing_does_not_finish_again(
    manager: ContextVarsScopeManager,
) -> None:
    finishing, closed_again = threading.Event(), threading.Event()

    def on_finish(_: str) -> None:
        finishing.set()
        assert closed_again.wait(10)

    span = CountingSpan(on_finish=on_finish)
    scope = manager.activate(span, True)
    first = threading.Thread(target=scope.close)
    first.start()
    assert finishing.wait(10)
    scope.close()
    closed_again.set()
    first.join(10)
    assert span.finishes == 1
    assert manager.active is None


def test_many_threads_that_close_at_once_finish_once(manager: ContextVarsScopeManager) -> None:
    count, rounds = 4, 50
    met = threading.Barrier(count + 1)
    scopes: list[Scope] = []
    failures: list[BaseException] = []

    def close_all() -> None:
        try:
            for number in range(rounds):
                met.wait(10)
                scopes[number].close()
        except BaseException as error:
            failures.append(error)
            met.abort()

    threads = [threading.Thread(target=close_all) for _ in range(count)]
    for thread in threads:
        thread.start()
    spans = [CountingSpan() for _ in range(rounds)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for span in spans:
            scopes.append(manager.activate(span, True))
            met.wait(10)
            scopes[-1].close()
    finally:
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(10)
    assert not failures
    assert [span.finishes for span in spans] == [1] * rounds
    assert manager.active is None


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_scope_that_does_not_own_its_span_never_finishes_it(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    span = CountingSpan()
    manager.activate(span, False).close()
    await elsewhere(manager.activate(span, False).close)
    assert span.finishes == 0
    assert manager.active is None


def test_one_span_may_have_several_scopes(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan()
    with manager.activate(span, True) as outer:
        with manager.activate(span, False) as inner:
            assert manager.active is inner
        assert manager.active is outer
        assert span.finishes == 0
    assert span.finishes == 1


# Generators


async def test_a_generator_that_the_event_loop_closes_late_finishes_its_span_once(recorder: Recorder) -> None:
    """Breaking out of ``async for``: the event loop closes the generator later, in a task of its own."""
    tracer = recorder.tracer
    closed = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            with tracer.start_active_span("generator"):
                yield 1
                yield 2
        finally:
            closed.set()

    async def consumer() -> None:
        with tracer.start_active_span("consumer") as scope:
            async for _ in numbers():
                break
            await asyncio.wait_for(closed.wait(), 10)
            assert tracer.scope_manager.active is scope
            tracer.start_span("next").finish()
        assert tracer.scope_manager.active is None

    await asyncio.create_task(consumer())
    names = [span.name for span in children(recorder.finished, only(recorder.finished, name="consumer"))]
    assert names == ["generator", "next"]


async def test_a_generator_that_is_closed_late_beneath_an_open_scope_leaves_that_active(recorder: Recorder) -> None:
    tracer = recorder.tracer
    closed = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            with tracer.start_active_span("generator"):
                yield 1
        finally:
            closed.set()

    with tracer.start_active_span("consumer") as consumer:
        async for _ in numbers():
            break
        with tracer.start_active_span("next") as scope:
            await asyncio.wait_for(closed.wait(), 10)
            assert tracer.scope_manager.active is scope
        assert tracer.scope_manager.active is consumer
    assert sorted(span.name for span in recorder.finished) == ["consumer", "generator", "next"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_plain_generator_closed_elsewhere_finishes_its_span_once(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    span = CountingSpan()

    def numbers() -> Generator[int, None, None]:
        with manager.activate(span, True):
            yield 1

    with manager.activate(CountingSpan("consumer"), True) as scope:
        generator = numbers()
        next(generator)
        await elsewhere(generator.close)
        assert span.finishes == 1
        assert manager.active is scope


async def test_an_async_generator_may_be_driven_by_several_tasks(recorder: Recorder) -> None:
    """Each step runs in the context of the task that asks for it; the scope is closed in the last one's."""
    tracer = recorder.tracer

    async def numbers() -> AsyncIterator[int]:
        with tracer.start_active_span("generator"):
            yield 1
            yield 2

    async def next_of(numbers: AsyncIterator[int]) -> int | None:
        return await anext(numbers, None)

    generator = numbers()
    with tracer.start_active_span("consumer") as scope:
        assert [await asyncio.create_task(next_of(generator)) for _ in range(3)] == [1, 2, None]
        assert tracer.scope_manager.active is scope
    assert [span.name for span in recorder.finished] == ["generator", "consumer"]


# Anything else


class Model:
    """Contexts, and in each the scopes that were opened in it, lowest first; no code of the package's."""

    def __init__(self) -> None:
        self.manager = ContextVarsScopeManager()
        self.contexts = [contextvars.Context()]
        self.opened: list[list[int]] = [[]]
        self.inherits = [False]
        self.scopes: list[Scope] = []
        self.spans: list[CountingSpan] = []
        self.closed: dict[int, list[int]] = {}  # and which it has to wait for

    def open(self, context: int) -> None:
        self.spans.append(CountingSpan(str(len(self.spans))))
        self.opened[context].append(len(self.scopes))
        self.scopes.append(self.contexts[context].run(self.manager.activate, self.spans[-1], True))

    def close(self, context: int, scope: int) -> None:
        self.contexts[context].run(self.scopes[scope].close)
        opened = self.opened[context]
        above = opened[opened.index(scope) + 1 :] if scope in opened else []
        self.closed.setdefault(scope, self.still_open(above))

    def branch(self, context: int) -> None:
        """Start a task."""
        self.inherits.append(self.inherits[context] or not all(self.spans[n].finishes for n in self.opened[context]))
        self.contexts.append(self.contexts[context].copy())
        self.opened.append([])

    def cut(self, context: int) -> None:
        """Start a task within ``no_parent_scope``."""

        def start() -> contextvars.Context:
            with no_parent_scope():
                return contextvars.copy_context()

        self.inherits.append(False)
        self.contexts.append(self.contexts[context].run(start))
        self.opened.append([])

    def still_open(self, scopes: Iterable[int]) -> list[int]:
        return [scope for scope in scopes if scope not in self.closed]

    def check(self) -> None:
        for number, span in enumerate(self.spans):
            may_be_finished = number in self.closed and not self.still_open(self.closed[number])
            assert span.finishes <= may_be_finished, f"{span} finished too often or too early"
        for context, opened in enumerate(self.opened):
            active = self.contexts[context].run(lambda: self.manager.active)
            if self.still_open(opened):
                assert active is self.scopes[self.still_open(opened)[-1]]
            elif active is not None:
                assert self.inherits[context]
                assert active.span not in [self.spans[number] for number in opened]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_whatever_is_opened_and_closed_wherever_every_span_is_finished_exactly_once(data: st.DataObject) -> None:
    """Any number of contexts that open, close each other's and branch: no exception, no loss, the right one active."""
    model = Model()
    for _ in range(data.draw(st.integers(1, 25), "steps")):
        context = data.draw(st.integers(0, len(model.contexts) - 1), "context")
        match data.draw(st.sampled_from(["open", "open", "close", "close", "branch", "cut"]), "step"):
            case "open":
                model.open(context)
            case "close" if model.scopes:
                model.close(context, data.draw(st.integers(0, len(model.scopes) - 1), "scope"))
            case "branch":
                model.branch(context)
            case "cut":
                model.cut(context)
        if data.draw(st.booleans(), "check"):  # looking changes what is there
            model.check()
    for scope in data.draw(st.permutations(model.still_open(range(len(model.scopes)))), "closing order"):
        model.close(data.draw(st.integers(0, len(model.contexts) - 1), "context"), scope)
    model.check()
    assert [span.finishes for span in model.spans] == [1] * len(model.spans)
