# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Records of ``logging`` on the spans under which they are emitted."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._redaction import known_names, redact_text
from tornado_opentracing._tracebacks import format_exception
from tornado_opentracing.viewer._values import text

if TYPE_CHECKING:
    from opentracing import ScopeManager

#: Of one span; what its application logs by the tracer is not to be pushed out by it.
_MOST_RECORDS = 50
_LARGEST_SPAN = 64 * 1024
_LONGEST_MESSAGE = 2000


class LogRecords:
    """Puts each record that reaches the root logger onto the span that is active, at the record's time.

    Which records those are, loggers and their levels say as ever. Of one span the first 50 are kept; of more, the
    number is in the span's ``dropped``. It goes by the scope manager, and so costs next to nothing where no span is
    active.

    It is no handler of the root logger. Where that has one, ``logging.basicConfig``, Tornado's ``parse_command_line``
    and ``logging.lastResort`` do nothing, so that a program would log nowhere; and ``dictConfig`` removes all that it
    finds. So it takes the records where loggers pass them to handlers.

    :param scope_manager: of the tracer whose spans they are put on.
    """

    def __init__(self, scope_manager: ScopeManager) -> None:
        self._scope_manager = scope_manager

    def start(self) -> None:
        """Show records from now on."""
        global _showing  # noqa: PLW0603 - loggers are the process's
        _showing = (*_showing, self)
        _PATCH.apply()

    def stop(self) -> None:
        """Show no more; may be called again."""
        global _showing  # noqa: PLW0603
        _showing = tuple(other for other in _showing if other is not self)
        if not _showing:
            _PATCH.remove()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record onto the span that is active, if there is one. Never raises."""
        try:
            scope = self._scope_manager.active
            if scope is not None:
                _put(scope.span, record)
        except Exception:
            report("showing a log record in its trace")


def _put(span: Any, record: logging.LogRecord) -> None:
    if span.log_records >= _MOST_RECORDS or span.size > _LARGEST_SPAN:
        span.dropped += 1
        return
    span.log_records += 1
    fields: dict[str, Any] = {
        "event": "log",
        "level": record.levelname,
        "logger": record.name,
        "message": redact_text(text(record.getMessage(), _LONGEST_MESSAGE), known_names()),
        "source": f"{record.pathname}:{record.lineno}",
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields["stack"] = format_exception(record.exc_info[1])
    span.log_kv(fields, record.created)


def _call_handlers_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        original(self, record)
        if layer.enabled and _reaches_root(self):
            for records in _showing:
                records.emit(record)

    return call_handlers


def _reaches_root(logger: logging.Logger) -> bool:
    while logger.parent is not None and logger.propagate:
        logger = logger.parent
    return logger is logging.getLogger()


#: Those that show records at present.
_showing: tuple[LogRecords, ...] = ()
_PATCH = Patch(logging.Logger, "callHandlers", _call_handlers_hook)
