# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Scopes closed in any order, left by generators, or with a span that fails: nothing waits too long or piles up."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from opentracing import Span
from support import active_id, span_id
from support.scopes import ELSEWHERE, Close, CountingSpan, in_a_copied_context
from tornado import gen
from tornado.web import Finish

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable

    from opentracing import Scope
    from support import Recorder


class TimedSpan(CountingSpan):
    """Knows the time that its tracer was told to finish it at."""

    finish_time: float | None = None

    def finish(self, finish_time: float | None = None) -> None:
        super().finish()
        self.finish_time = finish_time


# How much work it is


def calls_to_close(manager: ContextVarsScopeManager, count: int, order: Callable[[int], list[int]]) -> int:
    """Lines of Python and calls of C that are run."""
    scopes = [manager.activate(CountingSpan(), True) for _ in range(count)]
    steps = itertools.count()

    def trace(frame: Any, event: str, arg: object) -> Any:
        next(steps)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for number in order(count):
            scopes[number].close()
    finally:
        sys.settrace(before)
    assert manager.active is None
    return next(steps)


def alternately(count: int) -> list[int]:
    """From both ends."""
    return [position // 2 if position % 2 else -1 - position // 2 for position in range(count)]


def the_lower_half_first(count: int) -> list[int]:
    return [*range(count // 2), *reversed(range(count // 2, count))]


def every_second_first(count: int) -> list[int]:
    return [*range(0, count, 2), *range(1, count, 2)]


@pytest.mark.parametrize(
    "order",
    [
        lambda count: list(range(count)),
        lambda count: list(reversed(range(count))),
        alternately,
        the_lower_half_first,
        every_second_first,
    ],
)
def test_to_close_scopes_in_any_order_is_as_much_work_as_there_are_scopes(
    order: Callable[[int], list[int]], manager: ContextVarsScopeManager
) -> None:
    few, many = (contextvars.Context().run(calls_to_close, manager, count, order) for count in (200, 800))
    assert many < few * 5


# When a span is finished


def test_in_a_sliding_window_of_two_scopes_each_span_is_finished_when_the_next_scope_is_closed(
    manager: ContextVarsScopeManager,
) -> None:
    """Those above it when it was closed: what is opened later does not keep it waiting."""
    spans = [CountingSpan() for _ in range(2_000)]
    lower = manager.activate(spans[0], True)
    for number, span in enumerate(spans[1:]):
        upper = manager.activate(span, True)
        lower.close()
        assert (number == 0) or spans[number - 1].finishes == 1
        assert spans[number].finishes == 0
        assert manager.active is upper
        lower = upper
    lower.close()
    assert [span.finishes for span in spans] == [1] * len(spans)
    assert manager.active is None


def test_a_span_that_waited_is_finished_with_the_time_at_which_its_scope_was_closed(
    manager: ContextVarsScopeManager,
) -> None:
    lower, upper = TimedSpan(), TimedSpan()
    lower_scope, upper_scope = manager.activate(lower, True), manager.activate(upper, True)
    before = time.time()
    lower_scope.close()
    after = time.time()
    while time.time() == after:
        pass
    upper_scope.close()
    assert lower.finish_time is not None
    assert before <= lower.finish_time <= after
    assert upper.finish_time is None


def test_a_duration_does_not_contain_the_time_that_a_scope_above_was_open(each_recorder: Recorder) -> None:
    if type(each_recorder.tracer.scope_manager).__module__.partition(".")[0] != "tornado_opentracing":
        pytest.skip("another scope manager")
    lower, upper = each_recorder.tracer.start_active_span("lower"), each_recorder.tracer.start_active_span("upper")
    lower.close()
    closed = time.time()
    while time.time() < closed + 0.02:
        pass
    upper.close()
    spans = {span.name: span for span in each_recorder.finished}
    # OpenTelemetry counts in nanoseconds, which a float of today's time does not.
    assert spans["lower"].start_time - 1e-6 <= spans["lower"].finish_time <= closed + 1e-6
    assert spans["upper"].finish_time >= closed + 0.02


class TakesNoTime(CountingSpan):
    def finish(self) -> None:  # type: ignore[override]
        super().finish()


def test_a_span_whose_finish_takes_no_time_is_finished_without(manager: ContextVarsScopeManager) -> None:
    span = TakesNoTime()
    lower, upper = manager.activate(span, True), manager.activate(CountingSpan(), True)
    lower.close()
    upper.close()
    assert span.finishes == 1


def test_a_finish_that_fails_with_a_type_error_is_not_called_again(
    manager: ContextVarsScopeManager, reports: list[logging.LogRecord]
) -> None:
    def fail(name: str) -> None:
        raise TypeError(name)

    span = CountingSpan(on_finish=fail)
    lower, upper = manager.activate(span, True), manager.activate(CountingSpan(), True)
    lower.close()
    upper.close()
    assert span.finishes == 1
    assert len(reports) == 1


def test_a_tracer_whose_spans_fail_to_finish_fills_no_log(
    manager: ContextVarsScopeManager, reports: list[logging.LogRecord]
) -> None:
    password = "sesame"

    def fail(name: str) -> None:
        raise ArithmeticError(f"https://ada:{password}@example.com/")

    for _ in range(1_000):
        manager.activate(CountingSpan(on_finish=fail), True).close()
    (report,) = reports
    assert "ArithmeticError" in str(report.exc_text)
    assert password not in str(report.exc_text)


# What was started under it


@pytest.mark.parametrize("count", [1, 3])
async def test_a_scope_that_its_own_task_closed_beneath_others_is_still_the_parent_of_tasks_started_under_it(
    count: int, manager: ContextVarsScopeManager
) -> None:
    closed = asyncio.Event()

    async def task() -> None:
        found = [manager.active]
        await closed.wait()
        found.append(manager.active)
        with manager.activate(CountingSpan(), True) as own:
            found.append(manager.active)
        assert [*found, manager.active] == [scope, scope, own, scope]

    with manager.activate(CountingSpan(), True) as outer:
        scope = manager.activate(CountingSpan(), True)
        started = asyncio.ensure_future(task())
        await asyncio.sleep(0)
        above = [manager.activate(CountingSpan(), True) for _ in range(count)]
        scope.close()
        for each in reversed(above):
            each.close()
        assert manager.active is outer
        closed.set()
        await started


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_it_is_so_too_where_the_last_of_those_above_is_closed_elsewhere(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    closed = asyncio.Event()

    async def task() -> None:
        await closed.wait()
        assert manager.active is scope

    with manager.activate(CountingSpan(), True) as outer:
        span = CountingSpan()
        scope = manager.activate(span, True)
        started = asyncio.ensure_future(task())
        above = manager.activate(CountingSpan(), True)
        scope.close()
        await elsewhere(above.close)
        assert span.finishes == 1
        assert manager.active is outer
        closed.set()
        await started


async def test_what_is_started_after_a_scope_was_closed_beneath_others_has_what_its_starter_has(
    manager: ContextVarsScopeManager,
) -> None:
    async def task() -> Scope | None:
        return manager.active

    with manager.activate(CountingSpan(), True) as outer:
        scope, above = manager.activate(CountingSpan(), True), manager.activate(CountingSpan(), True)
        scope.close()
        assert await asyncio.create_task(task()) is above
        await in_a_copied_context(above.close)
        assert manager.active is outer
        assert await asyncio.create_task(task()) is outer


async def test_a_scope_that_is_closed_after_a_cut_took_it_away_is_still_the_parent_of_tasks_started_under_it(
    manager: ContextVarsScopeManager,
) -> None:
    closed = asyncio.Event()

    async def task() -> None:
        await closed.wait()
        assert manager.active is scope

    with manager.activate(CountingSpan(), True) as outer:
        with no_parent_scope():
            scope = manager.activate(CountingSpan(), True)
            started = asyncio.ensure_future(task())
        assert manager.active is outer
        scope.close()
        assert manager.active is outer
        closed.set()
        await started


def test_what_was_closed_beneath_a_scope_that_a_cut_takes_away_is_finished(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan()
    scope = manager.activate(span, True)
    with no_parent_scope():
        left = manager.activate(CountingSpan(), True)
        scope.close()
        assert span.finishes == 0
    assert span.finishes == 1
    left.close()
    assert manager.active is None


# no_parent_scope() left in another order


@pytest.fixture
def cut_by_generators(each_recorder: Recorder) -> Iterator[tuple[Any, list[Generator[None, None, None]]]]:
    """Generators that hold a ``no_parent_scope()`` each, within a scope; on the four stacks."""

    def generator() -> Generator[None, None, None]:
        with no_parent_scope():
            yield

    generators = [generator() for _ in range(3)]
    with each_recorder.tracer.start_active_span("outer"):
        yield each_recorder.tracer, generators
    assert active_id(each_recorder.tracer) is None


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whatever_order_no_parent_scopes_are_left_what_was_active_is_so_again(
    order: tuple[int, ...], cut_by_generators: tuple[Any, list[Generator[None, None, None]]]
) -> None:
    """And not before the last one is left."""
    tracer, generators = cut_by_generators
    outer = active_id(tracer)
    assert outer is not None
    for each in generators:
        next(each)
    for number in order:
        assert active_id(tracer) is None
        generators[number].close()
        with tracer.start_active_span("work") as scope:
            assert active_id(tracer) == span_id(scope.span)
    assert active_id(tracer) == outer


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_no_parent_scopes_may_be_left_in_the_order_of_entry_elsewhere(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    with manager.activate(CountingSpan(), True) as scope:
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(no_parent_scope())
        second.enter_context(no_parent_scope())
        await elsewhere(first.close)
        assert manager.active is None
        await elsewhere(second.close)
        assert manager.active is scope


# What is kept


class Kept:
    """The spans that are still alive."""

    def __init__(self, manager: ContextVarsScopeManager) -> None:
        self.manager = manager
        self._spans: weakref.WeakSet[Span] = weakref.WeakSet()

    def open(self) -> Scope:
        span = CountingSpan()
        self._spans.add(span)
        return self.manager.activate(span, True)

    async def numbers(self) -> AsyncIterator[int]:
        with self.open():
            yield 1

    def count(self) -> int:
        gc.collect()
        return len(self._spans)


async def breaks_out(kept: Kept) -> None:
    async for _ in kept.numbers():
        break


async def breaks_out_and_waits(kept: Kept) -> None:
    await breaks_out(kept)
    await asyncio.sleep(0)


async def breaks_out_of_several(kept: Kept) -> None:
    with kept.open():
        for _ in range(3):
            await breaks_out(kept)
    await asyncio.sleep(0)


async def breaks_out_within_no_parent_scope(kept: Kept) -> None:
    with no_parent_scope():
        await breaks_out_and_waits(kept)


async def breaks_out_before_the_last_one_is_closed(kept: Kept) -> None:
    numbers = kept.numbers()
    await anext(numbers)
    previous, kept.__dict__["last"] = kept.__dict__.get("last"), numbers
    if previous is not None:
        await asyncio.create_task(previous.aclose())


async def slides(kept: Kept) -> None:
    previous, kept.__dict__["last"] = kept.__dict__.get("last"), kept.open()
    if previous is not None:
        previous.close()


async def closes_elsewhere_what_lies_beneath(kept: Kept) -> None:
    lower, upper = kept.open(), kept.open()
    lower.close()
    await in_a_copied_context(upper.close)


@pytest.mark.parametrize(
    "work",
    [
        breaks_out,
        breaks_out_and_waits,
        breaks_out_of_several,
        breaks_out_within_no_parent_scope,
        breaks_out_before_the_last_one_is_closed,
        slides,
        closes_elsewhere_what_lies_beneath,
    ],
)
async def test_a_worker_that_leaves_scopes_behind_again_and_again_keeps_none(
    work: Callable[[Kept], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    kept = Kept(manager)

    async def worker() -> None:
        for _ in range(100):
            await work(kept)
        for _ in range(5):
            await asyncio.sleep(0)
        with kept.open():
            pass
        assert kept.count() <= 5

    await asyncio.create_task(worker())


@pytest.mark.parametrize("is_scheduled", ["before", "after"])
async def test_a_chain_of_callbacks_that_leave_scopes_behind_keeps_none(
    is_scheduled: str, manager: ContextVarsScopeManager
) -> None:
    kept = Kept(manager)
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def link(left: int) -> None:
        def schedule() -> None:
            if left:
                asyncio.get_running_loop().call_soon(link, left - 1)
            else:
                over.set_result(kept.count())

        lower = kept.open()
        if is_scheduled == "before":
            schedule()
        upper = kept.open()
        if is_scheduled == "after":
            schedule()
        lower.close()
        contextvars.Context().run(upper.close)

    link(100)
    assert await asyncio.wait_for(over, 10) <= 6


def test_scopes_that_are_closed_leave_no_cycles(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan()

    def use() -> None:
        with manager.activate(span, False), manager.activate(span, False), no_parent_scope():
            manager.activate(span, False).close()
        lower, upper = manager.activate(span, False), manager.activate(span, False)
        lower.close()
        upper.close()

    use()
    gc.collect()
    gc.disable()
    try:
        use()
        assert gc.collect() == 0
    finally:
        gc.enable()


# Threads


def test_spans_that_wait_are_finished_once_where_threads_close_in_the_wrong_order(
    manager: ContextVarsScopeManager,
) -> None:
    spans = [CountingSpan() for _ in range(200)]
    failures: list[BaseException] = []

    def close(scopes: list[Scope], context: contextvars.Context) -> None:
        try:
            for scope in scopes:
                context.run(scope.close)
        except BaseException as error:
            failures.append(error)

    scopes = [manager.activate(span, True) for span in spans]
    threads = [
        threading.Thread(target=close, args=(scopes[start::4], contextvars.copy_context())) for start in range(4)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for scope in scopes[::3]:
            scope.close()
    finally:
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(30)
    assert not failures
    assert [span.finishes for span in spans] == [1] * len(spans)
    assert manager.active is None


# What is no failure


@pytest.mark.parametrize("error", [gen.Return("value"), Finish(), GeneratorExit()], ids=repr)
def test_an_exception_that_is_no_failure_leaves_a_span_unmarked(error: BaseException, recorder: Recorder) -> None:
    with pytest.raises(type(error)), recorder.tracer.start_active_span("work"):
        raise error
    (span,) = recorder.finished
    assert not span.is_error
    assert not span.logs


def test_any_other_exception_marks_a_span(recorder: Recorder) -> None:
    with pytest.raises(ArithmeticError), recorder.tracer.start_active_span("work"):
        raise ArithmeticError
    (span,) = recorder.finished
    assert span.is_error
    assert len(span.logs) == 1


def test_a_tracer_that_fails_to_mark_a_span_does_not_hide_the_exception(
    manager: ContextVarsScopeManager, reports: list[logging.LogRecord]
) -> None:
    class Fails(CountingSpan):
        def set_tag(self, key: str, value: Any) -> Fails:
            raise ValueError(key)

    span = Fails()
    with pytest.raises(ArithmeticError), manager.activate(span, True):
        raise ArithmeticError
    assert span.finishes == 1
    assert len(reports) == 1
