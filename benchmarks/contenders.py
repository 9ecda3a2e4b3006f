# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Who is compared: bare Tornado, tracing written by hand, this package, and its peers.

None sends anything anywhere, but those that are "collected".
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tornado.web import Application

TORNADO = "tornado==6.6.1"
_EXPORTER = "opentelemetry-exporter-otlp-proto-http==1.45.1"
#: What is installed into each environment, beside Tornado.
ENVIRONMENTS: Mapping[str, list[str]] = {
    "ours": [".", "opentelemetry-sdk==1.45.1", "opentelemetry-opentracing-shim==0.66b1", _EXPORTER],
    "opentelemetry": ["opentelemetry-sdk==1.45.1", _EXPORTER, "opentelemetry-instrumentation-tornado==0.66b1"],
    "datadog": ["ddtrace==4.16.0"],
    "elastic": ["elastic-apm==6.26.2"],
    "sentry": ["sentry-sdk==2.75.0"],
}


@dataclass
class Tracing:
    """A way of tracing, switched on in this process."""

    #: An OpenTracing tracer to trace with by hand.
    by_hand: Any = None
    #: A tracer of OpenTelemetry's, likewise.
    opentelemetry_by_hand: Any = None
    #: An OpenTracing tracer whose scope manager is measured.
    tracer: Any = None
    #: Opens a span within which a child's work is done.
    child: Callable[[], AbstractContextManager[object]] | None = None
    #: Switches it on with other options.
    configure: Callable[..., None] | None = None
    #: Decorates a single method of a handler.
    decorate: Callable[[Any], Any] | None = None
    #: What an Application needs to be traced.
    equip: Callable[[Application], object] = lambda _: None
    #: Forgets the spans that the tracer keeps.
    reset: Callable[[], None] = lambda: None
    settings: dict[str, Any] = field(default_factory=dict)
    is_bare: bool = False


@dataclass(frozen=True)
class Contender:
    """One way of tracing, in its environment."""

    name: str
    environment: str
    switch_on: Callable[[], Tracing]
    #: It takes part in the scenarios whose names begin so.
    part: str = ""


def of_noop() -> Any:
    import opentracing

    from tornado_opentracing import ContextVarsScopeManager

    return opentracing.Tracer(ContextVarsScopeManager())


def of_mock() -> Any:
    from opentracing.mocktracer import MockTracer

    from tornado_opentracing import ContextVarsScopeManager

    return MockTracer(ContextVarsScopeManager())


def of_mock_with_opentracings_scopes() -> Any:
    from opentracing.mocktracer import MockTracer
    from opentracing.scope_managers.contextvars import ContextVarsScopeManager

    return MockTracer(ContextVarsScopeManager())


def of_bridge(*, rate: float = 1.0, is_exported: bool = False) -> Any:
    from tornado_opentracing.opentelemetry import create_tracer

    return create_tracer(_provider(rate=rate, is_exported=is_exported))


def of_collected_bridge() -> Any:
    from tornado_opentracing.opentelemetry import create_tracer

    return create_tracer()


def with_metrics() -> Tracing:
    from tornado_opentracing.opentelemetry import init_metrics

    tracing = ours(of_bridge)
    init_metrics(_meter_provider())
    return tracing


def _meter_provider() -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def _provider(*, rate: float, is_exported: bool) -> Any:
    """Samples by the trace's id; encodes each span as it is exported, and forgets it."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased

    class Encoding(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    provider = TracerProvider(sampler=ALWAYS_ON if rate == 1.0 else ParentBased(TraceIdRatioBased(rate)))
    if is_exported:
        provider.add_span_processor(SimpleSpanProcessor(Encoding()))
    return provider


def of_shim() -> Any:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.shim.opentracing_shim import create_tracer

    return create_tracer(TracerProvider())


def by_hand(make_tracer: Callable[[], Any]) -> Tracing:
    tracer = make_tracer()
    return Tracing(by_hand=tracer, tracer=tracer, **_opentracing(tracer))


def ours(make_tracer: Callable[[], Any]) -> Tracing:
    from tornado_opentracing import init_tracing, trace

    tracer = make_tracer()
    init_tracing(tracer)
    configure = functools.partial(init_tracing, tracer)
    return Tracing(tracer=tracer, configure=configure, decorate=trace, **_opentracing(tracer))


def _opentracing(tracer: Any) -> dict[str, Any]:
    return {
        "child": functools.partial(tracer.start_active_span, "child"),
        "reset": getattr(tracer, "reset", lambda: None),
    }


def opentelemetry_by_hand() -> Tracing:
    from opentelemetry import trace

    trace.set_tracer_provider(_provider(rate=1.0, is_exported=False))
    return Tracing(opentelemetry_by_hand=trace.get_tracer("by hand"))


def opentelemetry(
    *, sdk: bool, metrics: bool = True, rate: float = 1.0, is_exported: bool = False, is_collected: bool = False
) -> Tracing:
    # The names that are stable, which are this package's.
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    from opentelemetry import trace
    from opentelemetry.instrumentation.tornado import TornadoInstrumentor
    from opentelemetry.metrics import NoOpMeterProvider

    if is_collected:
        trace.set_tracer_provider(_collected_provider())
    elif sdk:
        trace.set_tracer_provider(_provider(rate=rate, is_exported=is_exported))
    TornadoInstrumentor().instrument(meter_provider=_meter_provider() if sdk and metrics else NoOpMeterProvider())
    return Tracing(child=functools.partial(trace.get_tracer("children").start_as_current_span, "child"))


def _collected_provider() -> Any:
    """As ``opentelemetry-instrument`` makes it."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def datadog(*, enabled: bool) -> Tracing:
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    class Drop(TraceFilter):  # type: ignore[misc,unused-ignore]
        def process_trace(self, trace: Any) -> None:
            return None

    ddtrace.patch(tornado=True)
    tracer.configure(trace_processors=[Drop()])
    tracer.enabled = enabled
    settings = {"datadog_trace": {"enabled": enabled, "settings": {"FILTERS": [Drop()]}}}
    return Tracing(child=functools.partial(tracer.trace, "child"), settings=settings)


