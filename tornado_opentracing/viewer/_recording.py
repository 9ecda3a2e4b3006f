# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that keeps the newest traces in memory, within bounds."""

from __future__ import annotations

import os
import random
import re
import time
from typing import Any

import opentracing
from opentracing import Format, Reference
from opentracing import tags as ext
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.context import SpanContext
from opentracing.mocktracer.span import MockSpan

from tornado_opentracing._guard import logger
from tornado_opentracing.scope_manager import ContextVarsScopeManager
from tornado_opentracing.viewer._codec import W3CPropagator
from tornado_opentracing.viewer._export import Exporter
from tornado_opentracing.viewer._log_records import LogRecords
from tornado_opentracing.viewer._span import RecordedSpan
from tornado_opentracing.viewer._store import Store
from tornado_opentracing.viewer._trace import Trace
from tornado_opentracing.viewer._values import LONGEST, moment, text

#: The variable of the environment by which the command says where its store is.
EXPORT_TO = "TORNADO_OPENTRACING_EXPORT_TO"

#: Not the shared generator: a test that seeds that one would have the same ids again. So would a forked process.
_ids = random.Random()  # noqa: S311 - they are no secrets
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.seed)

_new: Any = object.__new__


class RecordingTracer(MockTracer):
    """An OpenTracing tracer for development that keeps what it records in memory.

    Its scope manager is a :class:`tornado_opentracing.ContextVarsScopeManager`; ids are random, so that processes can
    share traces; trace headers are W3C's ``traceparent`` and ``baggage``. Any thread may use it. Spans are there from
    their start. Values of tags and logs are kept as text, unless they are numbers, and cut where they are long; what is
    too much for a span, a trace or all of them is not kept, and its number is.

    :param max_traces: how many traces to keep. Of those that are finished, the quick and successful ones go first,
        but of the newer half none; those that are running stay.
    :param max_spans_per_trace: how many spans of one trace to keep; of the others only the number is known.
    :param service: the name of the service.
    :param max_bytes: how many bytes of memory all traces may take.
    :param export_to: the address of a store, such as ``http://127.0.0.1:8765``, to which finished spans are sent, too.
        ``None`` means the one of the command by which the process was started, if that was so.
    :param log_records: whether records of ``logging`` that reach the root logger are shown on the span under which they
        are emitted, 50 of each span at most; until :meth:`close`.
    :raises ValueError: for a bound below one, or an address that is none.
    """

    def __init__(
        self,
        max_traces: int = 2000,
        max_spans_per_trace: int = 2000,
        *,
        service: str = "",
        max_bytes: int = 64 * 1024 * 1024,
        export_to: str | None = None,
        log_records: bool = False,
    ) -> None:
        bounds = {"max_traces": max_traces, "max_spans_per_trace": max_spans_per_trace, "max_bytes": max_bytes}
        for name, value in bounds.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive number, not {value!r}")
        super().__init__(ContextVarsScopeManager())
        self.service = text(service)
        self._store = Store(max_traces, max_spans_per_trace, max_bytes)
        address = os.environ.get(EXPORT_TO) if export_to is None else export_to
        self._exporter = Exporter(self._store, address) if address else None
        self._log_records: LogRecords | None = None
        if log_records:
            self._log_records = LogRecords(self.scope_manager)
            self._log_records.start()
        for format_ in (Format.TEXT_MAP, Format.HTTP_HEADERS):
            self.register_propagator(format_, W3CPropagator())  # type: ignore[arg-type]  # it has what it takes

    def for_service(self, service: str) -> RecordingTracer:
        """A tracer for another service in this process, which records into the same traces."""
        made = RecordingTracer(service=service, export_to="")
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
        parent: Any = None
        linked: list[Any] | None = None
        if child_of is not None:
            parent = child_of if isinstance(child_of, opentracing.SpanContext) else child_of.context
        elif references:
            linked = list(references)
            parent = linked[0].referenced_context
        if parent is None and not ignore_active_span:
            scope = self.scope_manager.active
            if scope is not None:
                parent = scope.span.context
        span_id = _ids.getrandbits(64) or 1
        # Not by its __init__, which would be one more call for every span.
        context = _new(SpanContext)
        context.span_id = span_id
        if parent is None:
            context.trace_id, context._baggage = _ids.getrandbits(64) or 1, SpanContext.EMPTY_BAGGAGE
            parent_id = None
        else:
            # The dictionary is shared, for none is ever changed.
            context.trace_id = parent.trace_id
            # Not by way of the property, which costs.
            is_own = type(parent) is SpanContext
            context._baggage = parent._baggage if is_own else parent.baggage
            parent_id = parent.span_id
        begin = time.time() if start_time is None else moment(start_time)
        store = self._store
        if operation_name is None or not operation_name.isascii() or len(operation_name) > LONGEST:
            operation_name = text(operation_name or "")
        span = RecordedSpan(self, operation_name, context, parent_id, begin, tags)
        if linked:
            span.references = tuple((link.type, link.referenced_context.span_id) for link in linked)
        if store.viewer_paths and span.tags.get(ext.SPAN_KIND) == ext.SPAN_KIND_RPC_SERVER:
            self._look_whether_the_viewer_is_hidden(span)
        store.started(span, parent)
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
        """The traces that are kept, the newest first. They go on changing as spans arrive."""
        return self._store.traces()

    def trace(self, trace_id: int) -> Trace | None:
        """A trace, if it is kept."""
        return self._store.trace(trace_id)

    @property
    def version(self) -> int:
        """A number that changes whenever a span starts or finishes."""
        return self._store.version

    @property
    def refused(self) -> int:
        """How many traces were not kept, for want of room beside those that were running."""
        return self._store.refused

    def finished_spans(self) -> list[MockSpan]:
        """The finished spans of the traces that are kept, the newest trace first."""
        return [span for trace in self.traces() for span in trace.spans if span.finished]

    def export_to(self, address: str) -> None:
        """Send what is finished from now on to a store, too."""
        self._stop_exporting()
        self._exporter = Exporter(self._store, address)

    def close(self) -> None:
        """Send what there is to the store that it exports to, and no more from then on; show no more log records."""
        if self._log_records is not None:
            self._log_records.stop()
        self._stop_exporting()

    def _stop_exporting(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.stop()

    def reset(self) -> None:
        """Forget all traces."""
        self._store.clear()
