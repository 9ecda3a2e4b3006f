# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Running something in the span of an event: active while it runs, finished when it is done."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado import gen

from tornado_opentracing._spans import lifecycle
from tornado_opentracing._spans.fetch import outcome_of
from tornado_opentracing._spans.lifecycle import SpanLifecycle

if TYPE_CHECKING:
    from opentracing import Span


def run(
    state: SpanLifecycle,
    callback: Callable[..., Any],
    *args: Any,
    outcome: object | None = None,
    is_awaited: bool = False,
    stand_in: Span | None = None,
) -> Any:
    """Call back with the span active; finish it when the callback, or the coroutine that it returns, is done.

    :param outcome: what ``finish_span_cb`` is given.
    :param is_awaited: whether the caller awaits what is returned at once, in its own task. Who makes a task of it is
        given one: a coroutine of ours in a task that is cancelled before its first step would never run, and so not
        finish the span.
    :param stand_in: what to make active in the span's place.
    """
    span = state.span if stand_in is None else stand_in
    scope = lifecycle.activate(state.tracer, span)
    try:
        result = callback(*args)
        if is_awaited and inspect.iscoroutine(result):
            return _run_coroutine(state, span, outcome, result)
        if result is not None:
            result = gen.convert_yielded(result)
            result.add_done_callback(functools.partial(_done, state, outcome))
            return result
    except BaseException as error:
        state.fail(error)
        state.finish(None, outcome)
        raise
    finally:
        lifecycle.close(scope)
    state.finish(None, outcome)
    return None


async def _run_coroutine(state: SpanLifecycle, span: Span, outcome: object | None, coroutine: Awaitable[Any]) -> Any:
    scope = lifecycle.activate(state.tracer, span)
    try:
        return await coroutine
    except BaseException as error:
        state.fail(error)
        raise
    finally:
        state.finish(None, outcome)
        lifecycle.close(scope)


def _done(state: SpanLifecycle, outcome: object | None, future: Any) -> None:
    error = outcome_of(future) if asyncio.isfuture(future) else future.exception()
    if error is not None:
        state.fail(error)
    state.finish(None, outcome)
