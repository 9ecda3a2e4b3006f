# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How a span starts: one decision of the sampler first, and only where the span is recorded is it described."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import (
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, SpanContext, TraceFlags

from tornado_opentracing.opentelemetry._agreement import agrees
from tornado_opentracing.opentelemetry._recorded import Recorder, identity

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Link

    from tornado_opentracing.opentelemetry._described import Described

    Decide = Callable[[SpanContext | None, int], Decision]
    Start = Callable[[str, Described, Context, SpanContext | None, Sequence[Link], int | None], trace.Span]

#: What :class:`ParentBased` asks: for a root, then by whether the parent is remote and whether it is sampled.
_DELEGATES = (
    "_root",
    "_local_parent_not_sampled",
    "_local_parent_sampled",
    "_remote_parent_not_sampled",
    "_remote_parent_sampled",
)
# An enumeration's members are slow to look up.
_DROP, _SAMPLE = Decision.DROP, Decision.RECORD_AND_SAMPLE
_LAST_64_BITS = TraceIdRatioBased.TRACE_ID_LIMIT
#: A flag that came after the lowest SDK that is admitted: 0 there.
_RANDOM = int(getattr(TraceFlags, "RANDOM_TRACE_ID", 0))
_FLAGS = [TraceFlags(flags) for flags in range(4)]


def starter(tracer: trace.Tracer) -> Start:
    """What starts the spans of a tracer: ``start(operation_name, described, context, parent, links, start_time)``.

    ``described`` is asked for name and attributes where somebody needs them; ``parent`` is the valid span context in
    ``context``, or ``None``; ``start_time`` is in nanoseconds.
    """
    by_sdk = ThroughSdk(tracer)
    if type(tracer) is not SdkTracer:
        return by_sdk.start
    metrics = getattr(tracer, "_tracer_metrics", None)
    if agrees() and (metrics is None or type(metrics).__name__ == "NoOpTracerMetrics"):
        return Directly(tracer, by_sdk).start
    return by_sdk.start


class ThroughSdk:
    """Starts spans as anybody does."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        operation_name: str,
        described: Described,
        context: Context,
        _parent: SpanContext | None,
        links: Sequence[Link],
        start_time: int | None,
    ) -> trace.Span:
        """Start a span."""
        sampler = getattr(self._tracer, "sampler", None)
        needs_none = type(self._tracer) is NoOpTracer or (sampler is not None and decider(sampler) is not None)
        attributes: Mapping[str, Any] = _Late(described) if needs_none else described.attributes()
        name = described.name(operation_name)
        # It may limit a link's attributes in place.
        own = [trace.Link(link.context, link.attributes) for link in links]
        return self._tracer.start_span(name, context, described.kind, attributes, own, start_time)


class Directly:
    """Starts spans of the SDK's tracer as that does, without what it does to be safe from us."""

    def __init__(self, tracer: SdkTracer, by_sdk: ThroughSdk) -> None:
        self._tracer = tracer
        self._by_sdk = by_sdk
        self._recorder = Recorder(tracer)
        self._is_enabled: Callable[[], bool] | None = getattr(tracer, "_is_enabled", None)
        self._sampler: Sampler = tracer.sampler
        self._decide = decider(tracer.sampler)
        self._ids = tracer.id_generator
        self._random = _random_flag(tracer.id_generator)

    def start(  # noqa: PLR0917 - keywords cost more
        self,
        operation_name: str,
        described: Described,
        context: Context,
        parent: SpanContext | None,
        links: Sequence[Link],
        start_time: int | None,
    ) -> trace.Span:
        """Start a span."""
        tracer = self._tracer
        if self._is_enabled is not None and not self._is_enabled():
            return self._by_sdk.start(operation_name, described, context, parent, links, start_time)
        ids = tracer.id_generator
        if parent is None:
            trace_id, state = ids.generate_trace_id(), None
            if ids is not self._ids:
                self._ids, self._random = ids, _random_flag(ids)
            flags = self._random
        else:
            trace_id, _, _, flags, state, _ = parent
            flags &= _RANDOM
        if tracer.sampler is not self._sampler:
            self._sampler, self._decide = tracer.sampler, decider(tracer.sampler)
        result = None
        if self._decide is not None:
            decision = self._decide(parent, trace_id)
        else:
            result = self._ask(operation_name, described, context, trace_id, links)
            decision, state = result.decision, result.trace_state
        span_id = ids.generate_span_id()
        if decision is _DROP:
            return NonRecordingSpan(identity(trace_id, span_id, _FLAGS[flags], state))
        itself = identity(trace_id, span_id, _FLAGS[flags | (decision is _SAMPLE)], state)
        # What a sampler adds is not known to be valid.
        attributes = described.attributes() if result is None else result.attributes
        name, kind = described.name(operation_name), described.kind
        is_valid = result is None
        return self._recorder.start(name, itself, parent, kind, attributes, is_valid, context, start_time, links)

    def _ask(
        self, operation_name: str, described: Described, context: Context, trace_id: int, links: Sequence[Link]
    ) -> SamplingResult:
        name, attributes = described.name(operation_name), described.attributes()
        return self._tracer.sampler.should_sample(context, trace_id, name, described.kind, attributes, links)


def _random_flag(ids: IdGenerator) -> int:
    return _RANDOM if _RANDOM and ids.is_trace_id_random() else 0


def decider(sampler: Any) -> Decide | None:
    """The decision of a sampler of the SDK's, by parent and trace id; ``None`` for one that may ask for more."""
    decides = type(sampler).should_sample if isinstance(sampler, Sampler) else None
    if decides is StaticSampler.should_sample:
        constant = sampler.should_sample(None, 0, "").decision
        return lambda _parent, _trace_id: constant
    if decides is TraceIdRatioBased.should_sample:
        bound: int = sampler.bound
        return lambda _parent, trace_id: _SAMPLE if trace_id & _LAST_64_BITS < bound else _DROP
    if decides is not ParentBased.should_sample:
        return None
    delegates = [found for name in _DELEGATES if (found := decider(getattr(sampler, name, None))) is not None]
    if len(delegates) != len(_DELEGATES):
        return None
    root, *others = delegates

    def decide(parent: SpanContext | None, trace_id: int) -> Decision:
        if parent is None:
            return root(None, trace_id)
        _, _, is_remote, flags, _, _ = parent
        return others[2 * is_remote + (flags & 1)](parent, trace_id)

    return decide


class _Late(Mapping[str, Any]):
    """Attributes that are described when somebody looks at them."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._found: dict[str, Any] | None = None

    def _look(self) -> dict[str, Any]:
        if self._found is None:
            self._found = self._described.attributes()
        return self._found

    def __getitem__(self, name: str) -> Any:
        return self._look()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def copy(self) -> dict[str, Any]:
        """As a dict's, which the SDK once called."""
        return self._look().copy()
