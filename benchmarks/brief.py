# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What ``docs/costs.md`` tells of, which is found in some twenty minutes; the whole takes more than an hour."""

from __future__ import annotations

from collections.abc import Sequence

from contenders import BARE, BRIDGE, BY_HAND, COLLECTED, CONTENDERS, MOCK, NOOP, OPENTELEMETRY, OURS, SCOPES, SHIM
from scenarios import FETCH, RAISES, REQUEST

#: Measure, contenders, scenarios: of the measure's own choice, where there are none.
Part = tuple[str, Sequence[str], Sequence[str]]

_OWN = [BARE, *(f"{OURS}, {tracer}" for tracer in (NOOP, MOCK, BRIDGE))]
_OTHERS = [name for name in CONTENDERS if name not in (*_OWN, SCOPES) and SHIM not in name and COLLECTED not in name]
_PEERS = [f"{OPENTELEMETRY}, SDK, traces alone", "Datadog's", "Elastic's", "Sentry's"]

PARTS: list[Part] = [
    ("instructions", _OWN, ()),
    ("instructions", _OTHERS, (REQUEST, "request with traceparent", RAISES, FETCH)),
    ("import", [f"{OURS}, {NOOP}"], ()),
    ("held", _OWN, ()),
    ("collected", [BARE, *(name for name in CONTENDERS if COLLECTED in name)], ()),
    ("ratio", _OWN, (REQUEST, FETCH, "excluded", "trace_all=False")),
    ("ratio", _PEERS, (REQUEST,)),
    ("memory", _OWN, ()),
    ("instructions", [f"{BY_HAND}, {tracer}" for tracer in (NOOP, MOCK, BRIDGE)], ("10 headers", "50 headers")),
]
