# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Applications may be built in any number, by a test suite, say."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from support import MockRecorder
from tornado.web import Application

from tornado_opentracing import TornadoTracing, current_tracer, init_tracing
from tornado_opentracing._settings.config import process


def steps_to_build(count: int) -> int:
    """How many lines and calls of Python it takes to build that many Applications."""
    steps = 0

    def step(frame: Any, event: str, arg: object) -> Any:
        nonlocal steps
        steps += 1
        return step

    sys.settrace(step)
    try:
        built = [Application([], opentracing_traced_attributes=["uri"]) for _ in range(count)]
    finally:
        sys.settrace(None)
    del built
    gc.collect()
    return steps


@pytest.mark.skipif(sys.gettrace() is not None, reason="somebody else is tracing")
def test_building_applications_is_linear_in_their_number() -> None:
    init_tracing(MockRecorder().tracer)
    steps_to_build(1)
    alone = steps_to_build(10) / 10
    assert steps_to_build(1000) / 1000 < alone * 1.1


def test_of_applications_that_are_gone_nothing_piles_up() -> None:
    gc.collect()
    shown_before = [*process.shown_to.values()]  # what earlier tests' frames still hold
    init_tracing()
    kept = Application([], opentracing_tracing=TornadoTracing(MockRecorder().tracer))
    for _ in range(1000):
        Application([])
    gc.collect()
    assert [*process.applications.values()] == [kept]
    assert [*process.shown_to.values()] == shown_before
    assert len(process.applications.valuerefs()) == 1
    assert current_tracer() is kept.settings["opentracing_tracing"].tracer


def test_an_application_need_not_be_hashable() -> None:
    class Equal(Application):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        __hash__ = None  # type: ignore[assignment]

    tracers = [MockRecorder().tracer for _ in range(2)]
    init_tracing()
    built = [Equal([], opentracing_tracing=TornadoTracing(tracer)) for tracer in tracers]
    assert current_tracer() is tracers[1]
    built.pop()
    gc.collect()
    assert current_tracer() is tracers[0]
