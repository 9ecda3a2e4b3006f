from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest
import tornado
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan
from opentracing import Scope, Span
from support import RECORDERS, MockRecorder, active_id, children, only, span_id
from tornado import gen
from tornado.ioloop import IOLoop

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope
from tornado_opentracing.opentelemetry import create_tracer
from tornado_opentracing.opentelemetry._context import SpanContext

if TYPE_CHECKING:
    import logging

    from support import Recorder

needs_tornado_6_1 = pytest.mark.skipif(
    tornado.version_info < (6, 1), reason="gen.coroutine of Tornado 6.0 loses context variables"
)


class CountingSpan(Span):
    """A span that knows how often it was finished, and tells it to all who listen."""

    def __init__(self, name: str = "span", on_finish: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(None, SpanContext(INVALID_SPAN_CONTEXT, {}))  # type: ignore[arg-type]
        self.name = name
        self.finishes = 0
        self._on_finish = on_finish
        self._unwrapped = NonRecordingSpan(INVALID_SPAN_CONTEXT)

    def __repr__(self) -> str:
        return self.name

    def unwrap(self) -> NonRecordingSpan:
        """What the bridge makes active."""
        return self._unwrapped

    def finish(self, finish_time: float | None = None) -> None:
        self.finishes += 1
        self._on_finish(self.name)


class Meeting:
    """A point that nobody passes before everybody has come, so that all of them are at work at the same time."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._complete = asyncio.Event()

    def come(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self._complete.wait(), 10)


@pytest.fixture(params=["contextvar", "opentelemetry"])
def manager(request: pytest.FixtureRequest) -> ContextVarsScopeManager:
    """The scope manager, and that of the bridge, which keeps the same scopes in OpenTelemetry's context."""
    if request.param == "contextvar":
        return ContextVarsScopeManager()
    made: Any = create_tracer(TracerProvider(shutdown_on_exit=False)).scope_manager
    return made  # type: ignore[no-any-return]


# Parents


Child = Callable[[int], Awaitable[None]]
Way = Callable[[Child, int], Awaitable[Any]]


async def by_gather(child: Child, count: int) -> None:
    await asyncio.gather(*map(child, range(count)))


async def by_create_task(child: Child, count: int) -> None:
    for task in [asyncio.ensure_future(child(number)) for number in range(count)]:
        await task


async def by_task_group(child: Child, count: int) -> None:
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(_coroutine(child(number)))
    else:
        pytest.skip("TaskGroup came with Python 3.11")


async def by_eager_tasks(child: Child, count: int) -> None:
    if sys.version_info >= (3, 12):
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            await by_create_task(child, count)
        finally:
            loop.set_task_factory(None)
    else:
        pytest.skip("eager tasks came with Python 3.12")


async def by_wait_for(child: Child, count: int) -> None:
    await asyncio.gather(*(asyncio.wait_for(child(number), 10) for number in range(count)))


async def by_shield(child: Child, count: int) -> None:
    await asyncio.gather(*(asyncio.shield(child(number)) for number in range(count)))


async def by_multi(child: Child, count: int) -> None:
    await gen.multi([child(number) for number in range(count)])


async def by_gen_coroutine(child: Child, count: int) -> None:
    @gen.coroutine
    def coroutine(number: int) -> Generator[Any, Any, None]:
        yield child(number)

    @gen.coroutine
    def coroutines() -> Generator[Any, Any, None]:
        yield [coroutine(number) for number in range(count)]

    await coroutines()


async def by_call_soon(child: Child, count: int) -> None:
    for number in range(count):
        asyncio.get_running_loop().call_soon(lambda n: asyncio.ensure_future(child(n)), number)


async def by_call_later(child: Child, count: int) -> None:
    for number in range(count):
        asyncio.get_running_loop().call_later(0, lambda n: asyncio.ensure_future(child(n)), number)


async def by_add_callback(child: Child, count: int) -> None:
    for number in range(count):
        IOLoop.current().add_callback(child, number)


async def by_spawn_callback(child: Child, count: int) -> None:
    for number in range(count):
        IOLoop.current().spawn_callback(child, number)


async def _coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable


WAYS = [
    by_gather,
    by_create_task,
    by_task_group,
    by_eager_tasks,
    by_wait_for,
    by_shield,
    by_multi,
    pytest.param(by_gen_coroutine, marks=needs_tornado_6_1),
    by_call_soon,
    by_call_later,
    by_add_callback,
    by_spawn_callback,
]


async def test_what_is_active_is_inherited_through_await(recorder: Recorder) -> None:
    tracer = recorder.tracer

    async def inner() -> None:
        with tracer.start_active_span("inner"):
            await asyncio.sleep(0)

    async def outer() -> None:
        with tracer.start_active_span("outer") as scope:
            await inner()
            assert tracer.scope_manager.active is scope
            await inner()
            assert tracer.scope_manager.active is scope

    await outer()
    assert tracer.scope_manager.active is None
    assert [span.name for span in children(recorder.finished, only(recorder.finished, name="outer"))] == ["inner"] * 2


@pytest.mark.parametrize("way", WAYS)
async def test_concurrent_children_are_siblings(way: Way, recorder: Recorder) -> None:
    """Every one of them has opened its scope before any of them opens the next one or closes."""
    tracer = recorder.tracer
    count = 10
    all_open, all_closed = Meeting(count), Meeting(count)
    was_active: list[bool] = []

    async def child(number: int) -> None:
        with tracer.start_active_span("child") as scope:
            all_open.come()
            await all_open.wait()
            with tracer.start_active_span("grandchild") as inner:
                await asyncio.sleep(0)
                was_active.append(tracer.scope_manager.active is inner)
            was_active.append(tracer.scope_manager.active is scope)
        all_closed.come()

    with tracer.start_active_span("root") as root:
        await way(child, count)
        assert tracer.scope_manager.active is root
        await all_closed.wait()
        assert tracer.scope_manager.active is root

    assert was_active == [True] * 2 * count
    spans = recorder.finished
    siblings = children(spans, only(spans, name="root"))
    assert [span.name for span in siblings] == ["child"] * count
    assert all([span.name for span in children(spans, sibling)] == ["grandchild"] for sibling in siblings)


@pytest.mark.parametrize("outer", WAYS)
async def test_nested_concurrency_makes_a_tree(outer: Way, recorder: Recorder) -> None:
    """Children that each start children of their own, all of them at once."""
    tracer = recorder.tracer
    all_open, all_closed = Meeting(9), Meeting(3)

    async def child(number: int) -> None:
        async def grandchild(_: int) -> None:
            with tracer.start_active_span(f"grandchild of {number}"):
                all_open.come()
                await all_open.wait()

        with tracer.start_active_span(f"child {number}"):
            await by_gather(grandchild, 3)
        all_closed.come()

    with tracer.start_active_span("root"):
        await outer(child, 3)
        await all_closed.wait()

    spans = recorder.finished
    siblings = children(spans, only(spans, name="root"))
    assert sorted(span.name for span in siblings) == ["child 0", "child 1", "child 2"]
    for sibling in siblings:
        expected = sibling.name.replace("child", "grandchild of")
        assert [span.name for span in children(spans, sibling)] == [expected] * 3


@needs_tornado_6_1
async def test_a_gen_coroutine_keeps_its_scope_over_yields_and_leaves_none_behind(recorder: Recorder) -> None:
    tracer = recorder.tracer

    @gen.coroutine
    def coroutine() -> Generator[Any, Any, None]:
        with tracer.start_active_span("coroutine") as scope:
            yield gen.moment
            assert tracer.scope_manager.active is scope
            yield gen.sleep(0)
            assert tracer.scope_manager.active is scope

    with tracer.start_active_span("root") as root:
        pending = coroutine()
        assert tracer.scope_manager.active is root
        await pending
        assert tracer.scope_manager.active is root
    assert [span.name for span in children(recorder.finished, only(recorder.finished, name="root"))] == ["coroutine"]


async def test_two_managers_do_not_see_each_others_scopes() -> None:
    one, other = ContextVarsScopeManager(), ContextVarsScopeManager()
    with one.activate(CountingSpan("one"), True) as scope:
        assert [one.active, other.active] == [scope, None]
        with other.activate(CountingSpan("other"), True) as other_scope:
            assert [one.active, other.active] == [scope, other_scope]
            scope.close()
            assert [one.active, other.active] == [None, other_scope]


def test_threads_do_not_see_each_others_scopes(manager: ContextVarsScopeManager) -> None:
    met = threading.Barrier(4)
    seen: list[bool] = []

    def work() -> None:
        seen.append(manager.active is None)
        with manager.activate(CountingSpan(), True) as scope:
            met.wait(10)
            seen.append(manager.active is scope)
            met.wait(10)
        seen.append(manager.active is None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [True] * 12


# Closing


Close = Callable[[], object]


async def in_a_task(close: Close) -> None:
    async def task() -> None:
        close()

    await asyncio.create_task(task())


async def in_a_callback(close: Close) -> None:
    called = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: called.set_result(close()))
    await called


async def in_a_copied_context(close: Close) -> None:
    contextvars.copy_context().run(close)


async def in_an_empty_context(close: Close) -> None:
    contextvars.Context().run(close)


async def in_a_thread(close: Close) -> None:
    await asyncio.get_running_loop().run_in_executor(None, close)


async def in_a_thread_with_the_context(close: Close) -> None:
    await asyncio.to_thread(close)


ELSEWHERE = [
    in_a_task,
    in_a_callback,
    in_a_copied_context,
    in_an_empty_context,
    in_a_thread,
    in_a_thread_with_the_context,
]


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


# Closing in the wrong order


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_in_whatever_order_scopes_are_closed_each_waits_for_those_above(
    order: tuple[int, ...], manager: ContextVarsScopeManager
) -> None:
    """A span is finished when its scope and all scopes above it are closed; the highest open one is active."""
    spans = [CountingSpan(str(number)) for number in range(4)]
    with manager.activate(CountingSpan("outer"), True) as outer:
        scopes = [manager.activate(span, True) for span in spans]
        still_open = set(range(4))
        for number in order:
            scopes[number].close()
            still_open.remove(number)
            for below, span in enumerate(spans):
                assert span.finishes == (not any(above >= below for above in still_open))
            assert manager.active is (scopes[max(still_open)] if still_open else outer)


def test_scopes_that_waited_are_finished_from_the_top_down(manager: ContextVarsScopeManager) -> None:
    finished: list[str] = []
    scopes = [manager.activate(CountingSpan(name, finished.append), True) for name in "abcd"]
    for scope in scopes:
        assert not finished
        scope.close()
    assert finished == ["d", "c", "b", "a"]


def test_a_chain_of_pending_closes_may_be_longer_than_the_stack_is_deep(manager: ContextVarsScopeManager) -> None:
    """Hand over hand: each scope is closed when the next one is open, so that all of them wait for the last."""
    spans = [CountingSpan() for _ in range(sys.getrecursionlimit() + 100)]
    scope = manager.activate(spans[0], True)
    for span in spans[1:]:
        above = manager.activate(span, True)
        scope.close()
        scope = above
    assert not any(span.finishes for span in spans)
    scope.close()
    assert all(span.finishes == 1 for span in spans)
    assert manager.active is None


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_pending_close_is_not_lost_where_a_scope_between_was_closed_elsewhere(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    below, between, above = CountingSpan("below"), CountingSpan("between"), CountingSpan("above")
    with manager.activate(CountingSpan("outer"), True) as outer:
        below_scope, between_scope = manager.activate(below, True), manager.activate(between, True)
        await elsewhere(between_scope.close)
        above_scope = manager.activate(above, True)
        below_scope.close()
        above_scope.close()
        assert (above.finishes, between.finishes, below.finishes) == (1, 1, 1)
        assert manager.active is outer


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_pending_close_is_not_lost_where_the_scope_above_is_closed_elsewhere(
    elsewhere: Callable[[Close], Awaitable[None]], manager: ContextVarsScopeManager
) -> None:
    below, above = CountingSpan("below"), CountingSpan("above")
    with manager.activate(CountingSpan("outer"), True) as outer:
        below_scope, above_scope = manager.activate(below, True), manager.activate(above, True)
        below_scope.close()
        await elsewhere(above_scope.close)
        assert (above.finishes, below.finishes) == (1, 1)
        assert manager.active is outer


async def test_a_scope_that_a_task_closes_beneath_its_own_waits_for_that(manager: ContextVarsScopeManager) -> None:
    inherited, own = CountingSpan("inherited"), CountingSpan("own")

    async def task(scope: Scope) -> None:
        with manager.activate(own, True) as own_scope:
            scope.close()
            assert inherited.finishes == 0
            assert manager.active is own_scope
        assert (inherited.finishes, own.finishes) == (1, 1)

    with manager.activate(CountingSpan("outer"), True) as outer:
        await asyncio.create_task(task(manager.activate(inherited, True)))
        assert manager.active is outer


async def test_a_scope_that_waits_is_still_active_where_it_was_inherited(manager: ContextVarsScopeManager) -> None:
    waits, seen = asyncio.Event(), asyncio.Event()

    async def closes(scope: Scope) -> None:
        with manager.activate(CountingSpan(), True):
            scope.close()
            waits.set()
            await asyncio.wait_for(seen.wait(), 10)

    async def inherits(scope: Scope) -> None:
        await asyncio.wait_for(waits.wait(), 10)
        assert manager.active is scope
        seen.set()

    scope = manager.activate(CountingSpan(), True)
    await asyncio.gather(closes(scope), inherits(scope))


def test_a_scope_closed_within_no_parent_scope_is_finished_when_that_ends(manager: ContextVarsScopeManager) -> None:
    span = CountingSpan()
    with manager.activate(CountingSpan("outer"), True) as outer:
        scope = manager.activate(span, True)
        with no_parent_scope():
            scope.close()
            assert manager.active is None
        assert span.finishes == 1
        assert manager.active is outer


# A span whose finish() raises


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_a_finish_that_raises_is_logged_and_not_raised(
    elsewhere: Callable[[Close], Awaitable[None]],
    manager: ContextVarsScopeManager,
    reports: list[logging.LogRecord],
) -> None:
    def fail(name: str) -> None:
        raise ArithmeticError(name)

    below, failing = CountingSpan("below"), CountingSpan("failing", fail)
    with manager.activate(CountingSpan("outer"), True) as outer:
        below_scope = manager.activate(below, True)
        scope = manager.activate(failing, True)
        below_scope.close()
        await elsewhere(scope.close)
        assert (failing.finishes, below.finishes) == (1, 1)
        assert manager.active is outer
    (report,) = reports
    assert report.name == "tornado_opentracing"
    assert report.exc_info is not None
    assert isinstance(report.exc_info[1], ArithmeticError)


# Tasks that outlive their parent, and no_parent_scope


async def test_a_task_that_outlives_its_parent_keeps_it(recorder: Recorder) -> None:
    tracer = recorder.tracer
    parent_closed = asyncio.Event()

    async def task() -> None:
        with tracer.start_active_span("early"):
            await parent_closed.wait()
        tracer.start_span("late").finish()
        with tracer.start_active_span("later"):
            await asyncio.sleep(0)
        await asyncio.create_task(latest())

    async def latest() -> None:
        tracer.start_span("latest").finish()

    with tracer.start_active_span("root"), tracer.start_active_span("parent"):
        running = asyncio.create_task(task())
        await asyncio.sleep(0)
    assert tracer.active_span is None
    parent_closed.set()
    await running
    names = [span.name for span in children(recorder.finished, only(recorder.finished, name="parent"))]
    assert names == ["early", "late", "later", "latest"]


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


# Memory


class Chain:
    """A piece of code that arranges for itself to be run again, each time with a new span."""

    def __init__(self, manager: ContextVarsScopeManager, length: int) -> None:
        self.manager = manager
        self.over = asyncio.Event()
        self.alive_at_the_end = -1
        self.task: asyncio.Future[None] | None = None
        self._left = length
        self._spans: weakref.WeakSet[Span] = weakref.WeakSet()

    def open(self) -> Scope:
        span = CountingSpan()
        self._spans.add(span)
        return self.manager.activate(span, True)

    def goes_on(self) -> bool:
        self._left -= 1
        if not self._left:
            gc.collect()
            self.alive_at_the_end = len(self._spans)
            self.over.set()
        return self._left > 0


def a_callback_within_its_scope(chain: Chain) -> None:
    with chain.open():
        if chain.goes_on():
            asyncio.get_running_loop().call_soon(a_callback_within_its_scope, chain)


def a_callback_within_two_scopes(chain: Chain) -> None:
    with chain.open(), chain.open():
        if chain.goes_on():
            IOLoop.current().add_callback(a_callback_within_two_scopes, chain)


def a_callback_that_closes_in_the_wrong_order(chain: Chain) -> None:
    below, above = chain.open(), chain.open()
    if chain.goes_on():
        asyncio.get_running_loop().call_soon(a_callback_that_closes_in_the_wrong_order, chain)
    below.close()
    above.close()


def a_task(chain: Chain) -> None:
    async def task() -> None:
        with chain.open():
            await asyncio.sleep(0)
            if chain.goes_on():
                a_task(chain)

    chain.task = asyncio.ensure_future(task())


def a_callback_that_cuts(chain: Chain) -> None:
    with chain.open(), no_parent_scope():
        if chain.goes_on():
            asyncio.get_running_loop().call_soon(a_callback_that_cuts, chain)


def a_callback_whose_scope_the_next_one_closes(chain: Chain, previous: Scope | None = None) -> None:
    if previous is not None:
        previous.close()
    scope = chain.open()
    if chain.goes_on():
        asyncio.get_running_loop().call_soon(a_callback_whose_scope_the_next_one_closes, chain, scope)


def a_task_whose_generator_is_closed_late(chain: Chain) -> None:
    async def numbers() -> AsyncIterator[int]:
        with chain.open():
            yield 1

    async def task() -> None:
        async for _ in numbers():
            break
        if chain.goes_on():
            asyncio.get_running_loop().call_soon(a_task_whose_generator_is_closed_late, chain)

    chain.task = asyncio.ensure_future(task())


def a_callback_whose_scope_is_closed_in_another_context(chain: Chain) -> None:
    contextvars.Context().run(chain.open().close)
    if chain.goes_on():
        asyncio.get_running_loop().call_soon(a_callback_whose_scope_is_closed_in_another_context, chain)


def a_callback_that_sees_its_scope_closed_in_another_context(chain: Chain) -> None:
    scope = chain.open()
    if chain.goes_on():
        asyncio.get_running_loop().call_soon(a_callback_that_sees_its_scope_closed_in_another_context, chain)
    contextvars.Context().run(scope.close)
    assert chain.manager.active is not scope


def a_callback_whose_scope_a_task_closes_beneath_its_own(chain: Chain) -> None:
    scope = chain.open()
    if chain.goes_on():
        asyncio.get_running_loop().call_soon(a_callback_whose_scope_a_task_closes_beneath_its_own, chain)
    task = contextvars.copy_context()
    above = task.run(chain.open)
    task.run(scope.close)
    assert chain.manager.active is not scope
    task.run(above.close)


@pytest.mark.parametrize(
    "link",
    [
        a_callback_within_its_scope,
        a_callback_within_two_scopes,
        a_callback_that_closes_in_the_wrong_order,
        a_task,
        a_callback_that_cuts,
        a_callback_whose_scope_the_next_one_closes,
        a_task_whose_generator_is_closed_late,
        a_callback_whose_scope_is_closed_in_another_context,
        a_callback_that_sees_its_scope_closed_in_another_context,
        a_callback_whose_scope_a_task_closes_beneath_its_own,
    ],
)
async def test_a_chain_that_reschedules_itself_keeps_only_its_last_spans(
    link: Callable[[Chain], None], manager: ContextVarsScopeManager
) -> None:
    chain = Chain(manager, 50)
    link(chain)
    await asyncio.wait_for(chain.over.wait(), 10)
    assert chain.alive_at_the_end <= 5


async def test_a_closed_scope_is_not_kept_by_its_manager_or_its_context(manager: ContextVarsScopeManager) -> None:
    async def work() -> list[weakref.ref[object]]:
        span = CountingSpan()
        with manager.activate(span, True) as scope:
            await asyncio.sleep(0)
        return [weakref.ref(span), weakref.ref(scope)]

    references = [*await work(), *await asyncio.create_task(work())]
    gc.collect()
    assert [reference() for reference in references] == [None] * 4


def test_a_manager_is_not_kept_by_the_package() -> None:
    manager = ContextVarsScopeManager()
    with manager.activate(CountingSpan(), True), no_parent_scope():
        pass
    reference = weakref.ref(manager)
    del manager
    gc.collect()
    assert reference() is None


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
