# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A scope that is closed is kept by nobody."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Callable

import pytest
from opentracing import Scope, Span
from support.scopes import CountingSpan
from tornado.ioloop import IOLoop

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope


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
