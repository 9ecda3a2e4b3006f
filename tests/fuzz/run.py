# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``nox -s fuzz``: each property with Hypothesis, then with Atheris where it is installed, so many seconds each."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from fuzz.properties import PROPERTIES, Item
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

#: How many examples are made in one go, between two looks at the clock.
_EXAMPLES = 500


class Drawn:
    """Decisions of Hypothesis, which shrinks what fails."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def choice(self, items: Sequence[Item]) -> Item:
        found: Item = self._draw(st.sampled_from(items))
        return found

    def text(self, longest: int) -> str:
        found: str = self._draw(st.text(max_size=longest))
        return found

    def number(self, most: int) -> int:
        found: int = self._draw(st.integers(0, most))
        return found


def with_hypothesis(name: str, seconds: float) -> int:
    """How many examples were tried."""
    tried = 0

    def check(data: Any) -> None:
        nonlocal tried
        tried += 1
        PROPERTIES[name](Drawn(data.draw))

    until = time.monotonic() + seconds
    start = time.time_ns()
    while time.monotonic() < until:
        start += 1
        run = settings(max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        seed(start)(run(given(st.data())(check)))()
    return tried


def with_atheris(name: str, seconds: float) -> int:
    """The same, in a process of its own: it takes over the process, and ends it."""
    command = [sys.executable, "-m", "fuzz.guided", name]
    run = subprocess.run(
        [*command, f"-max_total_time={int(seconds)}", "-max_len=400", "-timeout=20", "-print_final_stats=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode:
        raise SystemExit(run.stdout[-5000:])
    figures = [line for line in run.stdout.splitlines() if "number_of_executed_units" in line]
    return int(figures[0].rpartition(" ")[2])


def main() -> None:
    """Run all properties, or some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="for each property and each of the two")
    parser.add_argument("properties", nargs="*", default=list(PROPERTIES))
    arguments = parser.parse_args()
    logging.getLogger("tornado_opentracing").disabled = True
    has_atheris = importlib.util.find_spec("atheris") is not None
    total = 0
    for name in arguments.properties:
        tried = {"Hypothesis": with_hypothesis(name, arguments.seconds)}
        if has_atheris:
            tried["Atheris"] = with_atheris(name, arguments.seconds)
        total += sum(tried.values())
        print(f"{name}: {', '.join(f'{number:,} by {tool}' for tool, number in tried.items())}", flush=True)
    print(f"{total:,} inputs" + ("" if has_atheris else "; Atheris is not installed"))


if __name__ == "__main__":
    main()
