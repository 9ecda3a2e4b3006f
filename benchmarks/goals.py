"""The comparisons that tell how cheap tracing is; they are of instructions, which are the same each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from contenders import BARE, BRIDGE, BY_HAND, MOCK, NOOP, OPENTELEMETRY, OURS, SCOPES, SHIM
from scenarios import FETCH, REQUEST

_SDK = f"{OPENTELEMETRY}, SDK"


class Counted:
    """Instructions of a unit, by contender and scenario."""

    def __init__(self, figures: Mapping[str, Mapping[str, list[float]]]) -> None:
        self._figures = figures

    def total(self, name: str, scenario: str = REQUEST) -> float:
        return self._figures[name][scenario][0]

    def overhead(self, name: str, scenario: str = REQUEST) -> float:
        """What is added to bare Tornado."""
        return self.total(name, scenario) - self.total(BARE, scenario)

    def comparisons(self) -> Iterator[tuple[str, str]]:
        """What is compared, and the result."""
        noop, mock, bridge = (f"{OURS}, {tracer}" for tracer in (NOOP, MOCK, BRIDGE))
        for scenario in (REQUEST, FETCH):
            for tracer in (NOOP, MOCK, BRIDGE, SHIM):
                ours, by_hand = (self.overhead(f"{who}, {tracer}", scenario) for who in (OURS, BY_HAND))
                yield f"{scenario}: overhead against tracing by hand, {tracer}", f"{ours / by_hand:.2f}"
                yield f"{scenario}: own cost, {tracer}", f"{ours - by_hand:,.0f}"
        for scenario in (REQUEST, FETCH, "handler raises"):
            against = self.overhead(bridge, scenario) / self.overhead(_SDK, scenario)
            yield f"{scenario}: overhead against OpenTelemetry's, on the SDK", f"{against:.2f}"
        for scenario in (REQUEST, "excluded", "trace_all=False", "WebSocket message"):
            added = self.overhead(noop, scenario) / self.total(BARE, scenario)
            yield f"{scenario}: over bare Tornado, no-op tracer", f"{added:.1%}"
        for depth in (1, 10, 100):
            scenario = f"scope at depth {depth}"
            against = self.total(mock, scenario) / self.total(SCOPES, scenario)
            yield f"{scenario}: against opentracing's scope manager", f"{against:.2f}"
        few, many = (self.total(mock, f"gather, {count} children") for count in ("10", "10,000"))
        yield "gather: a child of 10,000 against one of 10", f"{many / few:.2f}"
        for name in (noop, _SDK):
            routes = self.overhead(name, "200 routes") - self.overhead(name, "10 routes")
            yield f"each further route, {name}", f"{routes / 190:,.0f}"
        for name in (noop, mock, f"{BY_HAND}, {MOCK}"):
            headers = self.overhead(name, "50 headers") - self.overhead(name, "10 headers")
            yield f"each further request header, {name}", f"{headers / 40:,.0f}"
