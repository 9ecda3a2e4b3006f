"""Records of ``logging`` on the spans under which they are emitted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tornado_opentracing._guard import report
from tornado_opentracing._redaction import known_names, redact_text
from tornado_opentracing._tracebacks import format_exception
from tornado_opentracing.viewer._values import text

if TYPE_CHECKING:
    from opentracing import ScopeManager

#: Of one span; what its application logs by the tracer is not to be pushed out by it.
_MOST_RECORDS = 50
_LARGEST_SPAN = 64 * 1024
_LONGEST_MESSAGE = 2000


class LogRecords(logging.Handler):
    """Puts each record that reaches the root logger onto the span that is active, at the record's time.

    Which records those are, loggers and their levels say as ever: this handler asks for no level of its own. Of one
    span the first 50 are kept; of more, the number is in the span's ``dropped``. It goes by the scope manager, and so
    costs nothing where no span is active.

    :param scope_manager: of the tracer whose spans they are put on.
    """

    def __init__(self, scope_manager: ScopeManager) -> None:
        super().__init__()
        self._scope_manager = scope_manager

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """None is needed: what is done to a span is safe, and a lock could be held while the process is forked."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Do without the lock."""
        self.emit(record)
        return True

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
