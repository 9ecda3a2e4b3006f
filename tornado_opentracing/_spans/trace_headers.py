# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which headers carry trace context: those of the propagators in use, and what a tracer was seen to write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentracing import Tracer

# Headers of one propagator belong together, whichever of them it writes this time.
_NAMES = {
    "traceparent": "W3C",
    "tracestate": "W3C",
    "baggage": "W3C",
    "b3": "B3",
    "uber-trace-id": "Jaeger",
    "jaeger-debug-id": "Jaeger",
    "jaeger-baggage": "Jaeger",
    "x-amzn-trace-id": "AWS",
    "x-cloud-trace-context": "Google",
    "sentry-trace": "Sentry",
    "sw8": "SkyWalking",
}
_BEGINNINGS = {
    "x-b3-": "B3",
    "uberctx-": "Jaeger",
    "ot-tracer-": "OpenTracing",
    "ot-baggage-": "OpenTracing",
    "x-datadog-": "Datadog",
    "sw8-": "SkyWalking",
}
_ALL_BEGINNINGS = tuple(_BEGINNINGS)


def _family_of(name: str) -> str | None:
    """The propagator to which a header belongs, by its name in lower case, if it is a known one."""
    family = _NAMES.get(name)
    if family is None and name.startswith(_ALL_BEGINNINGS):
        family = next(family for beginning, family in _BEGINNINGS.items() if name.startswith(beginning))
    return family


class Written:
    """What a kind of tracer was ever seen to write."""

    # Names of baggage items come from outside: there is no end to them, nor to one.
    _MOST = 256
    _LONGEST = 100

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._families: set[str] = set()

    def note(self, names: Iterable[str]) -> None:
        """Remember names, as they are written and in lower case."""
        for name in names:
            family = _family_of(name.lower())
            if family is not None:
                self._families.add(family)
            if len(self.names) < self._MOST and len(name) <= self._LONGEST:
                self.names.update((name, name.lower()))

    def take_out_of(self, headers: MutableMapping[str, str], names: Iterable[str], *, all_known: bool = False) -> None:
        """Take headers of these names, of those that were ever written, and what belongs to them, out of others.

        :param all_known: whether to take out what any known propagator writes, too.
        """
        now = {name.lower() for name in names}
        for name in [name for name in headers if isinstance(name, str)]:
            lower = name.lower()
            family = _family_of(lower)
            if lower in now or lower in self.names or (family is not None and (all_known or family in self._families)):
                del headers[name]


#: By kind of tracer.
known: dict[type, Written] = {}


def is_baggage(name: str) -> bool:
    """Whether a header carries baggage, as far as its name tells."""
    return "baggage" in name.lower() or name.lower().startswith("uberctx-")


def written_by(tracer: Tracer, names: Iterable[str]) -> Written:
    """What tracers of this kind were ever seen to write, these names included.

    OpenTelemetry's write what the global propagator does, which tells all of that beforehand.
    """
    kind = type(tracer)
    written = known.setdefault(kind, Written())
    written.note(names)
    if any(base.__module__.startswith("opentelemetry.") for base in kind.__mro__):
        propagate: Any = sys.modules["opentelemetry.propagate"]
        written.note(propagate.get_global_textmap().fields)
    return written
