# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A thread pool that carries the context of whoever submits to it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

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
        """Run ``fn(*args, **kwargs)`` in a thread, in a copy of the current context.

        :return: the future of what it returns, or raises.
        :raises RuntimeError: the pool is shut down.
        """
        carry: Any = contextvars.copy_context().run
        # A thread that inherits a context (Python 3.14 can) would keep this caller's for as long as the pool lives.
        return contextvars.Context().run(super().submit, carry, fn, *args, **kwargs)
