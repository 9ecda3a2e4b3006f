# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the bridge makes of the SDK's spans is what the SDK would have made, by its privates or without them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from opentracing import Format
from support import Servers
from support.otel import OpenTelemetry
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import _agreement, _recorded, create_tracer

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331


@pytest.fixture(params=["directly", "through the SDK"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which a span can start."""
    if request.param != "directly":
        monkeypatch.setattr("tornado_opentracing.opentelemetry._starting.agrees", lambda: False)
    span: Any = create_tracer(TracerProvider(ALWAYS_ON, shutdown_on_exit=False)).start_span("work")
    assert (type(span.unwrap()) is _recorded.RecordedSpan) == (request.param == "directly")
    return str(request.param)


@pytest.fixture
def _sdk_complains(caplog: pytest.LogCaptureFixture) -> None:
    """Of what it leaves out, as it is asked to here."""
    caplog.set_level(logging.CRITICAL, "opentelemetry")


class Told(SpanProcessor):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.started: list[tuple[Any, Any, dict[str, Any]]] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append((span, parent_context, dict(span.attributes)))

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


def made(told: Told, **kwargs: Any) -> Any:
    provider = TracerProvider(shutdown_on_exit=False, **kwargs)
    provider.add_span_processor(told)
    return create_tracer(provider)


def remote(tracer: Any, flags: str = "01", **headers: str) -> Any:
    return tracer.extract(Format.HTTP_HEADERS, {"traceparent": f"00-{TRACE:032x}-{SPAN:016x}-{flags}", **headers})


# The self-check


def test_the_self_check_passes_with_the_sdk_that_is_installed() -> None:
    assert _agreement.agrees()


@pytest.mark.parametrize(
    ("owner", "name"), [(sdk.Span, "_lock"), (ReadableSpan, "_name"), (BoundedAttributes, "_dict")]
)
def test_where_a_private_name_is_another_spans_are_whole_all_the_same(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """As in a later SDK, whose own code knows the other name."""
    other = f"{name}_renamed"
    by_other_name = property(
        lambda self: vars(self).get(other, vars(self).get(name)),
        lambda self, value: vars(self).__setitem__(other, value),
    )
    monkeypatch.setattr(owner, name, by_other_name, raising=False)
    told = Told()
    span = made(told, sampler=ALWAYS_ON).start_span("work", tags={"a": 1})
    assert type(span.unwrap()) is not _recorded.RecordedSpan
    span.set_tag("b", 2).log_kv({"event": "c"}).finish()
    (ended,) = told.ended
    assert dict(ended.attributes or {}) == {"a": 1, "b": 2}
    assert [event.name for event in ended.events] == ["c"]


def test_where_the_tracer_has_no_limits_to_look_at_the_public_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    original = sdk.Tracer.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        del self._span_limits

    monkeypatch.setattr(sdk.Tracer, "__init__", init)
    assert not _agreement.agrees()
    create_tracer(TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)).start_span("work").finish()


# Samplers


class Asks(Sampler):
    """Looks at the attributes, and adds one."""

    def __init__(self, decision: Decision = Decision.RECORD_AND_SAMPLE) -> None:
        self.decision = decision
        self.asked: list[Any] = []

    def should_sample(self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
                      links: Any = None, trace_state: Any = None) -> SamplingResult:  # fmt: skip
        self.asked.append((name, kind, attributes))
        state = trace.TraceState([("rule", "7")])
        return SamplingResult(self.decision, {**attributes, "sampler.rule": 7}, state)

    def get_description(self) -> str:
        return "asks"


@pytest.mark.parametrize("around", [lambda sampler: sampler, ParentBased], ids=["alone", "for roots"])
def test_a_sampler_is_asked_once_with_all_attributes_and_may_add_some(way: str, around: Any) -> None:
    asks, told = Asks(), Told()
    tracer = made(told, sampler=around(asks))
    span = tracer.start_span("work", tags={"span.kind": "server", "http.method": "GET"})
    span.finish()
    assert asks.asked == [("work", SpanKind.SERVER, {"http.request.method": "GET"})]
    assert isinstance(asks.asked[0][2], dict)
    assert dict(told.ended[0].attributes or {}) == {"http.request.method": "GET", "sampler.rule": 7}
    assert span.context.unwrap().trace_state["rule"] == "7"


@pytest.mark.usefixtures("_sdk_complains")
def test_what_a_sampler_adds_is_limited_as_all_is(way: str) -> None:
    told = Told()
    tracer = made(told, sampler=Asks(), span_limits=SpanLimits(max_span_attributes=2))
    tracer.start_span("work", tags={"a": 1, "b": 2}).finish()
    (ended,) = told.ended
    assert dict(ended.attributes or {}) == {"b": 2, "sampler.rule": 7}
    assert ended.dropped_attributes == 1


def test_a_span_that_is_only_recorded_is_processed_but_not_exported(way: str) -> None:
    told, exporter = Told(), InMemorySpanExporter()
    provider = TracerProvider(Asks(Decision.RECORD_ONLY), shutdown_on_exit=False)
    provider.add_span_processor(told)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = create_tracer(provider).start_span("work")
    assert span.is_recording()
    assert not span.context.unwrap().trace_flags.sampled
    span.finish()
    assert len(told.ended) == 1
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize(
    "sampler",
    [ALWAYS_OFF, TraceIdRatioBased(0), ParentBased(ALWAYS_OFF), ParentBasedTraceIdRatio(0)],
    ids=lambda sampler: sampler.get_description()[:30],
)
async def test_nothing_is_described_of_a_request_that_is_not_sampled(
    way: str, sampler: Sampler, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[object] = []
    for name in ("of_tags", "put_url", "text"):
        monkeypatch.setattr(f"tornado_opentracing.opentelemetry._attributes.{name}", described.append)
    otel = OpenTelemetry(sampler)
    init_tracing(otel.tracer)
    await AsyncHTTPClient().fetch(servers.start(Application([("/", Plain)])))
    otel.tracer.start_span("work", tags={"a": 1}).set_tag("b", 2).finish()
    # The public way needs a name.
    assert set(described) <= (set() if way == "directly" else {"/", "work"})
    assert not otel.finished


@pytest.mark.parametrize("flags", ["00", "01"])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_parents_decision_is_asked_for_where_the_sampler_says_so(way: str, flags: str, is_local: bool) -> None:
    told = Told()
    sampler = ParentBased(
        ALWAYS_OFF,
        remote_parent_sampled=ALWAYS_ON,
        remote_parent_not_sampled=TraceIdRatioBased(1),
        local_parent_sampled=ALWAYS_OFF,
        local_parent_not_sampled=ALWAYS_ON,
    )
    tracer = made(told, sampler=sampler)
    parent = remote(tracer, flags)
    if is_local:
        identity = SpanContext(TRACE, SPAN, False, TraceFlags(int(flags, 16)))
        with trace.use_span(NonRecordingSpan(identity)):
            tracer.start_span("work").finish()
    else:
        tracer.start_span("work", child_of=parent).finish()
    expected = 0 if is_local and flags == "01" else 1
    assert len(told.ended) == expected
    assert all(span.parent is not None and span.parent.span_id == SPAN for span in told.ended)


def test_a_span_that_is_not_sampled_goes_on_with_its_trace(way: str) -> None:
    tracer = made(Told(), sampler=ParentBased(ALWAYS_ON))
    span = tracer.start_span("work", child_of=remote(tracer, "00", tracestate="a=1"))
    assert not span.is_recording()
    assert span.context.trace_id == TRACE
    assert span.context.span_id not in (0, SPAN)
    carrier: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, carrier)
    assert carrier["traceparent"] == f"00-{TRACE:032x}-{span.context.span_id:016x}-00"
    assert carrier["tracestate"] == "a=1"


def test_the_sampler_may_be_exchanged_later(way: str) -> None:
    told = Told()
    tracer = made(told, sampler=ALWAYS_OFF)
    tracer.unwrap().sampler = ALWAYS_ON
    tracer.start_span("work").finish()
    assert len(told.ended) == 1


# Ids


class Counts(RandomIdGenerator):
    def __init__(self) -> None:
        self.ids = iter(range(1, 100))

    def generate_span_id(self) -> int:
        return next(self.ids)

    def generate_trace_id(self) -> int:
        return next(self.ids)


def test_ids_are_those_of_the_providers_generator(way: str) -> None:
    tracer = made(Told(), sampler=ALWAYS_ON, id_generator=Counts())
    with tracer.start_active_span("a") as a:
        b = tracer.start_span("b")
    assert (a.span.context.trace_id, b.context.trace_id) == (1, 1)
    assert (a.span.context.span_id, b.context.span_id) == (2, 3)
    assert a.span.context.trace_id_hex == f"{1:032x}"
    assert b.context.span_id_hex == f"{3:016x}"


def test_whether_a_trace_id_is_random_is_said_as_the_sdk_says_it(way: str) -> None:
    tracer = made(Told(), sampler=ALWAYS_ON)
    expected = tracer.unwrap().start_span("theirs").get_span_context().trace_flags
    root = tracer.start_span("root")
    assert root.context.unwrap().trace_flags == expected
    assert tracer.start_span("child", child_of=root).context.unwrap().trace_flags == expected
    not_random = tracer.start_span("child", child_of=remote(tracer))
    assert not_random.context.unwrap().trace_flags == 1


# Limits


@pytest.mark.usefixtures("_sdk_complains")
@pytest.mark.parametrize("most", [0, 1, 3, 64, None])
@pytest.mark.parametrize("longest", [None, 2])
def test_attributes_are_limited_as_the_sdk_limits_them(way: str, most: int | None, longest: int | None) -> None:
    unset = SpanLimits.UNSET
    limits = SpanLimits(
        max_span_attributes=unset if most is None else most,
        max_span_attribute_length=unset if longest is None else longest,
    )
    told = Told()
    tracer = made(told, sampler=ALWAYS_ON, span_limits=limits)
    values = {"a": "first", "b": "second", "c": 3}
    theirs = tracer.unwrap().start_span("theirs", attributes=values)
    theirs.set_attribute("d", "fourth")
    theirs.set_attribute("a", "again")
    theirs.end()
    tracer.start_span("ours", tags=values).set_tag("d", "fourth").set_tag("a", "again").finish()
    expected, found = told.ended
    assert dict(found.attributes or {}) == dict(expected.attributes or {})
    assert found.dropped_attributes == expected.dropped_attributes


@pytest.mark.usefixtures("_sdk_complains")
def test_events_and_links_are_limited_as_the_sdk_limits_them(way: str) -> None:
    told = Told()
    limits = SpanLimits(max_events=1, max_links=1, max_event_attributes=1, max_attribute_length=3)
    tracer = made(told, sampler=ALWAYS_ON, span_limits=limits)
    span = tracer.start_span("work")
    for name in ("one", "two"):
        span.log_kv({"event": name, "text": "longer"})
        span.unwrap().add_link(SpanContext(TRACE, SPAN, True), {"a": name})
    span.finish()
    (ended,) = told.ended
    (event,) = ended.events
    assert (event.name, dict(event.attributes or {}), ended.dropped_events) == ("two", {"text": "lon"}, 1)
    assert (len(ended.links), ended.dropped_links) == (1, 1)


# Processors


def test_a_processor_sees_the_span_with_its_attributes_and_its_parents_context(way: str) -> None:
    told = Told()
    tracer = made(told, sampler=ALWAYS_ON)
    with tracer.start_active_span("parent") as parent:
        parent.span.set_baggage_item("user", "ada")
        tracer.start_span("child", tags={"a": 1})
    _, (child, parent_context, attributes) = told.started
    assert isinstance(child, sdk.Span)
    assert attributes == {"a": 1}
    assert trace.get_current_span(parent_context) is parent.span.unwrap()
    assert baggage.get_all(parent_context) == {"user": "ada"}


def test_a_processor_may_change_the_span_at_its_start(way: str) -> None:
    class Changes(Told):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attribute("added", True)
            span.update_name("renamed")

    told = Changes()
    made(told, sampler=ALWAYS_ON).start_span("work", tags={"a": 1}).finish()
    assert (told.ended[0].name, dict(told.ended[0].attributes or {})) == ("renamed", {"a": 1, "added": True})


def test_a_processor_that_is_added_later_is_told_of_what_starts_then(way: str) -> None:
    provider = TracerProvider(ALWAYS_ON, shutdown_on_exit=False)
    tracer, told = create_tracer(provider), Told()
    tracer.start_span("before").finish()
    provider.add_span_processor(told)
    tracer.start_span("after").finish()
    assert [span.name for span in told.ended] == ["after"]


def test_processors_that_work_in_threads_are_told_too(way: str) -> None:
    told = Told()
    processors = sdk.ConcurrentMultiSpanProcessor()
    made(told, sampler=ALWAYS_ON, active_span_processor=processors).start_span("work").finish()
    processors._executor.shutdown()
    assert [span.name for span in told.ended] == ["work"]


@pytest.mark.usefixtures("_sdk_complains")
def test_what_is_exported_is_no_longer_a_span_that_could_be_changed(way: str) -> None:
    told = Told()
    span = made(told, sampler=ALWAYS_ON).start_span("work", tags={"a": 1})
    span.finish()
    (ended,) = told.ended
    assert type(ended) is ReadableSpan
    span.unwrap().set_attribute("a", 2)
    span.set_tag("a", 2).log_kv({"event": "late"})
    assert (dict(ended.attributes or {}), list(ended.events)) == ({"a": 1}, [])


def test_a_span_has_all_that_the_sdks_own_has(way: str) -> None:
    """As JSON, but for what tells two spans apart."""
    told = Told()
    tracer = made(told, sampler=ALWAYS_ON)
    parent = SpanContext(TRACE, SPAN, True, TraceFlags(1))
    link = trace.Link(SpanContext(5, 6, False), {"opentracing.ref_type": "follows_from"})
    theirs = tracer.unwrap().start_span(
        "work", trace.set_span_in_context(NonRecordingSpan(parent)), SpanKind.CLIENT, {"a": 1}, start_time=10**9
    )
    ours = tracer.start_span(
        "work", child_of=remote(tracer), tags={"span.kind": "client", "a": 1}, start_time=1
    ).unwrap()
    for span in (theirs, ours):
        span.add_event("b", {"c": True}, 2)
        span.add_link(link.context, link.attributes)
        span.set_status(StatusCode.ERROR, "no")
        span.end(3 * 10**9)
    first, second = told.ended
    second._context = first._context
    assert first.to_json() == second.to_json()
    assert first.instrumentation_scope == second.instrumentation_scope
    assert first.resource == second.resource


# Providers


def test_each_provider_has_its_own_spans(way: str) -> None:
    first, second = Told(), Told()
    outer, inner = made(first, sampler=ALWAYS_ON), made(second, sampler=ALWAYS_ON)
    with outer.start_active_span("outer") as scope, inner.start_active_span("inner"):
        pass
    assert ([span.name for span in first.ended], [span.name for span in second.ended]) == (["outer"], ["inner"])
    assert second.ended[0].parent is not None
    assert second.ended[0].parent.span_id == scope.span.context.span_id


@pytest.mark.usefixtures("_sdk_complains")
def test_a_disabled_sdk_makes_no_spans_but_passes_on_what_came(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    told = Told()
    tracer = made(told)
    span = tracer.start_span("work", child_of=remote(tracer), tags={"a": 1})
    span.set_tag("b", 1).log_kv({"event": "error"}).finish()
    assert not told.started
    expected = tracer.unwrap().start_span("theirs", remote(tracer).carrying).get_span_context()
    assert span.context.unwrap() == expected


def test_a_provider_that_is_set_later_gets_the_spans_of_a_tracer_made_before() -> None:
    """The API's own stand-in, until then: it makes spans that are not recorded."""
    tracer = create_tracer(trace.ProxyTracerProvider())
    span = tracer.start_span("work", tags={"a": 1})
    assert not span.is_recording()
    span.finish()


class Plain(RequestHandler):
    def get(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    token = context.attach(context.Context())
    yield
    context.detach(token)
