"""Carrying the active span into threads."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from tornado.platform.asyncio import BaseAsyncIOLoop

from tornado_opentracing import _spans, _within
from tornado_opentracing._config import current_config
from tornado_opentracing._patching import Layer, Patch

__all__ = ["ContextThreadPoolExecutor"]

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
Result = TypeVar("Result")


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A thread pool that runs each call in a copy of the submitter's context.

    The submitter's active span is active in the thread, together with every other context variable; what the call
    activates or sets is gone when it returns. For ``loop.run_in_executor`` of asyncio, Tornado's ``run_on_executor``,
    and ``submit`` and ``map`` themselves. Takes the arguments of :class:`concurrent.futures.ThreadPoolExecutor`.
    """

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """Run ``fn(*args, **kwargs)`` in a thread, in a copy of the current context."""
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)  # type: ignore[arg-type]


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
    """The function, with the span that is active now active in it; nothing else of the context is carried."""
    config = current_config()
    if config is None:
        return func
    tracer = config.tracer
    span = _spans.active_span(tracer)
    if span is None and _within.known.get()[0] is None:
        return func

    @functools.wraps(func)
    def run(*args: Any) -> Result:
        token = _within.known.set((config, None))
        with _spans.nothing_active(tracer):
            scope = None if span is None else _spans.activate(tracer, span)
            try:
                return func(*args)
            finally:
                _spans.close(scope)
                _within.known.reset(token)

    return run


HOOKS = [Patch(BaseAsyncIOLoop, "run_in_executor", _run_in_executor_hook)]
