# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done with a failure that is not the application's: a tracer's, or a callback's.

It is logged once, with its secrets redacted, and never seen by the application.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tornado_opentracing._tracebacks import format_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentracing import Span

logger = logging.getLogger("tornado_opentracing")

_REPORT_INTERVAL = 60.0

_reported: dict[str, tuple[float, int]] = {}
_counting = threading.RLock()  # the collector may call a finalizer in the middle of it, which fails too


def report(doing: str) -> None:
    """Log the exception being handled, which is a tracer's or a callback's, and go on.

    At most once a minute for each thing that can fail, so that a broken tracer cannot flood the log. What a handler or
    a filter of the log raises does not reach the application either: it is told of on ``sys.stderr``, the only place
    that is left.
    """
    now = time.monotonic()
    with _counting:
        last, left_out = _reported.get(doing, (-_REPORT_INTERVAL, 0))
        if now - last < _REPORT_INTERVAL:
            _reported[doing] = (last, left_out + 1)
            return
        _reported[doing] = (now, 0)
    exc_info = sys.exc_info()
    try:
        _log(doing, left_out, exc_info)
    except Exception as error:
        with contextlib.suppress(Exception):  # there may be no stderr
            sys.stderr.write(f"{logger.name}: logging that {doing} failed: {format_exception(error)}\n")


def _log(doing: str, left_out: int, exc_info: Any) -> None:
    if logger.isEnabledFor(logging.WARNING):
        message = "%s failed; the application is not affected"
        if left_out:
            message += f" ({left_out} more since the last report)"
        record = logger.makeRecord(logger.name, logging.WARNING, __file__, 0, message, (doing,), exc_info, "report")
        # What a formatter would otherwise make of the exception: its text may contain the request's secrets.
        record.exc_text = format_exception(exc_info[1])
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
