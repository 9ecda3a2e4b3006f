# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The figures as tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from collected import LATENESS, PERCENTILES, PROCESSOR, RATE
from contenders import BARE, CONTENDERS
from goals import OVER_BARE, TRACERS, Comparison, Figures, Goals
from held import HELD
from importing import NAME as IMPORT
from scenarios import GROUPS, SCENARIOS
from served import CONNECTIONS, processor_time, rate

_SPREAD = "median ± median absolute deviation (and the median's ratio to bare Tornado's)"


@dataclass(frozen=True)
class Section:
    """How the figures of a measure are shown."""

    title: str
    form: str
    has_ratio: bool
    #: The columns of each table.
    groups: Mapping[str, Iterable[str]]

    def tables(self, figures: Figures) -> Iterable[str]:
        """A line for each contender; nothing where there are no figures."""
        for group, columns in self.groups.items():
            shown = [column for column in columns if any(column in found for found in figures.values())]
            rows = [[name, *(self._cell(figures, name, column) for column in shown)] for name in CONTENDERS]
            if shown:
                yield _table([group, *shown], (row for row in rows if any(row[1:])))

    def _cell(self, figures: Figures, name: str, column: str) -> str:
        values, bare = (figures.get(who, {}).get(column) for who in (name, BARE))
        if values is None:
            return ""
        text = self.form.format(*values)
        return f"{text} ({values[0] / bare[0]:.2f})" if self.has_ratio and bare is not None and name != BARE else text


_SERVED = {"over sockets": [what(connections) for what in (rate, processor_time) for connections in CONNECTIONS]}
_COLLECTED = {f"at {RATE:,} requests a second, exported": [*PERCENTILES, PROCESSOR, LATENESS]}
_EACH = {"": SCENARIOS}
_SECTIONS = {
    "instructions": Section("Instructions (and their ratio to bare Tornado's)", "{:,.0f}", True, GROUPS),
    "mispredictions": Section(
        "Indirect jumps mispredicted (and their ratio to bare Tornado's)", "{:,.0f}", True, GROUPS
    ),
    "ratio": Section(
        "Time against bare Tornado's: median of ratios, interval of 95%", "{:.2f} [{:.2f}, {:.2f}]", False, _EACH
    ),
    "time": Section(f"Microseconds: {_SPREAD}", "{:,.2f} ± {:,.2f}", True, GROUPS),
    "sockets": Section(f"Requests a second, microseconds: {_SPREAD}", "{:,.0f} ± {:,.0f}", True, _SERVED),
    "collected": Section(
        f"Requests at a fixed rate, spans going to a collector: {_SPREAD}", "{:,.2f} ± {:,.2f}", True, _COLLECTED
    ),
    "held": Section("Bytes of resident memory of each", "{:,.0f}", False, {"": HELD}),
    "import": Section("Import of the package, Tornado being there", "{:.1f}", False, {"": [IMPORT]}),
    "memory": Section("Bytes kept of each, objects of cyclic garbage of each", "{:.2f}, {:.0f}", False, _EACH),
    "resident": Section(
        "Resident memory after 2,000 of each, its growth over 18,000 more", "{:.1f} MiB, {:+,.0f} KiB", False, _EACH
    ),
}


def written(figures: Mapping[str, Figures]) -> str:
    """The comparisons, and tables of each measure that was taken."""
    parts = ["## Over bare Tornado", _over_bare(figures), "## What is aimed at", _goals(figures)]
    for measure, section in _SECTIONS.items():
        if found := figures.get(measure):
            parts += [f"## {section.title}", *section.tables(found)]
    return "\n\n".join(parts) + "\n"


def _over_bare(figures: Mapping[str, Figures]) -> str:
    """What ``docs/costs.md`` shows; in bold what is missed."""
    goals = Goals(figures)
    rows = []
    for scenario, bounds in OVER_BARE.items():
        added = [
            Comparison("", found, "{:,.0f}", bound)
            for found, bound in zip(goals.over_bare(scenario), bounds, strict=True)
        ]
        aimed_at = ["-" if math.isnan(bound) else f"{bound:,}" for bound in bounds]
        target = "" if set(aimed_at) == {"-"} else " / ".join(aimed_at)
        rows.append([scenario, *("" if math.isnan(each.result) else each.cells()[1] for each in added), target])
    return _table(["instructions beyond bare Tornado", *TRACERS, "aimed at"], rows)


def _goals(figures: Mapping[str, Figures]) -> str:
    rows = (comparison.cells() for comparison in Goals(figures).comparisons())
    return _table(["instructions, where nothing else is said", "found", "target"], rows)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
