"""What tracing adds to a plain request and a plain fetch, in instructions: callgrind's count is the same each time."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tornado

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
instructions = pytest.importorskip("instructions")

MOCK, BRIDGE = "tornado_opentracing, MockTracer", "tornado_opentracing, OpenTelemetry SDK, bridge"
#: What is added, as a part of what bare Tornado needs. Whoever makes these numbers grow makes everybody pay.
ADDED = {
    MOCK: {"request": 0.300, "fetch": 1.961},
    BRIDGE: {"request": 0.368, "fetch": 2.11, "handler raises": 0.65},
}
HEADROOM = 1.1

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind, which counts, is not installed"),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11) or tornado.version_info < (6, 6),
        reason="the bounds were found with Python 3.11 and Tornado 6.6",
    ),
]


def counted(contender: str) -> dict[str, float]:
    """Instructions by scenario."""
    scenarios = dict.fromkeys(scenario for bounds in ADDED.values() for scenario in bounds)
    worker = [sys.executable, str(BENCHMARKS / "worker.py"), "instructions", contender, *scenarios]
    found: dict[str, float] = instructions.count(worker, os.environ)
    return found


def test_a_request_and_a_fetch_need_few_instructions() -> None:
    with ThreadPoolExecutor() as pool:
        bare, *traced = pool.map(counted, ["bare Tornado", *ADDED])
    for (contender, bounds), found in zip(ADDED.items(), traced, strict=True):
        for scenario, bound in bounds.items():
            added = found[scenario] / bare[scenario] - 1
            assert added < bound * HEADROOM, f"{contender}: {scenario}: {added:.3f}"
