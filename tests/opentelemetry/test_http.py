# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What back ends see of live requests and fetches: the stable conventions for HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.trace import StatusCode
from support.otel import OpenTelemetry
from tornado.httpclient import AsyncHTTPClient, HTTPClientError


async def test_a_failed_request_is_an_error_on_both_sides(otel: OpenTelemetry, url: str) -> None:
    with pytest.raises(HTTPClientError):
        await AsyncHTTPClient().fetch(f"{url}/broken")
    spans = await otel.spans(2)
    for span, kind, message in (
        (spans["SERVER"], "KeyError", "'no stock'"),
        (spans["CLIENT"], "HTTPClientError", "500"),
    ):
        assert span.status.status_code is StatusCode.ERROR
        assert message in span.status.description
        assert span.attributes["error.type"].endswith(kind)
        assert [event.name for event in span.events] == ["exception"]


def test_a_method_that_is_no_standard_one_is_other(otel: OpenTelemetry) -> None:
    otel.tracer.start_span("work", tags={"http.method": "BREW"}).finish()
    assert otel.only().attributes["http.request.method"] == "_OTHER"
    assert otel.only().attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("/a?b=c", {"path": "/a", "query": "b=c"}),
        ("/a", {"path": "/a"}),
        ("/a#b", {"path": "/a"}),
        ("*", {"path": "*"}),
        ("http://example.com/a?b=c", {"scheme": "http", "path": "/a", "query": "b=c"}),
        ("//example.com/a", {"path": "/a"}),
        ("http://[", {}),
    ],
)
def test_the_url_of_a_request_is_told_in_its_parts(otel: OpenTelemetry, url: str, parts: dict[str, str]) -> None:
    otel.tracer.start_span("work", tags={"span.kind": "server", "http.url": url}).finish()
    assert dict(otel.only().attributes) == {f"url.{name}": part for name, part in parts.items()}


@pytest.mark.parametrize("status", [10**30, 1000, 0, -1, "no", None, float("inf")])
def test_a_status_that_is_none_is_not_said_to_be_one(otel: OpenTelemetry, status: object) -> None:
    otel.tracer.start_span("work", tags={"http.status_code": status}).finish()
    assert "http.response.status_code" not in otel.only().attributes
    assert encode_spans(otel.finished)


def test_headers_are_lists_as_the_conventions_have_them(otel: OpenTelemetry) -> None:
    otel.tracer.start_span("work", tags={"http.request.header.x-id": "7"}).finish()
    assert otel.only().attributes == {"http.request.header.x-id": ("7",)}


@pytest.mark.parametrize("value", [10**5000, [[]]], ids=["too long a number", "nested"])
def test_a_header_is_text_whatever_it_is(otel: OpenTelemetry, value: Any) -> None:
    """Also what nobody can convert to anything else."""
    if isinstance(value, list):
        value[0] = value
    otel.tracer.start_span("work", tags={"http.request.header.x-id": value}).finish()
    (text,) = otel.only().attributes["http.request.header.x-id"]
    assert isinstance(text, str)
