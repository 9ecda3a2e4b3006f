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

from collected import PERCENTILES, PROCESSOR
from contenders import BARE, BRIDGE, BY_HAND, COLLECTED, MOCK, NOOP, OPENTELEMETRY, OURS, SCOPES, SHIM
from importing import NAME as IMPORT
from scenarios import FETCH, MESSAGE, RAISES, REQUEST
from served import CONNECTIONS, processor_time, rate

Figures = Mapping[str, Mapping[str, list[float]]]

_SDK = f"{OPENTELEMETRY}, SDK"
_TRACES = f"{_SDK}, traces alone"
_RATIO, _WHOLE, _PART = "{:.2f}", "{:,.0f}", "{:.1%}"

#: What is shown of each, by scenario, over bare Tornado: instructions at most, with each of the three tracers.
TRACERS = (NOOP, MOCK, BRIDGE)
OVER_BARE: Mapping[str, tuple[float, float, float]] = {
    REQUEST: (25_000, math.nan, 110_000),
    RAISES: (55_000, 180_000, 310_000),
    "@trace": (50_000, math.nan, 120_000),
    "excluded": (math.nan, math.nan, math.nan),
    "trace_all=False": (math.nan, math.nan, math.nan),
    FETCH: (math.nan, math.nan, 110_000),
    MESSAGE: (5_500, 5_500, 5_500),
    "WebSocket message, traced": (math.nan, math.nan, 130_000),
    "streamed chunk": (8_000, 8_000, 8_000),
    "gather, 100 children": (math.nan, math.nan, 85_000),
}
#: The same of single requests with the bridge, by what is special about the contender.
_REQUESTS = {"sampled at 1%": 60_000, "metrics": 200_000}
#: Time, as a ratio to bare Tornado's.
_TIMES: Mapping[str, Mapping[str, float]] = {
    REQUEST: {NOOP: 1.12, MOCK: 1.35, BRIDGE: 1.40},
    "excluded": {NOOP: 1.05},
    "trace_all=False": {NOOP: 1.02},
}
#: Bytes of resident memory over bare Tornado's.
_HELD: Mapping[str, Mapping[str, float]] = {
    "idle WebSocket": {NOOP: 1_000, BRIDGE: 2_500},
    "request in flight": {NOOP: 900, BRIDGE: 2_300},
}


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
        found = self.form.format(self.result)
        return [self.what, f"**{found}**" if self.is_missed else found, target]

    @property
    def is_missed(self) -> bool:
        """Whether the result is not what it should be."""
        return self.result < self.bound if self.words == "at least" else self.result > self.bound


