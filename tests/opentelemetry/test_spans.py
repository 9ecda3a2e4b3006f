# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What an SDK exports of a span, its kind, error, name, logs and values, is what OpenTelemetry's back ends look for."""

from __future__ import annotations

from typing import Any

import opentracing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from support.otel import OpenTelemetry
from tornado.web import HTTPError


def test_the_kind_is_there_when_the_span_starts_for_samplers_and_processors() -> None:
    seen: list[Any] = []

    class Looks(Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
                          links: Any = None, trace_state: Any = None) -> SamplingResult:  # fmt: skip
            seen.append((name, kind, dict(attributes)))
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

        def get_description(self) -> str:
            return "looks"

    tracer = OpenTelemetry(Looks()).tracer
    for kind in ("client", "server", "producer", "consumer", "other"):
        tracer.start_span("work", tags={"span.kind": kind, "http.method": "GET"}).finish()
    methods = {"http.request.method": "GET"}
    assert seen == [
        ("work", SpanKind.CLIENT, methods),
        ("work", SpanKind.SERVER, methods),
        ("work", SpanKind.PRODUCER, methods),
        ("work", SpanKind.CONSUMER, methods),
        ("work", SpanKind.INTERNAL, {"span.kind": "other", **methods}),
    ]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *((value, StatusCode.ERROR) for value in (True, "true", 1, "yes")),
        *((value, StatusCode.OK) for value in (False, "false", 0)),
    ],
)
@pytest.mark.parametrize("at_start", [True, False])
def test_the_error_tag_is_the_status(otel: OpenTelemetry, value: object, status: StatusCode, at_start: bool) -> None:
    span = otel.tracer.start_span("work", tags={"error": value} if at_start else None)
    if not at_start:
        span.set_tag("error", value)
    span.finish()
    assert otel.only().status.status_code is status
    assert "error" not in otel.only().attributes
    assert otel.only().attributes.get("error.type") == ("_OTHER" if status is StatusCode.ERROR else None)


@pytest.mark.parametrize("how", ["tag", "log"])
def test_an_error_counts_that_comes_after_the_tag_said_that_there_is_none(otel: OpenTelemetry, how: str) -> None:
    with otel.tracer.start_span("work", tags={"error": False}) as span:
        if how == "tag":
            span.set_tag("error", True)
        else:
            span.log_kv({"event": "error", "message": "no"})
    assert otel.only().status.status_code is StatusCode.ERROR


def test_that_it_was_no_error_counts_where_it_is_the_last_word(otel: OpenTelemetry) -> None:
    otel.tracer.start_span("work", tags={"error": True}).set_tag("error", False).finish()
    assert otel.only().status.status_code is StatusCode.OK


def test_a_span_that_never_failed_has_no_status(otel: OpenTelemetry) -> None:
    otel.tracer.start_span("work").finish()
    assert otel.only().status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("tagged_first", [True, False])
def test_an_exception_in_a_scope_is_an_exception_event_with_type_message_and_stack(
    otel: OpenTelemetry, tagged_first: bool
) -> None:
    span = otel.tracer.start_span("work", tags={"error": True} if tagged_first else None)
    with pytest.raises(HTTPError), otel.tracer.scope_manager.activate(span, False):
        raise HTTPError(418, "teapot")
    span.set_tag("error", True).finish()
    (event,) = otel.only().events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "tornado.web.HTTPError"
    assert "teapot" in event.attributes["exception.message"]
    assert "HTTPError(418" in event.attributes["exception.stacktrace"]
    assert otel.only().status.status_code is StatusCode.ERROR
    assert "teapot" in otel.only().status.description
    assert otel.only().attributes["error.type"] == "tornado.web.HTTPError"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "error", "message": "no"}, {"exception.message": "no"}),
        ({"event": "error", "error.kind": "Boom", "stack": "at"},
         {"exception.type": "Boom", "exception.stacktrace": "at"}),
        ({"error.object": KeyError("k")}, {"exception.type": "KeyError", "exception.message": "'k'",
                                            "exception.stacktrace": "KeyError: 'k'"}),
        ({"event": "error", "error.object": "text", "attempt": 2}, {"attempt": 2}),
    ],
)  # fmt: skip
def test_every_form_of_an_error_log_is_an_exception(
    otel: OpenTelemetry, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    with otel.tracer.start_span("work") as span:
        span.log_kv(fields)
    (event,) = otel.only().events
    assert (event.name, dict(event.attributes)) == ("exception", expected)
    assert otel.only().status.status_code is StatusCode.ERROR
    assert otel.only().status.description == expected.get("exception.message")


def test_what_was_redacted_stays_so_in_the_exception(otel: OpenTelemetry) -> None:
    with otel.tracer.start_span("work") as span:
        span.log_kv({"event": "error", "error.object": ValueError("secret"), "message": "[x]", "stack": "[y]"})
    assert "secret" not in otel.only().to_json()


def test_other_logs_are_events_at_their_time(otel: OpenTelemetry) -> None:
    with otel.tracer.start_span("work", start_time=1000.5) as span:
        span.log_kv({"event": "cached", "hits": 3}, timestamp=1001.25).log_kv({"hits": 4})
    first, second = otel.only().events
    assert (first.name, dict(first.attributes), first.timestamp) == (
        "cached",
        {"event": "cached", "hits": 3},
        1001.25e9,
    )
    assert second.name == "log"
    assert otel.only().start_time == 1000.5e9


def test_a_span_has_its_last_name_and_one_end(otel: OpenTelemetry) -> None:
    span = otel.tracer.start_span("work").set_operation_name("other")
    span.finish(2e9)
    span.finish()
    span.set_tag("late", 1).log_kv({"late": 1})
    assert (otel.only().name, otel.only().end_time) == ("other", 2e18)


# Values


class Odd:
    def __str__(self) -> str:
        raise ValueError("no text")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just("\ud800")
    | st.builds(object) | st.builds(Odd) | st.dates() | st.just(opentracing),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=2)
    | st.sets(st.integers(), max_size=2),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text() | st.integers(), anything, max_size=3), anything)
def test_any_value_can_be_exported_without_a_warning(
    caplog: pytest.LogCaptureFixture, values: dict[Any, Any], value: object
) -> None:
    otel = OpenTelemetry()
    with otel.tracer.start_span("\ud800", tags=values) as span:
        span.log_kv({**values, "event": value, "value": value})
        for name in (*values, "http.url", "http.status_code", "http.method", "peer.port"):
            span.set_tag(name, value)
    assert encode_spans(otel.finished).SerializeToString()
    assert not caplog.records


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, value) for value in (1, True, 1.5, "a", 2**63 - 1, -(2**63))),
        *((value, str(value)) for value in (None, 2**63, {"a": 1})),
        *((b"a\xff", "a\\xff"), ("\ud800", "\\ud800")),
        *(([1, 2], (1, 2)), ([1, "a"], ("1", "a")), ([[1]], ("[1]",))),
    ],
)
def test_values_keep_their_type_where_opentelemetry_has_it(
    otel: OpenTelemetry, value: object, expected: object
) -> None:
    otel.tracer.start_span("work").set_tag("value", value).finish()
    assert otel.only().attributes == {"value": expected}
