# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The requests that each thread is serving: they wait while its event loop is blocked, and their spans say so.

Known are those for which ``blocked_after`` counts; for others nothing is done.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from tornado_opentracing._guard import report
from tornado_opentracing._scopes.ids import ids_of

if TYPE_CHECKING:
    from opentracing import Span


class Request(Protocol):
    """What is asked of a request's state."""

    span: Any
    finished: bool


class Logged:
    """A log of something that goes on. Its duration is corrected, where the tracer keeps it as ``MockTracer`` does.

    Elsewhere it has what was known when it was written.
    """

    def __init__(self, span: Span, fields: dict[str, Any], began: float) -> None:
        #: When what it tells of began, by the monotonic clock.
        self.began = began
        self._event = fields["event"]
        span.log_kv(fields)
        logs = getattr(span, "logs", None)
        self._kept = logs[-1] if logs else None

    def correct(self, duration: float, moment: float) -> None:
        """Say how long it was, and when it was over."""
        kept = getattr(self._kept, "key_values", None)
        if isinstance(kept, dict) and kept.get("event") == self._event:
            kept["duration"] = duration
            self._kept.timestamp = moment  # type: ignore[union-attr]


_serving: defaultdict[int, WeakKeyDictionary[Request, float]] = defaultdict(WeakKeyDictionary)
#: The watching thread reads what the loops' threads write.
_lock = threading.Lock()


def serve(request: Request) -> None:
    """Take note of a request that this thread serves from now on."""
    with _lock:
        _serving[threading.get_ident()][request] = time.monotonic()


def note(thread: int, blocking: object, span: Span, began: float, now: float) -> list[Logged]:
    """Write onto all requests that a thread is serving that they wait.

    :param blocking: the request that blocks the thread's loop, or whatever does, which does not wait for itself.
    :param span: what is active there.
    :param began: when that began, and what time it is, by the monotonic clock.
    """
    with _lock:
        found = list(_serving[thread].items())
    waiting = [(each, since) for each, since in found if each is not blocking and not each.finished]
    if not waiting:
        return []
    trace_id, _ = ids_of(span)
    by = {"blocked by": _name_of(span), "blocked by trace": (trace_id or "").zfill(32)}
    logged = []
    for each, since in waiting:
        begin = max(began, since)
        try:
            fields = {"event": "waited for blocked loop", "duration": now - begin, **by}
            logged.append(Logged(each.span, fields, begin))
        except Exception:
            report("writing a log")
    return logged


def _name_of(span: Any) -> str:
    named = span.unwrap() if hasattr(span, "unwrap") else span
    return str(getattr(named, "operation_name", None) or getattr(named, "name", ""))