class Goals:
    """Comparisons of figures, which are by measure, contender and scenario."""

    def __init__(self, figures: Mapping[str, Figures]) -> None:
        self._figures = figures

    def comparisons(self) -> Iterator[Comparison]:
        """Those whose figures have been measured."""
        parts = (self._over_bare, self._floor, self._peers, self._bare, self._times, self._growth)
        for found in (*parts, self._memory, self._held, self._sockets, self._collected):
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

    def over_bare(self, scenario: str) -> list[float]:
        """What is added with each of the three tracers."""
        return [self._overhead(f"{OURS}, {tracer}", scenario) for tracer in TRACERS]

    def _over_bare(self) -> Iterator[Comparison]:
        for scenario, bounds in OVER_BARE.items():
            for tracer, added, bound in zip(TRACERS, self.over_bare(scenario), bounds, strict=True):
                yield Comparison(f"{scenario}: over bare Tornado, {tracer}", added, _WHOLE, bound)
        for what, bound in _REQUESTS.items():
            added = self._overhead(f"{OURS}, {BRIDGE}, {what}", REQUEST)
            yield Comparison(f"{REQUEST}: over bare Tornado, {BRIDGE}, {what}", added, _WHOLE, bound)

    def _times(self) -> Iterator[Comparison]:
        for scenario, bounds in _TIMES.items():
            for tracer, bound in bounds.items():
                found = self._figure("ratio", f"{OURS}, {tracer}", scenario)
                yield Comparison(f"{scenario}: time against bare Tornado's, {tracer}", found, _RATIO, bound)

    def _held(self) -> Iterator[Comparison]:
        for what, bounds in _HELD.items():
            for tracer, bound in bounds.items():
                ours, bare = (self._figure("held", name, what) for name in (f"{OURS}, {tracer}", BARE))
                yield Comparison(f"{what}: resident bytes over bare Tornado's, {tracer}", ours - bare, _WHOLE, bound)
        yield Comparison(IMPORT, self._figure("import", f"{OURS}, {NOOP}", IMPORT), "{:.1f}", 8)

    def _collected(self) -> Iterator[Comparison]:
        for name in (f"{OURS}, {BRIDGE}", _TRACES):
            for what, bound in {PROCESSOR: 1.35, **dict.fromkeys(PERCENTILES, math.nan)}.items():
                ours, bare = (self._figure("collected", who, what) for who in (f"{name}, {COLLECTED}", BARE))
                limit = 1.6 if what.startswith("p99,") else bound
                yield Comparison(f"exported, {what}: against bare Tornado, {name}", ours / bare, _RATIO, limit)

    def _floor(self) -> Iterator[Comparison]:
        """Against the least that traces with the same tracer."""
        for scenario, bound in {REQUEST: 1.15, FETCH: math.nan}.items():
            for tracer in (NOOP, MOCK, BRIDGE, SHIM):
                ours, by_hand = (self._overhead(f"{who}, {tracer}", scenario) for who in (OURS, BY_HAND))
                yield Comparison(
                    f"{scenario}: overhead against tracing by hand, {tracer}", ours / by_hand, _RATIO, bound
                )
                most = 10_000 if (scenario, tracer) == (FETCH, NOOP) else 20_000
                yield Comparison(f"{scenario}: own cost, {tracer}", ours - by_hand, _WHOLE, most)
        for depth in (1, 10, 100):
            scenario = f"scope at depth {depth}"
            against = self._total(f"{OURS}, {MOCK}", scenario) / self._total(SCOPES, scenario)
            yield Comparison(f"{scenario}: against opentracing's scope manager", against, _RATIO, 1.2)

    def _peers(self) -> Iterator[Comparison]:
        for scenario, bound in {REQUEST: 0.40, FETCH: 0.65, RAISES: 0.40}.items():
            against = self._overhead(f"{OURS}, {BRIDGE}", scenario) / self._overhead(_TRACES, scenario)
            yield Comparison(f"{scenario}: overhead against OpenTelemetry's, tracing alone", against, _RATIO, bound)
        against = self._overhead(f"{OURS}, {BRIDGE}, metrics", REQUEST) / self._overhead(_SDK, REQUEST)
        yield Comparison(f"{REQUEST}: overhead against OpenTelemetry's, metrics as well", against, _RATIO)

    def _bare(self) -> Iterator[Comparison]:
        for scenario, bound in {REQUEST: 0.10, "excluded": 0.02, "trace_all=False": 0.02}.items():
            added = self._overhead(f"{OURS}, {NOOP}", scenario) / self._total(BARE, scenario)
            yield Comparison(f"{scenario}: over bare Tornado, {NOOP}", added, _PART, bound)

    def _growth(self) -> Iterator[Comparison]:
        for tracer in (NOOP, MOCK, BRIDGE):
            few, many = (self._total(f"{OURS}, {tracer}", f"gather, {count} children") for count in ("10", "1,000"))
            yield Comparison(f"gather: a child of 1,000 against one of 10, {tracer}", many / few, _RATIO, 1.25)
            few, many = (self._total(f"{OURS}, {tracer}", f"{count} Applications") for count in ("10", "1,000"))
            yield Comparison(f"an Application of 1,000 against one of 10, {tracer}", many / few, _RATIO, 1.25)
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
