# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A chart of what a request and a fetch cost with everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from contenders import BARE, BY_HAND, CONTENDERS, OURS, SCOPES
from scenarios import FETCH, REQUEST

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from goals import Figures

mpl.use("Agg")

from matplotlib import pyplot, ticker


def draw(figures: Mapping[str, Figures], path: pathlib.Path) -> None:
    """Bars of what each adds to bare Tornado: instructions where they were counted, else microseconds."""
    unit = "instructions" if figures.get("instructions") else "time"
    found = figures.get(unit, {})
    scenarios = [scenario for scenario in (REQUEST, FETCH) if scenario in found.get(BARE, {})]
    if not scenarios:
        return
    figure, axes = pyplot.subplots(1, len(scenarios), figsize=(12, 6), sharey=True, layout="constrained", squeeze=False)
    names = [name for name in reversed(CONTENDERS) if name not in (BARE, SCOPES) and name in found]
    for axis, scenario in zip(axes[0], scenarios, strict=True):
        bare = found[BARE][scenario][0]
        added = [max(0.0, found[name].get(scenario, [bare])[0] - bare) for name in names]
        axis.barh(names, added, color=[_color(name) for name in names])
        axis.set_title(f"{unit} a {scenario}, over bare Tornado's {bare:,.0f}", fontsize=10)
        axis.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axis.xaxis.set_major_formatter("{x:,.0f}")
    figure.savefig(path, dpi=120)


def _color(name: str) -> str:
    if name.startswith(OURS):
        return "tab:blue"
    return "tab:gray" if name.startswith(BY_HAND) else "tab:orange"
