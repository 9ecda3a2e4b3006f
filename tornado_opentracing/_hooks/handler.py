# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``RequestHandler``: what happens to a request is told to its span, which ends with the response."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.web import RequestHandler

from tornado_opentracing._hooks import response
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._scopes import within
from tornado_opentracing._spans.request import SPAN, RequestSpan, activate, active, deactivate, note, request_span


def _execute_hook(original: Callable[..., Awaitable[None]], _: Layer) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def _execute(self: RequestHandler, transforms: Any, *args: bytes, **kwargs: bytes) -> None:
        request = self.request
        state: RequestSpan | None = getattr(request, SPAN, None)
        if state is not None:
            # It is over or excluded, or another handler is at work on it, which hands it on to this one.
            if state.finished or state.executing:
                return await original(self, transforms, *args, **kwargs)
            state.executing = True
            if state.unstarted is not None:
                request.connection._finish_future.remove_done_callback(state.unstarted)  # type: ignore[union-attr]
                state.unstarted = None
        try:
            return await original(self, transforms, *args, **kwargs)
        except BaseException as error:
            # Tornado lets nothing but cancellation through, and before 6.6 answers nothing then.
            state = getattr(request, SPAN, None)
            if state is not None and not state.finished:
                note(state, self, error)
                state.finish_for(self)
            raise
        finally:
            if state is None:  # it may have got one since
                state = getattr(request, SPAN, None)
            if state is not None and not state.finished:
                state.executing = False
                response.end_with(state, self)

    return _execute


def _finish_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def finish(self: RequestHandler, *args: Any, **kwargs: Any) -> Any:
        state: RequestSpan | None = getattr(self.request, SPAN, None) if layer.enabled else None
        if state is None or (state.finished and not state.is_excluded):
            return original(self, *args, **kwargs)
        opened = None if within.known.get()[1] is state else activate(state)
        try:
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                note(state, self, error)
                raise
            finally:
                if self._finished and not state.finished:
                    state.finish_for(self)
        finally:
            if opened is not None:
                deactivate(opened)

    return finish


def _send_error_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def send_error(self: RequestHandler, *args: Any, **kwargs: Any) -> None:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, *args, **kwargs)
        if args == (500,) and not kwargs:
            _note_cancellation(state, self)
        if within.known.get()[1] is state:
            return original(self, *args, **kwargs)
        with active(state):
            return original(self, *args, **kwargs)

    return send_error


def _note_cancellation(state: RequestSpan, handler: RequestHandler) -> None:
    # From 6.6 on Tornado answers for a handler that was cancelled, before it lets the cancellation through.
    error = sys.exc_info()[1]
    if isinstance(error, asyncio.CancelledError):
        note(state, handler, error)


def _handle_request_exception_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def _handle_request_exception(self: RequestHandler, e: BaseException) -> None:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, e)
        note(state, self, e)
        if within.known.get()[1] is state:
            return original(self, e)
        with active(state):
            return original(self, e)

    return _handle_request_exception


def _flush_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def flush(self: RequestHandler, *args: Any, include_footers: Any = None) -> Any:
        # Most responses are flushed once, by finish(), which says so: that is to cost little.
        if include_footers is not None:
            return original(self, include_footers=include_footers)
        has_begun = self._headers_written
        if args or has_begun or not layer.enabled:
            return original(self, *args)
        try:
            return original(self)
        finally:
            state = request_span(self.request)
            if state is not None and not state.finished and self._headers_written:
                response.note_first_byte(state, self)

    return flush


def is_in_execute() -> bool:
    """Whether the current task is that of a handler, which ends with its request."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without an event loop
        return False
    code = None if task is None else getattr(task.get_coro(), "cr_code", None)
    return code is not None and code is getattr(EXECUTE.replacement, "__code__", None)


EXECUTE = Patch(RequestHandler, "_execute", _execute_hook)

HOOKS = [
    EXECUTE,
    Patch(RequestHandler, "finish", _finish_hook),
    Patch(RequestHandler, "flush", _flush_hook),
    Patch(RequestHandler, "send_error", _send_error_hook),
    Patch(RequestHandler, "_handle_request_exception", _handle_request_exception_hook),
]
