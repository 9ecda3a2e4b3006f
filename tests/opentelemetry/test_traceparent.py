# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A request's ``traceparent``, which is mostly read here, gives what OpenTelemetry's own propagator reads in it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.baggage import get_all
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from tornado.httputil import HTTPHeaders

from tornado_opentracing.opentelemetry import _carriers

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def theirs(headers: HTTPHeaders) -> Any:
    """What the propagator makes of them."""
    found = get_global_textmap().extract({name.lower(): headers[name] for name in headers}, Context())
    return trace.get_current_span(found).get_span_context(), dict(get_all(found))


@pytest.mark.parametrize(
    "headers",
    [
        *({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"} for flags in ("00", "01", "02", "03", "ff", "0", "0g", "001")),
        *({"traceparent": f"{version}-{TRACE}-{SPAN}-01"} for version in ("01", "cc", "ff", "0", "000", "g0", "")),
        *({"traceparent": f"{GOOD}{more}"} for more in ("-", "-what", " ", "\t", "0", ",", f",{GOOD}")),
        *({"traceparent": f"{before}{GOOD}"} for before in (" ", "\t", "0", ",")),
        *({"traceparent": text} for text in ("", "-", GOOD.upper(), GOOD[:-1], GOOD.replace("-", ""), "é")),
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"00-{'0' * 31}1-{'0' * 15}1-01"},
        {"traceparent": f"00-{'f' * 32}-{'f' * 16}-01"},
        *({"traceparent": GOOD, "tracestate": state} for state in ("", "a=1", "a=1,b=2")),
        *({"traceparent": GOOD, "baggage": items} for items in ("", "a=1", "a=1,b=2")),
        {"baggage": "a=1"},
        {},
    ],
    ids=str,
)
def test_it_is_read_as_the_propagator_reads_it(headers: dict[str, str]) -> None:
    given = HTTPHeaders(headers)
    found = _carriers.extract_headers(given)
    context, items = theirs(given)
    if found is None:
        assert (context, items) == (trace.INVALID_SPAN_CONTEXT, {})
        return
    ours = found.unwrap()
    assert (tuple(ours), vars(ours), type(ours)) == (tuple(context), vars(context), type(context))
    assert type(ours.trace_flags) is type(context.trace_flags)
    assert found.baggage == items
    assert trace.get_current_span(found.carrying).get_span_context() == context


def test_of_two_it_is_read_as_the_propagator_reads_both() -> None:
    given = HTTPHeaders()
    for flags in ("01", "00"):
        given.add("traceparent", f"00-{TRACE}-{SPAN}-{flags}")
    assert _carriers.extract_headers(given) is None
    assert theirs(given) == (trace.INVALID_SPAN_CONTEXT, {})
