"""The figures as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contenders import CONTENDERS
from goals import Counted
from scenarios import SCENARIOS
from served import CONNECTIONS

Figures = Mapping[str, Mapping[str, list[float]]]


def written(figures: Mapping[str, Figures]) -> str:
    """A table for each measure that was taken."""
    parts = []
    if counted := figures.get("instructions"):
        parts += [_goals(counted), _matrix("Instructions", counted, "{:,.0f}")]
    if timed := figures.get("time"):
        parts.append(_matrix("Microseconds, median ± median absolute deviation", timed, "{:,.1f} ± {:,.1f}"))
    if kept := figures.get("memory"):
        parts.append(_matrix("Bytes kept, and objects of cyclic garbage", kept, "{:.2f}, {:.0f}"))
    if served := figures.get("sockets"):
        rows = [f"{number} connections" for number in CONNECTIONS]
        parts.append(_matrix("Requests a second, and seconds of processor time each", served, "{:,.0f}, {:.6f}", rows))
    return "\n\n".join(parts) + "\n"


def _goals(counted: Figures) -> str:
    lines = ["| Instructions compared | |", "| --- | ---: |"]
    try:
        lines += [f"| {what} | {result} |" for what, result in Counted(counted).comparisons()]
    except KeyError as missing:
        lines.append(f"| {missing} has not been measured | |")
    return "\n".join(lines)


def _matrix(title: str, figures: Figures, form: str, columns: Iterable[str] = SCENARIOS) -> str:
    """A row for each scenario, a column for each contender."""
    names = [name for name in CONTENDERS if name in figures]
    lines = [[title, *names], ["---"] + ["---:"] * len(names)]
    for column in columns:
        cells = [form.format(*figures[name][column]) if column in figures[name] else "" for name in names]
        if any(cells):
            lines.append([column, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
