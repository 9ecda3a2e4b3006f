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
        "request": 0.104,
        "handler raises": 0.117,
        "@trace": 0.180,
        "excluded": 0.074,
        "trace_all=False": 0.036,
        "fetch": 0.431,
        "WebSocket message": 0.081,
    },
    MOCK: {
        "request": 0.268,
        "handler raises": 0.381,
        "fetch": 1.627,
        "WebSocket message, traced": 1.087,
        "streamed chunk": 2.353,
    },
    BRIDGE: {
        "request": 0.343,
        "handler raises": 0.638,
        "@trace": 0.451,
        "fetch": 2.010,
        "WebSocket message": 0.082,
        "WebSocket message, traced": 2.813,
        "streamed chunk": 2.912,
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
