"""A tracer that keeps the newest traces in memory, within bounds."""

from __future__ import annotations

import dataclasses
import math
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from opentracing import Format, Reference
from opentracing import tags as ext
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.span import MockSpan

from tornado_opentracing._guard import logger
from tornado_opentracing._redaction import known_names, redact_text
from tornado_opentracing._tracebacks import exception_message, format_exception
from tornado_opentracing.scope_manager import ContextVarsScopeManager
from tornado_opentracing.viewer._codec import W3CPropagator

# What one span may keep, so that a bound on the number of spans is a bound on memory.
_MOST_TAGS = 100
_MOST_LOGS = 100
_LONGEST_VALUE = 10_000

_YEAR_10000 = 253402300800
_LARGEST_EXACT_INT = 2**53  # in JavaScript


class RecordedSpan(MockSpan):
    """A span that keeps no objects of the application's alive."""

    tags: dict[str, Any]
    references: tuple[tuple[str, int], ...] = ()

    def set_operation_name(self, operation_name: str) -> RecordedSpan:
        """Rename the span."""
        super().set_operation_name(_text(operation_name))
        return self

    def set_baggage_item(self, key: str, value: str) -> RecordedSpan:
        """Give a baggage item to the children that are yet to start."""
        super().set_baggage_item(_text(key), _text(value))
        return self

    def finish(self, finish_time: float | None = None) -> None:
        """End the span; now, if the time is none that could be shown."""
        super().finish(_moment(finish_time))

    def set_tag(self, key: str, value: Any) -> RecordedSpan:
        """Keep a tag, as text if it is neither a number nor a truth value."""
        if key in self.tags or len(self.tags) < _MOST_TAGS:
            super().set_tag(_text(key), _kept(value))
        return self

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> RecordedSpan:
        """Keep a log, its values as text."""
        if len(self.logs) < _MOST_LOGS:
            error = key_values.get("error.object")
            fields = dict(list(key_values.items())[:_MOST_TAGS])
            if isinstance(error, BaseException):
                # As OpenTracing's own scopes log it: the text as it is, the traceback as an object.
                fields["error.object"] = exception_message(error)
                if "message" in fields:
                    fields["message"] = redact_text(_text(fields["message"]), known_names())
                if not isinstance(fields.get("stack"), str):
                    fields["stack"] = format_exception(error)
            super().log_kv({_text(name): _kept(value) for name, value in fields.items()}, _moment(timestamp))
        return self

    @property
    def service(self) -> str:
        """The service whose tracer made the span."""
        tracer: Any = self.tracer
        return str(tracer.service)

    def __repr__(self) -> str:
        return f"<span {self.operation_name!r}>"


@dataclasses.dataclass
class Trace:
    """What is known of one trace."""

    trace_id: int
    spans: list[RecordedSpan] = dataclasses.field(default_factory=list)
    dropped: int = 0


class _Store:
    """The newest traces. Spans may come from any thread."""

    def __init__(self, max_traces: int, max_spans_per_trace: int) -> None:
        self.version = 0
        self.viewer_paths: list[re.Pattern[str]] = []
        self._max_traces = max_traces
        self._max_spans = max_spans_per_trace
        self._traces: OrderedDict[int, Trace] = OrderedDict()
        self._lock = threading.Lock()

    def started(self, span: RecordedSpan) -> None:
        with self._lock:
            self.version += 1
            trace_id: Any = span.context.trace_id
            trace = self._traces.get(trace_id)
            if trace is None:
                trace = self._traces[trace_id] = Trace(trace_id)
                if len(self._traces) > self._max_traces:
                    self._traces.popitem(last=False)
            if len(trace.spans) < self._max_spans:
                trace.spans.append(span)
            else:
                trace.dropped += 1

    def finished(self) -> None:
        with self._lock:
            self.version += 1

    def traces(self) -> list[Trace]:
        with self._lock:
            return [dataclasses.replace(trace, spans=trace.spans[:]) for trace in reversed(self._traces.values())]

    def trace(self, trace_id: int) -> Trace | None:
        with self._lock:
            trace = self._traces.get(trace_id)
            return None if trace is None else dataclasses.replace(trace, spans=trace.spans[:])

    def clear(self) -> None:
        with self._lock:
            self.version += 1
            self._traces.clear()


