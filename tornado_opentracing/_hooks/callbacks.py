# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The callbacks of a fetch: all of them run in one context, that of the code that called ``fetch``.

A fetch that waits for a place among ``max_clients`` is started by the one that ends, in that one's context.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from tornado.httpclient import HTTPRequest

NAMES = ("streaming_callback", "header_callback", "body_producer", "prepare_curl_callback")


def keep_context(request: HTTPRequest) -> None:
    """Make the callbacks of a request run in a copy of the current context, the same for all."""
    context = None
    for name in NAMES:
        callback = getattr(request, name)
        if callback is not None:
            if context is None:
                context = contextvars.copy_context()
            setattr(request, name, _in_context(context, callback))


def _in_context(context: contextvars.Context, callback: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(callback):  # which curl_httpclient refuses, so it has to look like one

        @functools.wraps(callback)
        async def run_coroutine(*args: Any) -> Any:
            return await _InContext(context, context.run(callback, *args))

        return run_coroutine

    @functools.wraps(callback)
    def run(*args: Any) -> Any:
        result = context.run(callback, *args)
        # A future has a context of its own; a coroutine has that of whoever awaits it.
        is_foreign = inspect.isawaitable(result) and not asyncio.isfuture(result)
        return _InContext(context, result) if is_foreign else result

    return run


class _InContext:
    """An awaitable whose every step is taken in a context, by the task that awaits it.

    A task of its own would run in a copy of the context: what the coroutine sets there, the next callback would miss.
    """

    def __init__(self, context: contextvars.Context, awaitable: Awaitable[Any]) -> None:
        self._context = context
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._context.run
        steps: Any = _steps(self._awaitable)
        step = functools.partial(next, steps)
        while True:
            try:
                awaited = run(step)
            except StopIteration as stop:
                return stop.value
            try:
                yield awaited
            except BaseException as error:
                step = functools.partial(steps.throw, error)
            else:
                step = functools.partial(next, steps)


async def _wait(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _steps(awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    return _wait(awaitable).__await__()
