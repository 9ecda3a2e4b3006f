# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which trace a line of the log belongs to."""

from __future__ import annotations

import logging
from typing import Any

from tornado_opentracing._guard import report
from tornado_opentracing._settings.current import current_tracer

__all__ = ["TraceIdFilter"]

_TRACE_ID_DIGITS = 32
_SPAN_ID_DIGITS = 16


class TraceIdFilter(logging.Filter):
    """Gives every log record ``trace_id``, ``span_id`` and ``service``, for formatters to name.

    The ids are those of the span that is active where the record is made, in the tracer that :func:`current_tracer`
    finds there: 32 and 16 hexadecimal digits, as back ends show them, and all zeros where no span is active. Within a
    request that is so to its end, Tornado's own line in the access log included. Add it to handlers, for a logger's
    filters see only what is logged on that very logger. It lets every record pass, never raises, and leaves
    attributes that a record has already: a record that comes from a queue keeps those of where it was made.

    .. code-block:: python

        handler.addFilter(TraceIdFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s %(trace_id)s %(span_id)s %(message)s"))
    """

    def __init__(self, service: str | None = None) -> None:
        """Make a filter, which looks up the tracer at each record.

        :param service: the value of ``service``. ``None`` means what the tracer says of itself, as OpenTelemetry's,
            Jaeger's and ``RecordingTracer`` do, else the empty string.
        """
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        """Set what the record has not; always ``True``."""
        tracer = current_tracer()
        trace_id, span_id = _active_ids(tracer)
        found = vars(record)
        found.setdefault("trace_id", f"{trace_id:0{_TRACE_ID_DIGITS}x}")
        found.setdefault("span_id", f"{span_id:0{_SPAN_ID_DIGITS}x}")
        found.setdefault("service", _service_of(tracer) if self._service is None else self._service)
        return True


def _active_ids(tracer: Any) -> tuple[int, int]:
    """The ids of the active span; every tracer's span context has them by these names but the no-op tracer's."""
    try:
        span = tracer.active_span
        if span is None:
            return 0, 0
        context = span.context
        unwrap = getattr(context, "unwrap", None)
        if unwrap is not None:  # OpenTelemetry's within
            context = unwrap()
        trace_id, span_id = getattr(context, "trace_id", None), getattr(context, "span_id", None)
        return _number(trace_id, _TRACE_ID_DIGITS), _number(span_id, _SPAN_ID_DIGITS)
    except Exception:
        report("reading which trace a log record belongs to")
        return 0, 0


def _number(value: Any, digits: int) -> int:
    number = int(value, 16) if isinstance(value, str) else int(value or 0)
    return number & (1 << 4 * digits) - 1


def _service_of(tracer: Any) -> str:
    try:
        unwrap = getattr(tracer, "unwrap", None)
        if unwrap is not None:
            resource = getattr(unwrap(), "resource", None)
            return "" if resource is None else str(resource.attributes.get("service.name", ""))
        return str(getattr(tracer, "service_name", None) or getattr(tracer, "service", None) or "")
    except Exception:
        report("asking a tracer for its service")
        return ""
