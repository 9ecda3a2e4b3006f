# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans that count how often they are finished, and all the places where a scope may be closed."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

import pytest
import tornado
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan
from opentracing import Span

from tornado_opentracing.opentelemetry._context import SpanContext

needs_tornado_6_1 = pytest.mark.skipif(
    tornado.version_info < (6, 1), reason="gen.coroutine of Tornado 6.0 loses context variables"
)


class CountingSpan(Span):
    """A span that knows how often it was finished, and tells it to all who listen."""

    def __init__(self, name: str = "span", on_finish: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(None, SpanContext(INVALID_SPAN_CONTEXT, {}))  # type: ignore[arg-type]
        self.name = name
        self.finishes = 0
        self._on_finish = on_finish
        self._unwrapped = NonRecordingSpan(INVALID_SPAN_CONTEXT)

    def __repr__(self) -> str:
        return self.name

    def unwrap(self) -> NonRecordingSpan:
        """What the bridge makes active."""
        return self._unwrapped

    def finish(self, finish_time: float | None = None) -> None:
        self.finishes += 1
        self._on_finish(self.name)


class Meeting:
    """A point that nobody passes before everybody has come, so that all of them are at work at the same time."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._complete = asyncio.Event()

    def come(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self._complete.wait(), 10)


Close = Callable[[], object]


async def in_a_task(close: Close) -> None:
    async def task() -> None:
        close()

    await asyncio.create_task(task())


async def in_a_callback(close: Close) -> None:
    called = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: called.set_result(close()))
    await called


async def in_a_copied_context(close: Close) -> None:
    contextvars.copy_context().run(close)


async def in_an_empty_context(close: Close) -> None:
    contextvars.Context().run(close)


async def in_a_thread(close: Close) -> None:
    await asyncio.get_running_loop().run_in_executor(None, close)


async def in_a_thread_with_the_context(close: Close) -> None:
    await asyncio.to_thread(close)


ELSEWHERE = [
    in_a_task,
    in_a_callback,
    in_a_copied_context,
    in_an_empty_context,
    in_a_thread,
    in_a_thread_with_the_context,
]