def elastic(*, rate: float) -> Tracing:
    import elasticapm
    from elasticapm.contrib.tornado import ElasticAPM

    client = elasticapm.Client(
        service_name="benchmark", disable_send=True, transaction_sample_rate=rate, central_config=False,
        cloud_provider="none", metrics_interval="0ms",
    )  # fmt: skip
    return Tracing(equip=functools.partial(ElasticAPM, client=client))


def sentry(*, rate: float) -> Tracing:
    import sentry_sdk
    from sentry_sdk.integrations.tornado import TornadoIntegration
    from sentry_sdk.transport import Transport

    class Drop(Transport):  # type: ignore[misc,unused-ignore]
        def capture_envelope(self, envelope: Any) -> None:
            pass

    sentry_sdk.init(
        "http://key@localhost/1", transport=Drop(), traces_sample_rate=rate, integrations=[TornadoIntegration()]
    )
    return Tracing()


NOOP, MOCK, BRIDGE, SHIM = "no-op tracer", "MockTracer", "OpenTelemetry SDK, bridge", "OpenTelemetry SDK, shim"
_TRACERS = {NOOP: of_noop, MOCK: of_mock, BRIDGE: of_bridge, SHIM: of_shim}
_partial = functools.partial

BARE = "bare Tornado"
BY_HAND = "by hand"
OURS = "tornado_opentracing"
OPENTELEMETRY = "OpenTelemetry's"
SCOPES = "opentracing's scopes"

#: The part of those whose spans go over OTLP to a collector in a process of its own.
COLLECTED = "collected"

#: What only requests are measured with.
_ON_REQUESTS: Mapping[str, dict[str, Any]] = {"sampled at 1%": {"rate": 0.01}, "exported": {"is_exported": True}}

CONTENDERS = {
    contender.name: contender
    for contender in [
        Contender(BARE, "ours", _partial(Tracing, is_bare=True)),
        *(Contender(f"{BY_HAND}, {name}", "ours", _partial(by_hand, make)) for name, make in _TRACERS.items()),
        *(Contender(f"{OURS}, {name}", "ours", _partial(ours, make)) for name, make in _TRACERS.items()),
        Contender(SCOPES, "ours", _partial(by_hand, of_mock_with_opentracings_scopes), part="scope"),
        Contender(f"{OPENTELEMETRY}, SDK", "opentelemetry", _partial(opentelemetry, sdk=True)),
        Contender(
            f"{OPENTELEMETRY}, SDK, traces alone", "opentelemetry", _partial(opentelemetry, sdk=True, metrics=False)
        ),
        *(
            contender
            for what, how in _ON_REQUESTS.items()
            for contender in (
                Contender(
                    f"{OURS}, {BRIDGE}, {what}", "ours", _partial(ours, _partial(of_bridge, **how)), part="request"
                ),
                Contender(
                    f"{OPENTELEMETRY}, SDK, traces alone, {what}",
                    "opentelemetry",
                    _partial(opentelemetry, sdk=True, metrics=False, **how),
                    part="request",
                ),
            )
        ),
        Contender(f"{OURS}, {BRIDGE}, metrics", "ours", with_metrics, part="request"),
        Contender(f"{OURS}, {BRIDGE}, {COLLECTED}", "ours", _partial(ours, of_collected_bridge), part=COLLECTED),
        Contender(
            f"{OPENTELEMETRY}, SDK, traces alone, {COLLECTED}",
            "opentelemetry",
            _partial(opentelemetry, sdk=True, metrics=False, is_collected=True),
            part=COLLECTED,
        ),
        Contender(f"{BY_HAND}, {OPENTELEMETRY} API", "ours", opentelemetry_by_hand, part="request"),
        Contender(f"{OPENTELEMETRY}, API only", "opentelemetry", _partial(opentelemetry, sdk=False)),
        Contender("Datadog's", "datadog", _partial(datadog, enabled=True)),
        Contender("Datadog's, off", "datadog", _partial(datadog, enabled=False)),
        Contender("Elastic's", "elastic", _partial(elastic, rate=1.0)),
        Contender("Elastic's, rate 0", "elastic", _partial(elastic, rate=0.0)),
        Contender("Sentry's", "sentry", _partial(sentry, rate=1.0)),
        Contender("Sentry's, rate 0", "sentry", _partial(sentry, rate=0.0)),
    ]
}
