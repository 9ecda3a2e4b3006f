# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Who is whose child: what is active is inherited, by every way to run things at the same time."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest
from support import children, only
from tornado import gen
from tornado.ioloop import IOLoop

from tornado_opentracing import ContextVarsScopeManager

if TYPE_CHECKING:
    from support import Recorder

from support.scopes import CountingSpan, Meeting, needs_tornado_6_1

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


# Tasks that outlive their parent


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
