# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What tracing adds, in instructions: callgrind's count is the same each time."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
import tornado

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
instructions = pytest.importorskip("instructions")

NOOP, MOCK, BRIDGE = (
    f"tornado_opentracing, {tracer}" for tracer in ("no-op tracer", "MockTracer", "OpenTelemetry SDK, bridge")
)
#: What is added, as a part of what bare Tornado needs. Whoever makes these numbers grow makes everybody pay.
ADDED = {
    NOOP: {
        "request": 0.105,
        "handler raises": 0.100,
        "@trace": 0.126,
        "excluded": 0.066,
        "trace_all=False": 0.038,
        "fetch": 0.419,
        "WebSocket message": 0.064,
        "WebSocket message, traced": 0.516,
    },
    MOCK: {
        "request": 0.268,
        "handler raises": 0.341,
        "fetch": 1.608,
        "WebSocket message, traced": 0.775,
        "streamed chunk": 1.303,
    },
    BRIDGE: {
        "request": 0.325,
        "request with traceparent": 0.397,
        "handler raises": 0.589,
        "@trace": 0.347,
        "fetch": 1.883,
        "gather, 100 children": 1.535,
        "WebSocket message": 0.064,
        "WebSocket message, traced": 1.455,
        "streamed chunk": 1.304,
    },
}
HEADROOM = 1.1

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind, which counts, is not installed"),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11) or tornado.version_info < (6, 6),
        reason="the bounds were found with Python 3.11 and Tornado 6.6",
    ),
]


def counted(contender: str, scenarios: Iterable[str]) -> dict[str, float]:
    """Instructions by scenario."""
    worker = [sys.executable, str(BENCHMARKS / "worker.py"), "instructions", contender, *scenarios]
    found: dict[str, float] = instructions.count(worker, os.environ)
    return found


def test_tracing_needs_few_instructions() -> None:
    everything = dict.fromkeys(scenario for bounds in ADDED.values() for scenario in bounds)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        bare, *traced = pool.map(counted, ["bare Tornado", *ADDED], [everything, *ADDED.values()])
    for (contender, bounds), found in zip(ADDED.items(), traced, strict=True):
        for scenario, bound in bounds.items():
            added = found[scenario] / bare[scenario] - 1
            assert added < bound * HEADROOM, f"{contender}: {scenario}: {added:.3f}"
