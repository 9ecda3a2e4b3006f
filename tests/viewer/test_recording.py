# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the viewer's tracer keeps, and hands on in carriers."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref
from decimal import Decimal
from typing import Any

import pytest
from opentracing import Format, SpanContextCorruptedException
from support import Servers
from viewer.serving import PREFIX, get, serve, spans

from tornado_opentracing.viewer import RecordingTracer, _pages


def test_the_oldest_traces_go_first() -> None:
    tracer = RecordingTracer(max_traces=3)
    for number in range(10):
        tracer.start_span(f"root {number}").finish()
    assert [trace.spans[0].operation_name for trace in tracer.traces()] == ["root 9", "root 8", "root 7"]


def test_a_trace_with_too_many_spans_says_how_many_were_dropped() -> None:
    tracer = RecordingTracer(max_spans_per_trace=5)
    with tracer.start_active_span("root"):
        for _ in range(7):
            tracer.start_span("child").finish()
    (trace,) = tracer.traces()
    assert (len(trace.spans), trace.dropped) == (5, 3)


@pytest.mark.parametrize("bound", ["max_traces", "max_spans_per_trace"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "9"])
def test_a_bound_that_is_none_is_refused_by_its_name(bound: str, value: Any) -> None:
    arguments: dict[str, Any] = {bound: value}
    with pytest.raises(ValueError, match=bound):
        RecordingTracer(**arguments)


def test_a_span_keeps_no_object_of_the_application_and_no_more_than_its_share(tracer: RecordingTracer) -> None:
    class Big:
        def __str__(self) -> str:
            return "x" * 1_000_000

    with tracer.start_span("work", tags={"start": Big()}) as span:
        for number in range(1000):
            span.set_tag(f"tag {number}", Big()).log_kv({"event": Big(), "error.object": KeyError(Big())})
        span.set_tag("start", "last")
    big = weakref.ref(Big())
    gc.collect()
    assert big() is None
    (kept,) = spans(tracer)
    assert len(json.dumps(_pages.as_json(tracer.traces()[0]))) < 5_000_000
    assert kept.tags["start"] == "last"
    assert not [obj for obj in gc.get_objects() if isinstance(obj, Big)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((value, value) for value in (1, True, 1.5, "a")),
        *((value, str(value)) for value in (None, [1], (2,), float("nan"))),
        ("\ud800", "\\ud800"),
    ],
)
def test_values_are_kept_as_they_are_or_as_text(tracer: RecordingTracer, value: object, kept: object) -> None:
    tracer.start_span("work").set_tag("value", value).finish()
    assert spans(tracer)[0].tags == {"value": kept}


def test_a_services_name_fits_into_a_page() -> None:
    assert RecordingTracer(service="\ud800").service == "\\ud800"


def test_an_error_without_stack_gets_one(tracer: RecordingTracer) -> None:
    with tracer.start_span("work") as span:
        span.log_kv({"event": "error", "error.object": KeyError("x")})
    assert spans(tracer)[0].logs[0].key_values["stack"] == "KeyError: 'x'"


def test_spans_may_come_from_any_thread(busy_threads: None) -> None:
    # Room for all: a trace that others push out while its thread waits would come back without its first span.
    tracer = RecordingTracer(max_traces=1000)

    def work() -> None:
        for _ in range(200):
            with tracer.start_active_span("work"):
                tracer.start_span("child").finish()
                tracer.traces()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(trace.spans) for trace in tracer.traces()] == [2] * 1000
    assert len({span.context.span_id for span in spans(tracer)}) == 2000


async def test_memory_stays_within_its_bound(servers: Servers) -> None:
    """The same number of objects after each round of requests once the bound is reached."""
    tracer = RecordingTracer(max_traces=20)
    url = serve(servers, tracer)

    async def count() -> int:
        for _ in range(5):
            await asyncio.gather(*(get(f"{url}/") for _ in range(10)))
        gc.collect()
        return len(gc.get_objects())

    await count()
    first = await count()
    assert await count() - first < 100
    assert len(tracer.traces()) == 20


