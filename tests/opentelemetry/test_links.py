# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The links of a span that refers to others are those that the SDK would have made, whatever its limits."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentracing import follows_from

from tornado_opentracing.opentelemetry import create_tracer


def links_of(span: Any) -> tuple[list[tuple[int, dict[str, Any], int]], int]:
    """Of each: whom it refers to, its attributes, how many of those were dropped; and how many links were."""
    assert isinstance(span, ReadableSpan)
    found = [(link.context.span_id, dict(link.attributes or {}), link.dropped_attributes) for link in span.links]
    return found, span.dropped_links


@pytest.mark.parametrize(
    "limits",
    [
        SpanLimits(),
        SpanLimits(max_links=1),
        SpanLimits(max_links=0),
        SpanLimits(max_link_attributes=0),
        SpanLimits(max_attribute_length=3),
    ],
    ids=repr,
)
def test_the_links_of_references_are_limited_as_the_sdk_limits_them(
    limits: SpanLimits, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=limits)
    tracer = create_tracer(provider)
    contexts = [tracer.start_span(name, ignore_active_span=True).context for name in ("one", "two", "three")]
    ours = tracer.start_span("work", child_of=contexts[0], references=[follows_from(each) for each in contexts])
    attributes = {"opentracing.ref_type": "follows_from"}
    links = [trace.Link(each.unwrap(), attributes) for each in contexts]
    theirs = provider.get_tracer("theirs").start_span("work", Context(), links=links)
    assert links_of(ours.unwrap()) == links_of(theirs)
    caplog.clear()  # the SDK complains of what it cuts
