# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How late an event loop runs what is due: what everybody waits for while one handler holds the loop."""

from __future__ import annotations

import asyncio
import weakref
from contextvars import Context
from typing import TYPE_CHECKING

from opentelemetry import context as otel

from tornado_opentracing._guard import report

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram

_INTERVAL = 0.5


class LoopLag:
    """Measures the lateness of event loops, from when they are first seen running to :meth:`stop`."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._watched: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._is_stopped = False

    def watch(self) -> None:
        """See to it that the running event loop is measured; nothing happens where none is running."""
        loop = asyncio._get_running_loop()
        if loop is not None and loop not in self._watched:
            self._watched.add(loop)
            self._measure_later(loop)

    def stop(self) -> None:
        """Measure no more; from any thread."""
        self._is_stopped = True

    def _measure_later(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _INTERVAL
        # Not in the context of whatever request happens to run: the timer would keep that for ever.
        loop.call_at(due, self._measure, loop, due, context=Context())

    def _measure(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._is_stopped:
            return
        try:
            self._histogram.record(max(0.0, loop.time() - due), context=otel.Context())
        except Exception:
            report("measuring the event loop")
        self._measure_later(loop)
