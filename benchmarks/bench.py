# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Measure everybody, side by side: ``nox -s bench``, or ``python benchmarks/bench.py --environments DIRECTORY``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import brief
import chart
import instructions
import pyperf
import ratio
import table
import tornado
from contenders import BARE, CONTENDERS, Contender
from scenarios import FETCH, REQUEST, SCENARIOS

HERE = pathlib.Path(__file__).parent
Figures = dict[str, dict[str, list[float]]]

MEASURES = [
    *("instructions", "mispredictions", "ratio", "time", "sockets", "collected"),
    *("memory", "resident", "held", "import"),
]
#: Those that know of no scenarios.
WITHOUT_SCENARIOS = ("sockets", "collected", "held", "import")
#: What time is compared in.
RATIOS = [REQUEST, FETCH, "excluded", "trace_all=False"]
#: How often each contender takes its turn where figures are not the same each time.
ROUNDS = {"time": 5, "sockets": 8, "collected": 3}


class Bench:
    """Runs workers in the environments in a directory."""

    def __init__(self, environments: pathlib.Path) -> None:
        self._environments = environments

    def measured(self, measure: str, names: Sequence[str], scenarios: Sequence[str], rounds: int | None) -> Figures:
        """Figures by contender and scenario."""
        if measure in ("instructions", "mispredictions"):
            return self.instructions(measure, names, scenarios)
        if measure == "ratio":
            return self.ratios(names, scenarios or RATIOS, rounds or ratio.ROUNDS)
        if measure in ROUNDS:
            return summarised(self.values(measure, names, scenarios, rounds or ROUNDS[measure]))
        return self.values(measure, names, scenarios, rounds=1)

    def command(self, measure: str, contender: Contender, scenarios: Sequence[str]) -> list[str]:
        python = self._environments / contender.environment / "bin" / "python"
        return [str(python), str(HERE / "worker.py"), measure, contender.name, *scenarios]

    def run(self, measure: str, contender: Contender, scenarios: Sequence[str]) -> dict[str, list[float]]:
        """What a worker prints."""
        command = self.command(measure, contender, scenarios)
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode != 0:
            sys.exit(f"{process.stderr}\n{measure} failed with {contender.name}")
        rows = (line.split("\t") for line in process.stdout.splitlines())
        return {name: list(map(float, values)) for name, *values in rows}

    def ratios(self, names: Sequence[str], scenarios: Sequence[str], rounds: int) -> Figures:
        """Time, as a ratio to bare Tornado's in the same environment."""
        found: Figures = defaultdict(dict)
        for name in names:
            contender = CONTENDERS[name]
            bare = dataclasses.replace(CONTENDERS[BARE], environment=contender.environment)
            for scenario in scenarios:
                if name != BARE and scenario.startswith(contender.part):
                    tell("ratio:", name, scenario)
                    against, command = (self.command("bursts", who, [scenario]) for who in (bare, contender))
                    if (result := ratio.ratio(command, against, rounds)) is not None:
                        found[name][scenario] = result
        return found

    def instructions(self, measure: str, names: Sequence[str], scenarios: Sequence[str]) -> Figures:
        """Instructions a unit, or jumps mispredicted; several at a time are counted, for none disturbs another."""
        is_of_jumps = measure == "mispredictions"

        def count(name: str) -> dict[str, list[float]]:
            tell("counting", measure, "of", name)
            counted = instructions.count(
                self.command("instructions", CONTENDERS[name], scenarios), os.environ, is_of_jumps=is_of_jumps
            )
            return {scenario: [value] for scenario, value in counted.items()}

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(names, pool.map(count, names), strict=True))

    def values(self, measure: str, names: Sequence[str], scenarios: Sequence[str], rounds: int) -> Figures:
        """Each worker's values, of several rounds; within a round, the contenders take turns."""
        found: Figures = defaultdict(lambda: defaultdict(list))
        for number in range(rounds):
            for name in names:
                tell(f"{measure}, round {number + 1} of {rounds}:", name)
                for scenario, values in self.run(measure, CONTENDERS[name], scenarios).items():
                    found[name][scenario] += values
        return found


def tell(*words: str) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def summarised(values: Figures) -> Figures:
    """Median and median absolute deviation, by pyperf."""
    return {
        name: {scenario: _summary(numbers) for scenario, numbers in scenarios.items()}
        for name, scenarios in values.items()
    }


def _summary(values: Sequence[float]) -> list[float]:
    benchmark = pyperf.Benchmark([pyperf.Run(values, metadata={"name": "benchmark"}, collect_metadata=False)])
    return [benchmark.median(), benchmark.median_abs_dev()]


def is_measurable(measure: str) -> bool:
    """Whether this machine has what it takes."""
    if measure in ("instructions", "mispredictions"):
        return instructions.are_countable()
    return measure not in ("resident", "ratio", "held") or sys.platform == "linux"


def machine() -> str:
    """What the figures were found with, and when."""
    found = pyperf.Run([1.0]).get_metadata()
    return (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, Tornado {tornado.version}, "
        f"{platform.system()}, {found['cpu_count']} x {found.get('cpu_model_name', platform.machine())}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    parser.add_argument("--measure", action="append", choices=MEASURES, help="only these")
    parser.add_argument(
        "--scenario", action="append", choices=SCENARIOS, help="only these, of measures that know of scenarios"
    )
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="only these")
    parser.add_argument("--brief", action="store_true", help=brief.__doc__)
    arguments = parser.parse_args()
    measures, scenarios, names = arguments.measure or [], arguments.scenario or [], arguments.contender or []
    part = "; ".join([*measures, *scenarios, *names])
    arguments.output.mkdir(exist_ok=True)
    results = arguments.output / "results.json"
    # A part brings what was found before up to date, the whole begins anew.
    found: dict[str, Any] = (
        json.loads(results.read_text()) if part and results.exists() else {"runs": {}, "figures": {}}
    )
    found["runs"][part or ("brief" if arguments.brief else "all")] = machine()
    figures: dict[str, Figures] = found["figures"]
    bench = Bench(arguments.environments)
    chosen = measures or [measure for measure in MEASURES if measure not in WITHOUT_SCENARIOS or not scenarios]
    parts = brief.PARTS if arguments.brief else [(each, names or list(CONTENDERS), scenarios) for each in chosen]
    for measure, contenders, what in parts:
        if not is_measurable(measure):
            tell("not on this machine:", measure)
            continue
        for name, values in bench.measured(measure, contenders, what, arguments.rounds).items():
            figures.setdefault(measure, {}).setdefault(name, {}).update(values)
        results.write_text(json.dumps(found, indent=1))
        written = "\n".join(f"- {part}: {run}" for part, run in found["runs"].items()) + f"\n\n{table.written(figures)}"
        (arguments.output / "table.md").write_text(written)
        chart.draw(figures, arguments.output / "chart.png")


if __name__ == "__main__":
    main()