class RecordingTracer(MockTracer):
    """An OpenTracing tracer for development that keeps what it records in memory.

    Its scope manager is a :class:`tornado_opentracing.ContextVarsScopeManager`; ids are random, so that processes can
    share traces; trace headers are W3C's ``traceparent`` and ``baggage``. Any thread may use it. Spans are there from
    their start. Values of tags and logs are kept as text, unless they are numbers, and cut where they are long.

    :param max_traces: how many traces to keep; the oldest go first.
    :param max_spans_per_trace: how many spans of one trace to keep; of the others only the number is known.
    :param service: the name of the service.
    :raises ValueError: for a bound below one.
    """

    def __init__(self, max_traces: int = 200, max_spans_per_trace: int = 2000, *, service: str = "") -> None:
        for name, value in (("max_traces", max_traces), ("max_spans_per_trace", max_spans_per_trace)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive number, not {value!r}")
        super().__init__(ContextVarsScopeManager())
        self.service = _text(service)
        self._store = _Store(max_traces, max_spans_per_trace)
        # Not the shared generator: a test that seeds that one would have the same ids again.
        self._random = random.SystemRandom()
        for format_ in (Format.TEXT_MAP, Format.HTTP_HEADERS):
            self.register_propagator(format_, W3CPropagator())  # type: ignore[arg-type]  # it has what it takes

    def for_service(self, service: str) -> RecordingTracer:
        """A tracer for another service in this process, which records into the same traces."""
        made = RecordingTracer(service=service)
        made._store = self._store
        return made

    def start_span(  # noqa: PLR0917
        self,
        operation_name: str | None = None,
        child_of: Any = None,
        references: list[Reference] | None = None,
        tags: dict[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
    ) -> RecordedSpan:
        """Start a span; see :meth:`opentracing.Tracer.start_span`."""
        made = super().start_span(operation_name, child_of, references, None, _moment(start_time), ignore_active_span)
        span = RecordedSpan(self, _text(operation_name or ""), made.context, made.parent_id, None, made.start_time)
        if child_of is None:
            linked: list[Any] = list(references or ())
            span.references = tuple((link.type, link.referenced_context.span_id) for link in linked)
        for name, value in (tags or {}).items():
            span.set_tag(name, value)
        if self._store.viewer_paths and span.tags.get(ext.SPAN_KIND) == ext.SPAN_KIND_RPC_SERVER:
            self._look_whether_the_viewer_is_hidden(span)
        self._store.started(span)
        return span

    def _not_to_be_traced(self, paths: list[re.Pattern[str]]) -> None:
        """Take note of the viewer's paths: a request for one of them that is traced did not reach the viewer."""
        self._store.viewer_paths += paths

    def _look_whether_the_viewer_is_hidden(self, span: RecordedSpan) -> None:
        path = str(span.tags.get(ext.HTTP_URL)).partition("?")[0]
        if any(pattern.match(path) for pattern in self._store.viewer_paths):
            self._store.viewer_paths = []
            logger.warning(
                "a request for %s did not reach the trace viewer: put viewer_routes before other routes", path
            )

    def traces(self) -> list[Trace]:
        """The traces that are kept, the newest first."""
        return self._store.traces()

    def trace(self, trace_id: int) -> Trace | None:
        """A trace, if it is kept."""
        return self._store.trace(trace_id)

    @property
    def version(self) -> int:
        """A number that changes whenever a span starts or finishes."""
        return self._store.version

    def finished_spans(self) -> list[MockSpan]:
        """The finished spans of the traces that are kept, the newest trace first."""
        return [span for trace in self.traces() for span in trace.spans if span.finished]

    def reset(self) -> None:
        """Forget all traces."""
        self._store.clear()

    def _append_finished_span(self, span: MockSpan) -> None:  # noqa: ARG002
        self._store.finished()

    def _generate_id(self) -> int:
        return self._random.randrange(1, 2**64)


def _kept(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no others
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT_INT:
        return _text(value)
    return value if isinstance(value, (bool, int)) else _text(value)


def _moment(value: Any) -> float:
    """A time in seconds since the epoch; now, where it is none: one in nanoseconds, say."""
    is_time = isinstance(value, (int, float)) and 0 <= value < _YEAR_10000
    return float(value) if is_time else time.time()


def _text(value: Any) -> str:
    try:
        text = value if type(value) is str else str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate fits into no page
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