def test_baggage_of_others_takes_no_more_memory_than_w3c_allows(tracer: RecordingTracer) -> None:
    traceparent = f"00-{1:032x}-{1:016x}-01"
    for header in ("a=" + "x" * 100_000, ",".join(f"{number}=x" for number in range(1000))):
        found: Any = tracer.extract(Format.HTTP_HEADERS, {"traceparent": traceparent, "baggage": header})
        assert len(found.baggage) <= 180
        assert sum(map(len, [*found.baggage, *found.baggage.values()])) <= 8192


@pytest.mark.parametrize(
    "moment",
    [time.time_ns(), float("nan"), float("inf"), -1, "now", Decimal(1), 10**5000],
    ids=["nanoseconds", "nan", "infinite", "negative", "text", "decimal", "huge"],
)
async def test_a_span_with_an_odd_time_is_shown_all_the_same(
    servers: Servers, tracer: RecordingTracer, moment: Any
) -> None:
    url = serve(servers, tracer)
    span = tracer.start_span(start_time=moment).set_tag("number", 2**63).set_operation_name("\ud800")
    span.set_baggage_item("k", "\ud800").log_kv({"event": "x"}, moment).finish(moment)
    trace = tracer.traces()[0]
    for path in ["", f"/{trace.trace_id:x}", f"/{trace.trace_id:x}.json"]:
        response = await get(f"{url}{PREFIX}{path}")
        assert response.code == 200
    assert json.loads(response.body)["spans"][0]["tags"] == {"number": str(2**63)}


def test_services_of_one_process_record_into_the_same_traces(tracer: RecordingTracer) -> None:
    stock = tracer.for_service("stock")
    with tracer.start_active_span("page") as scope:
        stock.start_span("count", child_of=scope.span).finish()
    (trace,) = tracer.traces()
    assert [(span.service, span.operation_name) for span in trace.spans] == [("shop", "page"), ("stock", "count")]
    assert tracer.finished_spans() == trace.spans
    tracer.reset()
    assert not tracer.traces()


# Carriers


def test_a_trace_goes_on_in_another_process(tracer: RecordingTracer) -> None:
    with tracer.start_span("fetch") as span:
        span.set_baggage_item("user", "ada, l=ö").set_baggage_item("odd", "\ud800")
        carrier: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, carrier)
    other = RecordingTracer(service="other")
    parent = other.extract(Format.HTTP_HEADERS, {name.title(): value for name, value in carrier.items()})
    with other.start_span("handler", child_of=parent) as handler:
        assert handler.get_baggage_item("user") == "ada, l=ö"
    assert (handler.context.trace_id, handler.parent_id) == (span.context.trace_id, span.context.span_id)


def test_a_trace_of_elsewhere_keeps_its_128_bits(tracer: RecordingTracer) -> None:
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    found: Any = tracer.extract(Format.HTTP_HEADERS, {"traceparent": header})
    carrier: dict[str, str] = {}
    tracer.inject(tracer.start_span("work", child_of=found).context, Format.HTTP_HEADERS, carrier)
    assert carrier["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


@pytest.mark.parametrize(
    "header",
    [
        *("", "00", "x" * 100_000),
        f"00-{0:032}-{1:016}-00",
        f"00-{1:032}-{0:016}-00",
        f"ff-{1:032}-{1:016}-00",
        f"00-{'g' * 32}-{1:016}-00",
    ],
)
def test_a_broken_traceparent_is_said_to_be_so(tracer: RecordingTracer, header: str) -> None:
    with pytest.raises(SpanContextCorruptedException):
        tracer.extract(Format.HTTP_HEADERS, {"traceparent": header})


def test_no_traceparent_is_no_parent(tracer: RecordingTracer) -> None:
    assert tracer.extract(Format.HTTP_HEADERS, {"baggage": "a=b"}) is None
