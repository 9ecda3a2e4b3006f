# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Random sequences of all that can be done to scopes: what is active, in every context and at every step, is what a
model of a few lines says, and so is OpenTelemetry's own current span."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from support.scope_model import BOTH, OURS, Machine, current_of_opentelemetry
from support.scopes import CountingSpan

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing.opentelemetry import create_tracer

SEQUENCES = int(os.environ.get("RANDOM_SCOPES", "500"))


class Plain:
    """This package's scope manager, on a context variable of its own."""

    def __init__(self) -> None:
        self.manager = ContextVarsScopeManager()

    def span(self) -> CountingSpan:
        return CountingSpan()

    def opened(self, span: CountingSpan) -> Any:
        return self.manager.activate(span, True)

    def check(self, expected: list[CountingSpan | None] | None) -> None:
        found = self.manager.active
        assert expected is not None
        assert (None if found is None else found.span) in expected
        assert self.manager.active is found

    def finishes(self, span: CountingSpan) -> int:
        return span.finishes


class OnOpenTelemetry:
    """The bridge's, on OpenTelemetry's context."""

    provider = TracerProvider(shutdown_on_exit=False)

    def __init__(self) -> None:
        self.tracer: Any = create_tracer(self.provider)

    def span(self) -> Any:
        return self.tracer.start_span("span", ignore_active_span=True)

    def opened(self, span: Any) -> Any:
        return self.tracer.scope_manager.activate(span, True)

    def check(self, expected: list[Any] | None) -> None:
        before = current_of_opentelemetry()
        active = self.tracer.active_span
        found = None if active is None else active.unwrap()
        assert expected is None or found in [span and span.unwrap() for span in expected]
        assert before[0] is found
        after = current_of_opentelemetry()
        assert after[0] is found
        assert after[1] is before[1]

    def finishes(self, span: Any) -> int:
        return int(span.unwrap().end_time is not None)


def steps(operations: dict[str, int]) -> Any:
    names = [name for name, times in operations.items() for _ in range(times)]
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 20), st.integers(0, 20)), max_size=40)


SETTINGS = settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize="RANDOM_SCOPES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def run(machine: Machine, sequence: list[tuple[str, int, int]]) -> None:
    for step in sequence:
        machine.do(*step)
        machine.check()
    # Whatever is still open is closed at last, and everything has been finished once.
    while any(layer.is_open for layer in machine.layers):
        for number in range(len(machine.contexts)):
            machine.do("close", number, 0)
            machine.check()
    assert all(machine.subject.finishes(layer.span) == 1 for layer in machine.layers if layer.kind == "ours")


@SETTINGS
@given(sequence=steps(OURS))
def test_what_is_active_is_what_the_model_says(sequence: list[tuple[str, int, int]]) -> None:
    run(Machine(Plain()), sequence)


@SETTINGS
@given(sequence=steps(BOTH))
def test_what_is_active_is_the_same_for_opentracing_and_opentelemetry(
    sequence: list[tuple[str, int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    # Of each of its spans that is left in another context OpenTelemetry logs an error.
    caplog.set_level(logging.CRITICAL, "opentelemetry.context")
    run(Machine(OnOpenTelemetry()), sequence)
