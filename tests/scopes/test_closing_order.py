# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Scopes that are closed in the wrong order wait for those above, and a ``finish()`` that raises stops none."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from opentracing import Scope

from tornado_opentracing import ContextVarsScopeManager, no_parent_scope

if TYPE_CHECKING:
    import logging


from support.scopes import ELSEWHERE, Close, CountingSpan


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


def test_more_scopes_may_wait_than_the_stack_is_deep(manager: ContextVarsScopeManager) -> None:
    """In the order of opening, so that all of them wait for the last."""
    spans = [CountingSpan() for _ in range(sys.getrecursionlimit() + 100)]
    scopes = [manager.activate(span, True) for span in spans]
    for scope in scopes[:-1]:
        scope.close()
    assert not any(span.finishes for span in spans)
    scopes[-1].close()
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
