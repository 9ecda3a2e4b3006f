# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The comparisons that tell how cheap tracing is, each with what is aimed at.

They are of instructions, which are the same each time, where nothing else is said. A contender's *overhead* is what it
adds to bare Tornado, its *own cost* is the overhead less that of tracing by hand with the same tracer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contenders import BARE, BRIDGE, BY_HAND, MOCK, NOOP, OPENTELEMETRY, OURS, SCOPES, SHIM
from scenarios import FETCH, MESSAGE, RAISES, REQUEST
from served import CONNECTIONS, processor_time, rate

Figures = Mapping[str, Mapping[str, list[float]]]

_SDK = f"{OPENTELEMETRY}, SDK"
_RATIO, _WHOLE, _PART = "{:.2f}", "{:,.0f}", "{:.1%}"


@dataclass(frozen=True)
class Comparison:
    what: str
    #: Not a number where something has not been measured.
    result: float
    #: How numbers are written.
    form: str
    #: What the result should be, if that is settled: :attr:`bound`, by words like "at most".
    bound: float = math.nan
    words: str = "at most"

    def cells(self) -> list[str]:
        """What is compared, the result, the target."""
        target = "" if math.isnan(self.bound) else f"{self.words} {self.form.format(self.bound)}"
        return [self.what, self.form.format(self.result), target]


class Goals:
    """Comparisons of figures, which are by measure, contender and scenario."""

    def __init__(self, figures: Mapping[str, Figures]) -> None:
        self._figures = figures

    def comparisons(self) -> Iterator[Comparison]:
        """Those whose figures have been measured."""
        for found in (self._floor, self._peers, self._bare, self._growth, self._memory, self._sockets):
            for comparison in found():
                if not math.isnan(comparison.result):
                    yield comparison

    def _figure(self, measure: str, name: str, scenario: str, index: int = 0) -> float:
        values = self._figures.get(measure, {}).get(name, {}).get(scenario)
        return math.nan if values is None else values[index]

    def _total(self, name: str, scenario: str) -> float:
        return self._figure("instructions", name, scenario)

    def _overhead(self, name: str, scenario: str) -> float:
        return self._total(name, scenario) - self._total(BARE, scenario)

    def _floor(self) -> Iterator[Comparison]:
        """Against the least that traces with the same tracer."""
        for scenario, bound in {REQUEST: 1.15, FETCH: math.nan}.items():
            for tracer in (NOOP, MOCK, BRIDGE, SHIM):
                ours, by_hand = (self._overhead(f"{who}, {tracer}", scenario) for who in (OURS, BY_HAND))
                yield Comparison(
                    f"{scenario}: overhead against tracing by hand, {tracer}", ours / by_hand, _RATIO, bound
                )
                yield Comparison(f"{scenario}: own cost, {tracer}", ours - by_hand, _WHOLE, 20_000)
        for depth in (1, 10, 100):
            scenario = f"scope at depth {depth}"
            against = self._total(f"{OURS}, {MOCK}", scenario) / self._total(SCOPES, scenario)
            yield Comparison(f"{scenario}: against opentracing's scope manager", against, _RATIO, 1.2)

    def _peers(self) -> Iterator[Comparison]:
        for scenario, bound in {REQUEST: 0.40, FETCH: 0.65, RAISES: 0.40}.items():
            against = self._overhead(f"{OURS}, {BRIDGE}", scenario) / self._overhead(_SDK, scenario)
            yield Comparison(f"{scenario}: overhead against OpenTelemetry's, on the SDK", against, _RATIO, bound)

    def _bare(self) -> Iterator[Comparison]:
        for scenario, bound in {REQUEST: 0.10, "excluded": 0.02, "trace_all=False": 0.02, MESSAGE: 0.03}.items():
            added = self._overhead(f"{OURS}, {NOOP}", scenario) / self._total(BARE, scenario)
            yield Comparison(f"{scenario}: over bare Tornado, {NOOP}", added, _PART, bound)

    def _growth(self) -> Iterator[Comparison]:
        for tracer in (NOOP, MOCK, BRIDGE):
            few, many = (self._total(f"{OURS}, {tracer}", f"gather, {count} children") for count in ("10", "10,000"))
            yield Comparison(f"gather: a child of 10,000 against one of 10, {tracer}", many / few, _RATIO, 1.25)
        for name, bound in {f"{OURS}, {NOOP}": 0.0, _SDK: math.nan}.items():
            routes = (self._overhead(name, "200 routes") - self._overhead(name, "10 routes")) / 190
            yield Comparison(f"overhead of each further route, {name}", routes, _WHOLE, bound)
        for tracer in (NOOP, MOCK, BRIDGE):
            ours, by_hand = (
                self._total(f"{who}, {tracer}", "50 headers") - self._total(f"{who}, {tracer}", "10 headers")
                for who in (OURS, BY_HAND)
            )
            # By hand, what grows is the codec's cost alone.
            yield Comparison(f"each further request header, {tracer}", ours / 40, _WHOLE, by_hand / 40)

    def _memory(self) -> Iterator[Comparison]:
        """With the tracer that fares worst; one that has not been measured is worse than any."""
        for scenario in (REQUEST, FETCH, MESSAGE):
            kept, garbage = (
                max(
                    (
                        self._figure("memory", f"{OURS}, {tracer}", scenario, index)
                        for tracer in (NOOP, MOCK, BRIDGE, SHIM)
                    ),
                    key=lambda value: (math.isnan(value), value),
                )
                for index in (0, 1)
            )
            yield Comparison(f"{scenario}: bytes kept, any tracer", kept, _RATIO, 1, "under")
            more = garbage - self._figure("memory", BARE, scenario, 1)
            yield Comparison(f"{scenario}: objects of cyclic garbage, over bare Tornado's, any tracer", more, _WHOLE, 0)

    def _sockets(self) -> Iterator[Comparison]:
        for connections in CONNECTIONS:
            for what, bound in {rate(connections): 0.97, processor_time(connections): math.nan}.items():
                ours, bare = (self._figure("sockets", name, what) for name in (f"{OURS}, {NOOP}", BARE))
                yield Comparison(f"{what}: against bare Tornado, {NOOP}", ours / bare, _RATIO, bound, "at least")
