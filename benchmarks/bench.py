"""Measure everybody, side by side: ``nox -s bench``, or ``python benchmarks/bench.py --environments DIRECTORY``."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence

import chart
import instructions
import pyperf
import table
from contenders import CONTENDERS, Contender

HERE = pathlib.Path(__file__).parent
Figures = dict[str, dict[str, list[float]]]


class Bench:
    """Runs workers in the environments in a directory."""

    def __init__(self, environments: pathlib.Path) -> None:
        self._environments = environments

    def command(self, measure: str, contender: Contender, scenarios: Sequence[str]) -> list[str]:
        python = self._environments / contender.environment / "bin" / "python"
        return [str(python), str(HERE / "worker.py"), measure, contender.name, *scenarios]

    def run(self, measure: str, contender: Contender, scenarios: Sequence[str]) -> dict[str, list[float]]:
        """What a worker prints."""
        command = self.command(measure, contender, scenarios)
        output = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        ).stdout
        rows = (line.split("\t") for line in output.splitlines())
        return {name: list(map(float, values)) for name, *values in rows}

    def instructions(self, names: Sequence[str], scenarios: Sequence[str]) -> Figures:
        """Instructions a unit."""
        found: Figures = {}
        for name in names:
            print("counting:", name, flush=True)
            command = self.command("instructions", CONTENDERS[name], scenarios)
            counted = instructions.count(command, os.environ)
            found[name] = {scenario: [value] for scenario, value in counted.items()}
        return found

    def values(self, measure: str, names: Sequence[str], scenarios: Sequence[str], rounds: int) -> Figures:
        """Each worker's values, of several rounds; within a round, the contenders take turns."""
        found: Figures = defaultdict(lambda: defaultdict(list))
        for number in range(rounds):
            for name in names:
                print(f"{measure}, round {number + 1} of {rounds}:", name, flush=True)
                for scenario, values in self.run(measure, CONTENDERS[name], scenarios).items():
                    found[name][scenario] += values
        return found


def summarised(times: Figures) -> Figures:
    """Median and median absolute deviation, by pyperf, in microseconds."""
    return {
        name: {scenario: _summary(values) for scenario, values in scenarios.items()}
        for name, scenarios in times.items()
    }


def _summary(values: Sequence[float]) -> list[float]:
    benchmark = pyperf.Benchmark([pyperf.Run(values, metadata={"name": "benchmark"}, collect_metadata=False)])
    return [benchmark.median() * 1e6, benchmark.median_abs_dev() * 1e6]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "results")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contender", action="append", help="only these (default: all)")
    parser.add_argument("--scenario", action="append", default=[], help="only these (default: all)")
    parser.add_argument("--measure", action="append", help="instructions, time, memory, sockets (default: all)")
    arguments = parser.parse_args()
    names = arguments.contender or list(CONTENDERS)
    bench = Bench(arguments.environments)
    arguments.output.mkdir(exist_ok=True)
    results = arguments.output / "results.json"
    figures: dict[str, Figures] = json.loads(results.read_text()) if results.exists() else {}
    for measure in arguments.measure or ["instructions", "time", "memory", "sockets"]:
        if measure == "instructions":
            if not instructions.are_countable():
                print("valgrind is not installed: no instructions are counted", file=sys.stderr)
                continue
            found = bench.instructions(names, arguments.scenario)
        elif measure == "time":
            found = summarised(bench.values(measure, names, arguments.scenario, arguments.rounds))
        else:
            found = bench.values(measure, names, arguments.scenario, rounds=1)
        for name, scenarios in found.items():
            figures.setdefault(measure, {}).setdefault(name, {}).update(scenarios)
        results.write_text(json.dumps(figures, indent=1))
    text = f"Python {platform.python_version()}, {platform.machine()}.\n\n{table.written(figures)}"
    (arguments.output / "table.md").write_text(text)
    print(text)
    chart.draw(figures, arguments.output / "chart.png")


if __name__ == "__main__":
    main()
