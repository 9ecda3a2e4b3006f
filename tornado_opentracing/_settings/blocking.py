# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What blocks an event loop: a thread watches, and writes onto the span that is active what holds the loop, and where.

It looks at the stacks of all threads some times within ``blocked_after``. Where it finds the same call of
``asyncio.Handle._run``, by which asyncio runs each callback and each step of a task, for longer than that, the loop is
blocked. So it needs nothing of the loops, there may be several, and while nobody asked for it it does not exist.
uvloop's callbacks have no such call, and are not seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import linecache
import sys
import threading
import time
import traceback
from contextvars import Context
from typing import TYPE_CHECKING, Any

from tornado_opentracing import _forks, _redaction
from tornado_opentracing._guard import logger, report
from tornado_opentracing._scopes import within
from tornado_opentracing._settings import waiting
from tornado_opentracing._settings.config import TracingConfig, process

if TYPE_CHECKING:
    from types import FrameType

_RUN = asyncio.Handle._run.__code__

#: How often it looks within ``blocked_after``, and how often at most, in seconds.
_LOOKS = 4
_SHORTEST = 0.005

_MOST_FRAMES = 100

#: Seconds for which its end is waited for.
_PATIENCE = 5.0


@dataclasses.dataclass(frozen=True)
class _Noted:
    """What was noted of a step that is long."""

    span: Any
    #: Whether it was started for that, for none was active.
    has_own_span: bool
    duration: float
    log: waiting.Logged
    #: Those of the requests that wait meanwhile.
    others: list[waiting.Logged]


class _Step:
    """A call of ``Handle._run`` that is going on."""

    def __init__(self, frame: FrameType, began: float) -> None:
        self.frame = frame
        self.began = began
        self.noted: _Noted | None = None
        self.ended: float | None = None

    def over(self) -> None:
        """Called by the loop, as soon as it is free."""
        self.ended = time.monotonic()


class Watch:
    """Watches the event loops of this process, from :meth:`ensure` to :meth:`stop`."""

    def __init__(self) -> None:
        self._shortest: float | None = None
        self._thread: threading.Thread | None = None
        self._told_to_end = threading.Event()
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        _forks.look_after(self)

    def ensure(self, blocked_after: float | None) -> None:
        """Watch, and often enough for this many seconds; ``None`` asks for nothing."""
        if blocked_after is None:
            return
        _warn_of_unseen()
        with self._lock:
            self._shortest = min(blocked_after, self._shortest or blocked_after)
            if self._thread is None:
                self._start()

    def stop(self) -> None:
        """Watch no more."""
        with self._lock:
            self._shortest = None
            self._end()

    def pause(self) -> None:
        """See ``_forks``."""
        with self._lock:
            self._end()

    def go_on(self) -> None:
        """See ``_forks``; in a child, too."""
        with self._lock:
            if self._shortest is not None and self._thread is None:
                self._start()

    leave = go_on

    def _start(self) -> None:
        self._told_to_end = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, args=(self._told_to_end,), name="tornado_opentracing.blocking", daemon=True
        )
        self._thread.start()

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._told_to_end.set()
            if thread is not threading.current_thread():
                thread.join(_PATIENCE)
        self._steps.clear()

    def _watch(self, told_to_end: threading.Event) -> None:
        before = time.monotonic()
        while (shortest := self._shortest) is not None:
            interval = max(shortest / _LOOKS, _SHORTEST)
            if told_to_end.wait(interval):
                return
            now = time.monotonic()
            try:
                # Who looks late was kept from it, by what holds the interpreter: a long call into C, say.
                self._look(min(now, before + 2 * interval), now)
            except Exception:
                report("watching the event loops")
            before = now

    def _look(self, seen: float, now: float) -> None:
        own = threading.get_ident()
        running = {ident: _run_of(frame) for ident, frame in sys._current_frames().items() if ident != own}
        for ident, step in list(self._steps.items()):
            if running.get(ident) is not step.frame:
                del self._steps[ident]
                if step.noted is not None:
                    _end(step, step.noted, now)
        for ident, frame in running.items():
            if frame is None:
                continue
            known = self._steps.get(ident)
            if known is None:
                known = self._steps[ident] = _Step(frame, seen)
            if known.noted is None:
                self._note_if_long(ident, known, now)

    def _note_if_long(self, ident: int, step: _Step, now: float) -> None:
        handle: Any = step.frame.f_locals.get("self")
        context = getattr(handle, "_context", None)
        if context is None:
            return
        found, request = context.get(within.known, (None, None))
        config = found or process.tracing
        limit = None if config is None else config.options.blocked_after
        if limit is None or now - step.began < limit:
            return
        frame = sys._current_frames().get(ident)
        if frame is None or _run_of(frame) is not step.frame:
            return
        duration = now - step.began
        fields = {"event": "loop blocked", "duration": duration, "stack": _stack(frame, step.frame)}
        tracer, span = context.copy().run(_active, config)
        has_own_span = span is None
        if has_own_span:
            span = tracer.start_span("loop blocked", ignore_active_span=True, start_time=time.time() - duration)
        log = waiting.Logged(span, fields, step.began)
        others = waiting.note(ident, request, span, step.began, now)
        step.noted = _Noted(span, has_own_span, duration, log, others)
        with contextlib.suppress(RuntimeError):  # it is closed
            handle._loop.call_soon_threadsafe(step.over, context=Context())


def _end(step: _Step, noted: _Noted, now: float) -> None:
    """Correct how long it was, on the span and on those of who waited."""
    ended = min(step.ended or now, now)
    duration = max(ended - step.began, noted.duration)
    moment = time.time() - (now - ended)
    for log in (noted.log, *noted.others):
        log.correct(max(duration - (log.began - step.began), 0.0), moment)
    if noted.has_own_span:
        noted.span.finish(moment)


def _active(config: TracingConfig) -> tuple[Any, Any]:
    tracer: Any = config.tracer
    return tracer, tracer.active_span


def _run_of(frame: FrameType | None) -> FrameType | None:
    """The innermost call of ``Handle._run`` in a stack, if there is one."""
    while frame is not None and frame.f_code is not _RUN:
        frame = frame.f_back
    return frame


def _stack(frame: FrameType, run: FrameType) -> str:
    frames: list[FrameType] = []
    current: FrameType | None = frame
    while current is not None and current is not run and len(frames) < _MOST_FRAMES:
        frames.append(current)
        current = current.f_back
    lines = traceback.StackSummary.from_list(
        [(each.f_code.co_filename, each.f_lineno, each.f_code.co_name, _source(each)) for each in reversed(frames)]
    ).format()
    return _redaction.clip("".join(lines).rstrip(), _redaction.LONGEST_STACK)


def _source(frame: FrameType) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals).strip()


def _warn_of_unseen() -> None:
    loop = asyncio._get_running_loop()
    if loop is not None and not isinstance(loop, asyncio.BaseEventLoop) and type(loop) not in _told_of:
        _told_of.add(type(loop))
        logger.warning("blocked_after: what blocks an event loop of the kind %s is not seen", type(loop).__name__)


_told_of: set[type] = set()

watch = Watch()
