# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that fails, a callback that fails: the application does not notice.

Every situation runs once without tracing and then once for each thing that can go wrong in it. What the client
receives, what a fetch raises, the order in which Tornado calls the application, and what Tornado logs must not differ.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Iterable
from typing import Any

import pytest
from support.faults import (
    ACTS,
    EVERYTHING,
    THINGS,
    BrokenError,
    Faults,
    FaultyTracer,
    Setup,
    Tracing,
    by_both,
    by_decorator,
    by_route,
    by_settings,
    raises,
    with_all_options,
)
from support.observed import world_with
from support.serving import connection
from support.situations import SITUATIONS, TRACED

from tornado_opentracing import _guard

#: Each with how its things are broken one by one, and how all at once.
SETUPS: dict[Setup, tuple[Iterable[str], Iterable[str]]] = {
    with_all_options: (["raises", "returns rubbish"], ACTS),
    by_settings: ([], ["raises", "raises when done"]),
    by_decorator: (["raises when done"], ["returns rubbish"]),
    by_both: ([], ["raises", "returns rubbish"]),
    by_route: ([], ["returns None", "returns rubbish"]),
}

#: What takes more time than the rest: in this everything is broken at once.
SLOW = {"fetch times out"}


#: What is seen in each situation without tracing.
untraced: dict[str, tuple[Any, ...]] = {}


def recorded(tracer: FaultyTracer) -> list[Any]:
    """The spans since the last time, in a form that can be compared."""
    spans: list[Any] = tracer.finished_spans()
    tracer.reset()
    names = {span._context.span_id: span.operation_name for span in spans}
    found = [
        (span.operation_name, names.get(span.parent_id, span.parent_id), sorted(span.tags), len(span.logs))
        for span in spans
    ]
    return sorted(found, key=repr)


@pytest.fixture(autouse=True)
def _no_other_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tracebacks take longer than the tests."""
    monkeypatch.setattr(logging.getLogger("tornado_opentracing"), "propagate", False)


@pytest.mark.parametrize("title", SITUATIONS)
@pytest.mark.parametrize("setup", SETUPS)
async def test_a_failing_tracer_or_callback_changes_nothing(
    setup: Setup, title: str, reports: list[logging.LogRecord]
) -> None:
    """The application cannot tell it from no tracing at all; what failed is reported, and works again when it works."""
    situation = SITUATIONS[title]
    if title not in untraced:
        async with world_with(Tracing()) as world:
            untraced[title] = await world.observe(situation)
    expected = untraced[title]

    faults = Faults()
    tracer = FaultyTracer(faults)
    async with world_with(setup(tracer, faults)) as world:
        with faults.of(None, raises):
            assert await world.observe(situation) == expected
        assert bool(reports) is (title == "corrupt trace headers")
        spans = recorded(tracer)
        for thing, act in to_break(setup, title, faults.reached):
            if thing == EVERYTHING:
                setup(tracer, faults)  # anew: it may be broken from the first request on
            _guard._reported.clear()
            reports.clear()
            with faults.of(thing, ACTS[act]):
                assert await world.observe(situation) == expected, f"{thing} {act}"
            kinds = [record.exc_info and record.exc_info[0] for record in reports]
            assert all(kinds)
            assert (BrokenError in kinds) >= (thing in faults.calls and act.startswith("raises")), f"{thing} {act}"
        tracer.reset()
        assert await world.observe(situation) == expected
    assert recorded(tracer) == spans


def to_break(setup: Setup, title: str, reached: list[str]) -> list[tuple[str, str]]:
    """What to break, and how."""
    each, at_once = SETUPS[setup]
    found = [(thing, act) for thing in reached for act in each] if title not in SLOW else []
    if "carrier" in reached:
        found.append(("carrier", "returns no headers"))
    return found + [(EVERYTHING, act) for act in at_once if reached]


async def test_everything_that_can_fail_is_reached_by_a_situation(reports: list[logging.LogRecord]) -> None:
    reached: set[str] = set()
    faults = Faults()
    async with world_with(with_all_options(FaultyTracer(faults), faults)) as world:
        for title in SITUATIONS.keys() - SLOW:
            with faults.of(None, raises):
                await world.observe(SITUATIONS[title])
            reached.update(faults.reached)
    assert reached == set(THINGS)


@pytest.mark.parametrize("setup", [with_all_options, by_decorator])
@pytest.mark.parametrize("title", ["plain", "fetches", "exception in WebSocket"])
async def test_of_a_span_that_the_tracer_does_not_start_nothing_is_asked(setup: Setup, title: str) -> None:
    """Nor is that a failure to report: the tracer said so."""
    faults = Faults()
    async with world_with(setup(FaultyTracer(faults), faults)) as world:
        with faults.of("tracer.start_span", ACTS["returns None"]):
            await world.observe(SITUATIONS[title])
    assert "tracer.start_span" in faults.reached
    assert not {"tracer.inject", "manager.activate", "span.set_tag", "finish_span_cb"} & set(faults.reached)


@pytest.mark.parametrize("setup", [with_all_options, by_settings, by_both])
async def test_an_excluded_request_asks_the_tracer_nothing(setup: Setup) -> None:
    """So whatever is broken need not be reported."""
    faults = Faults()
    async with world_with(setup(FaultyTracer(faults), faults)) as world, connection(world.url) as opened:
        with faults.of(EVERYTHING, raises):
            assert await opened.get("/excluded") == (200, "hello")
    assert not faults.reached


@pytest.mark.parametrize("now", [0.0, 1000.0])
@pytest.mark.parametrize("setup", [with_all_options, by_decorator])
async def test_a_broken_tracer_cannot_flood_the_log(
    setup: Setup,
    now: float,
    reports: list[logging.LogRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three hundred requests in which everything fails give one record a minute for each thing that does.

    Also where the machine, and with it the clock, has only just started.
    """
    monkeypatch.setattr(_guard, "time", types.SimpleNamespace(monotonic=lambda: now))
    faults = Faults()
    async with world_with(setup(FaultyTracer(faults), faults)) as world, connection(world.url) as opened:
        with faults.of(EVERYTHING, raises):
            for _ in range(300):
                assert await opened.get("/plain", *TRACED) == (200, "hello")
            first = [record.getMessage() for record in reports]
            assert 0 < len(first) == len(set(first)) <= len(THINGS)
            now += 59.9
            await opened.get("/plain", *TRACED)
            assert len(reports) == len(first)
            now += 0.1
            await opened.get("/plain", *TRACED)
    again = [record.getMessage() for record in reports[len(first) :]]
    assert again == [f"{message} (300 more since the last report)" for message in first]
