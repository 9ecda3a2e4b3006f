"""What is done with a failure that is not the application's: a tracer's, or a callback's.

It is logged once, with its secrets redacted, and never seen by the application.
"""

from __future__ import annotations

import inspect
import logging
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, cast

from tornado_opentracing import _redaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentracing import Span

logger = logging.getLogger("tornado_opentracing")

_REPORT_INTERVAL = 60.0
_reported: dict[str, tuple[float, int]] = {}


def report(doing: str) -> None:
    """Log the exception being handled, which is a tracer's or a callback's, and go on.

    At most once a minute for each thing that can fail, so that a broken tracer cannot flood the log.
    """
    now = time.monotonic()
    last, left_out = _reported.get(doing, (-_REPORT_INTERVAL, 0))
    if now - last < _REPORT_INTERVAL:
        _reported[doing] = (last, left_out + 1)
        return
    _reported[doing] = (now, 0)
    if logger.isEnabledFor(logging.WARNING):
        message = "%s failed; the application is not affected"
        if left_out:
            message += f" ({left_out} more since the last report)"
        exc_info = cast("Any", sys.exc_info())
        record = logger.makeRecord(logger.name, logging.WARNING, __file__, 0, message, (doing,), exc_info, "report")
        # What a formatter would otherwise make of the exception: its text may contain the request's secrets.
        record.exc_text = _redaction.redact_text(format_exception(exc_info[1]), _redaction.params_in_log)
        logger.handle(record)


def call_back(name: str, callback: Callable[[Span, Any], object], span: Span, subject: Any) -> None:
    """Call a callback of the application."""
    try:
        callback(span, subject)
    except Exception:
        report(name)


def unless_false(answer: object) -> bool:
    """What an answer means where only ``False`` is a no."""
    return answer is not False


def ask(
    name: str,
    question: Callable[[Any], object],
    subject: Any,
    *,
    otherwise: bool,
    meaning: Callable[[object], bool] = unless_false,
) -> bool:
    """Ask a callback of the application.

    :param otherwise: the answer where it raises, or has none to give at once.
    :param meaning: what its answer means.
    """
    try:
        answer = question(subject)
        if inspect.isawaitable(answer):
            raise TypeError(f"{name} must answer at once, not with an awaitable")
        return meaning(answer)
    except Exception:
        report(name)
        return otherwise


def format_exception(error: BaseException) -> str:
    """An exception's traceback as text, without the carets, which take longer than all the rest to place."""
    # Only with it do these tell which name was meant.
    named = error.__traceback__ if isinstance(error, (NameError, AttributeError)) else None
    formatted = traceback.TracebackException(type(error), error, named, compact=True)
    formatted.stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__))
    return "".join(formatted.format()).rstrip("\n")
