# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the connection calls by itself: a streamed body's chunks, and the end of the connection.

Tornado calls both in the connection's context, in which nothing of the request is active.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from contextvars import Context, copy_context
from typing import Any

from opentracing import logs
from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._scopes import within
from tornado_opentracing._spans import lifecycle
from tornado_opentracing._spans.request import SPAN, RequestSpan, activate, deactivate, note, request_span, sent_status

_CHUNKS = "_tornado_opentracing_chunks"


class _running:  # noqa: N801 - a context manager, named for how it reads
    """What runs in this belongs to the request: its span is active, and an exception that leaves it is noted.

    What it leaves active must not stay in the connection's context, where the next request would find it.
    """

    def __init__(self, state: RequestSpan, handler: RequestHandler) -> None:
        self._state = state
        self._handler = handler
        self._cut = nullcontext() if state.is_excluded else lifecycle.nothing_active(state.tracer)

    def __enter__(self) -> None:
        self._cut.__enter__()
        self._opened = activate(self._state)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None and not self._state.finished:
                note(self._state, self._handler, error, can_answer=False)
            deactivate(self._opened)
        finally:
            self._cut.__exit__(None, None, None)


def _connection_closed(state: RequestSpan, handler: RequestHandler, call: Callable[[], None]) -> None:
    """Run ``on_connection_close``, most often for a request that has no response yet, or not all of it."""
    # An upload may have been answered before all of it had come.
    if state.finished:
        with _running(state, handler):
            call()
        return
    try:
        state.span.log_kv(
            {
                logs.EVENT: "connection closed",
                logs.MESSAGE: "the connection was closed before the response was finished",
            }
        )
    except Exception:
        report("logging on a span")
    state.connection_closed = True
    state.is_unanswered = sent_status(handler) is None
    try:
        with _running(state, handler):
            call()
    finally:
        body = getattr(handler.request, "_body_future", None)
        # Nobody goes on with the request: _execute is over, or waits for a body that will not come (an application
        # that overrides on_connection_close without calling super leaves it waiting for ever).
        if not state.executing or (body is not None and not body.done()):
            state.finish_for(handler)


def _make_active(state: RequestSpan) -> Callable[[], None] | None:
    """Have the request's span active in the current context for good, and return what does so again, if that can be."""
    within.known.set((state.config, state))
    return _nothing_more if state.is_excluded else lifecycle.staying(state.tracer, state.span)


def _nothing_more() -> None:
    pass


def _receive(original: Callable[..., Any], delegate: HandlerDelegate, data: bytes, state: RequestSpan) -> Any:
    """Hand a chunk over in a context of its own, for all chunks one: what is left active there, nobody else sees.

    It is kept at what the span does not lead to, and taken from there while it is entered.
    """
    kept: tuple[Context, Callable[[], None]] | None = getattr(delegate, _CHUNKS, None)
    if kept is not None:
        context, stay = kept
        context.run(stay)
    else:
        context = copy_context()
        made = context.run(_make_active, state)
        if made is None:
            with _running(state, delegate.handler):
                return original(delegate, data)
        kept = context, made
    delegate._tornado_opentracing_chunks = None  # type: ignore[attr-defined]
    try:
        return context.run(original, delegate, data)
    except BaseException as error:
        note(state, delegate.handler, error, can_answer=False)
        raise
    finally:
        delegate._tornado_opentracing_chunks = kept  # type: ignore[attr-defined]


def _data_received_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def data_received(self: HandlerDelegate, data: bytes) -> Any:
        state: RequestSpan | None = None
        if layer.enabled and self.stream_request_body:
            state = getattr(self.request, SPAN, None)
        if state is None or (state.finished and not state.is_excluded):
            return original(self, data)
        if state.measurement is not None:
            state.measurement.received(len(data))
        result = _receive(original, self, data, state)
        if result is None or not inspect.isawaitable(result):
            return result
        return received(state, self.handler, result)

    async def received(state: RequestSpan, handler: RequestHandler, result: Awaitable[None]) -> None:
        with _running(state, handler):
            await result

    return data_received


def _delegate_on_connection_close_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def on_connection_close(self: HandlerDelegate) -> None:
        state = request_span(self.request) if layer.enabled and self.stream_request_body else None
        if state is None:
            return original(self)
        return _connection_closed(state, self.handler, functools.partial(original, self))

    return on_connection_close


def _connection_on_close_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def _on_connection_close(self: HTTP1Connection) -> None:
        # Tornado has the handler's on_connection_close here until the response is finished. Hooking the handler's own
        # would miss applications that override it without calling super.
        handler = getattr(self._close_callback, "__self__", None) if layer.enabled else None
        if not isinstance(handler, RequestHandler):
            return original(self)
        state = request_span(handler.request)
        if state is None or (state.finished and not state.is_excluded):
            return original(self)
        return _connection_closed(state, handler, functools.partial(original, self))

    return _on_connection_close


HOOKS = [
    Patch(HandlerDelegate, "data_received", _data_received_hook),
    Patch(HandlerDelegate, "on_connection_close", _delegate_on_connection_close_hook),
    Patch(HTTP1Connection, "_on_connection_close", _connection_on_close_hook),
]
