# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""When a fetch is over: when what ``fetch`` returned is done. The caller gets that, or something of its kind."""

from __future__ import annotations

import functools
import inspect
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from tornado_opentracing._guard import report
from tornado_opentracing._hooks import private_request
from tornado_opentracing._spans.fetch import FetchSpan, outcome_of, response_of


def ended(state: FetchSpan, error: BaseException | None, result: Any) -> None:
    """Finish the span of a fetch with the exception that it raised, or else with its result."""
    if state.request is not None:
        private_request.hand_back(state, result if error is None else response_of(error))
    state.leave()
    state.finish_with(error, result)


def fetched(state: FetchSpan, future: Any) -> None:
    """Finish the span of a fetch whose future is done."""
    # As outcome_of() does, which costs a call.
    error = future._exception if type(future) is Future and not future.cancelled() else outcome_of(future)
    result = future.result() if error is None else None
    if state.request is not None:
        ended(state, error, result)
    else:
        state.finish_with(error, result)


def watched(state: FetchSpan, result: Any) -> Any:
    """What ``fetch`` returned, or where that is awaited, something of its kind; the span ends when it is done."""
    # By its type: a mock has every attribute.
    if hasattr(type(result), "add_done_callback"):
        watch(result, fetched, state)
        return result
    if isinstance(result, Coroutine):
        coroutine: Any = _awaiting(_Unawaited(state, result))
        for name in ("__name__", "__qualname__"):
            setattr(coroutine, name, getattr(result, name, getattr(coroutine, name)))
        return coroutine
    if inspect.isawaitable(result):
        return _Awaitable(_Unawaited(state, result))
    ended(state, None, result)
    return result


def watch(future: Any, done: Callable[[FetchSpan, Any], None], state: FetchSpan) -> None:
    """Call back when the future is done, before the caller's own callbacks."""
    try:
        if future.done():
            done(state, future)
        else:
            future.add_done_callback(functools.partial(done, state))
    except Exception:  # somebody else's future
        report("watching a fetch")
        state.leave()
        state.finish(None, None)


class _Unawaited:
    """What the caller has not awaited yet, and may never await."""

    def __init__(self, state: FetchSpan, awaitable: Awaitable[Any]) -> None:
        self.state = state
        self.awaitable = awaitable

    def __del__(self) -> None:
        if isinstance(self.awaitable, Coroutine):
            # Python warns of the one that the caller had; of this one it must not warn as well.
            self.awaitable.close()
        self.state.leave()
        self.state.finish(None, None)


async def _awaiting(unawaited: _Unawaited) -> Any:
    try:
        result = await unawaited.awaitable
    except BaseException as error:
        ended(unawaited.state, error, None)
        raise
    ended(unawaited.state, None, result)
    return result


class _Awaitable:
    """An awaitable that is no coroutine and no future, with all that it has beside."""

    def __init__(self, unawaited: _Unawaited) -> None:
        self._unawaited = unawaited

    def __await__(self) -> Generator[Any, Any, Any]:
        return _awaiting(self._unawaited).__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unawaited.awaitable, name)
