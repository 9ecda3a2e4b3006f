# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``IOLoop.run_in_executor``: the active span is carried into the thread."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, TypeVar

from tornado.platform.asyncio import BaseAsyncIOLoop

from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.current import current_config
from tornado_opentracing._spans import lifecycle
from tornado_opentracing.executor import ContextThreadPoolExecutor
from tornado_opentracing.scope_manager import no_parent_scope

Result = TypeVar("Result")

#: Whether threads inherit what is active where they start, as they can from Python 3.14 on. Those of a pool then keep
#: for ever what the request had that needed them first.
_threads_inherit = bool(getattr(sys.flags, "thread_inherit_context", False))


def _run_in_executor_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def run_in_executor(
        self: BaseAsyncIOLoop, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> Any:
        if layer.enabled:
            # The loop's own, which it makes when it is first needed, is a thread pool.
            pool = executor or getattr(self.asyncio_loop, "_default_executor", None)
            if pool is None or (
                isinstance(pool, ThreadPoolExecutor) and not isinstance(pool, ContextThreadPoolExecutor)
            ):
                func = _carrying(func)
        return original(self, executor, func, *args)

    return run_in_executor


def _carrying(func: Callable[..., Result]) -> Callable[..., Result]:
    """The function, with the span that is active now active in it, and what the tracer keeps beside that.

    Nothing else of the context is carried.
    """
    config = current_config()
    span = beside = None
    if config is not None:
        span, beside = lifecycle.active_span(config.tracer), lifecycle.kept_beside(config.tracer)
    is_plain = config is None or (span is None and beside is None and within.known.get()[0] is None)
    if is_plain and not _threads_inherit:
        return func

    @functools.wraps(func)
    def run(*args: Any) -> Result:
        token = within.known.set((config, None))
        with no_parent_scope() if _threads_inherit or config is None else lifecycle.nothing_active(config.tracer):
            scope = None if span is None or config is None else lifecycle.activate(config.tracer, span)
            try:
                with beside() if beside is not None else nullcontext():
                    return func(*args)
            finally:
                lifecycle.close(scope)
                within.known.reset(token)

    return run


HOOKS = [Patch(BaseAsyncIOLoop, "run_in_executor", _run_in_executor_hook)]
