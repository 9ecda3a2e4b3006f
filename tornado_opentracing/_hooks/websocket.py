# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at a server's end of a WebSocket: if asked for, spans for the connection and what happens on it.

A connection lives long after its handshake. What it runs then (``open``, ``on_message``, ``on_close``, ...) is no part
of the handshake's span, and nothing is active there but what that code activates itself.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.websocket import WebSocketHandler, WebSocketProtocol, WebSocketProtocol13

from tornado_opentracing._guard import ask
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._hooks.running import run
from tornado_opentracing._scopes import within
from tornado_opentracing._spans import connections, lifecycle, messages
from tornado_opentracing._spans.messages import MessageSpan, WebSocketMessage
from tornado_opentracing._spans.request import SPAN, RequestSpan
from tornado_opentracing._spans.websocket import start_connection_span


def _handshake(handler: Any) -> RequestSpan | None:
    """The span of a server connection's handshake; ``None`` where it has none, and for a client connection."""
    state: RequestSpan | None = getattr(handler.request, SPAN, None) if isinstance(handler, WebSocketHandler) else None
    return None if state is None or state.is_excluded else state


def _message(handshake: RequestSpan, handler: Any, event: str, data: Any, is_binary: bool) -> WebSocketMessage | None:
    """A message that is to have a span; ``None`` if it is not."""
    options = handshake.options
    if not options.trace_websocket_messages:
        return None
    is_wanted = options.websocket_message_filter
    if is_wanted is not None and not ask(
        "websocket_message_filter", functools.partial(is_wanted, handler), data, otherwise=True
    ):
        return None
    return messages.message_of(handler, event, data, is_binary)


def _start(handshake: RequestSpan, message: WebSocketMessage | None, is_root: bool = True) -> MessageSpan | None:
    return None if message is None else messages.start(handshake, message, is_root)


def _detach_stream_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def _detach_stream(self: WebSocketHandler) -> Any:
        # Called in the task that runs _execute, between the 101 and open(): from here on, to the end of the
        # connection, the handshake's span is not active.
        handshake = _handshake(self) if layer.enabled else None
        if handshake is not None:
            handshake.clear, handshake.is_opening = lifecycle.staying(handshake.tracer, None), True
            handshake.connection = start_connection_span(handshake, self)
        return original(self)

    return _detach_stream


def _accept_connection_hook(original: Callable[..., Awaitable[Any]], layer: Layer) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def _accept_connection(self: WebSocketProtocol13, handler: WebSocketHandler) -> Any:
        handshake = _handshake(handler) if layer.enabled else None
        if handshake is not None and handshake.options.trace_websocket_messages:
            open_ = handler.open

            def traced_open(*args: Any, **kwargs: Any) -> Any:
                del handler.open  # the instance's, which leads here
                message = WebSocketMessage(handler, "open")
                state = messages.start(handshake, message)
                call = functools.partial(open_, *args, **kwargs)
                if state is None:
                    return call()
                stand_in = messages.while_open_runs(handshake, state)
                return run(state, call, outcome=message, is_awaited=True, stand_in=stand_in)

            handler.open = traced_open
        try:
            return await original(self, handler)
        finally:
            # It runs as long as the connection lives; Tornado does not say by on_close where open() raises.
            served = _handshake(handler)
            if served is not None and served.connection is not None:
                served.connection.end()

    return _accept_connection


def _run_callback_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def _run_callback(self: WebSocketProtocol, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        handler: Any = self.handler
        handshake: RequestSpan | None = None
        if layer.enabled and isinstance(handler, WebSocketHandler):
            handshake = getattr(handler.request, SPAN, None)
        if handshake is None or handshake.is_excluded:
            return original(self, callback, *args, **kwargs)
        if handshake.connection is not None and callback == handler.on_message:
            handshake.connection.messages_in += 1
        if handshake.options.trace_websocket_messages and callback == handler.on_message:
            message = _message(handshake, handler, "on_message", args[0], isinstance(args[0], bytes))
            state = _start(handshake, message)
            if state is not None:
                callback = functools.partial(run, state, callback, outcome=message)
        # What open() or a plain on_message leaves active would be active in the next: all run in the receive loop.
        clear = handshake.clear
        if clear is None:
            with lifecycle.nothing_active(handshake.tracer):
                return original(self, callback, *args, **kwargs)
        if handshake.is_opening:
            handshake.is_opening = False
            clear()
        try:
            return original(self, callback, *args, **kwargs)
        finally:
            clear()

    return _run_callback


def _write_message_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def write_message(self: WebSocketProtocol13, message: Any, *args: Any, **kwargs: Any) -> Any:
        handshake = _handshake(self.handler) if layer.enabled else None
        if handshake is None or handshake.options.trace_websocket_messages != "both":
            return original(self, message, *args, **kwargs)
        is_binary = bool(kwargs.get("binary", args[0] if args else False))
        written = _message(handshake, self.handler, "write_message", message, is_binary)
        state = _start(handshake, written, is_root=False)
        if state is None:
            return original(self, message, *args, **kwargs)
        try:
            return original(self, message, *args, **kwargs)
        except BaseException as error:
            state.fail(error)
            raise
        finally:
            messages.tag_backlog(state, self.stream)
            state.finish(None, written)

    return write_message


def _on_connection_close_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def on_connection_close(self: WebSocketHandler) -> None:
        handshake = _handshake(self) if layer.enabled else None
        if handshake is None or self._on_close_called:
            original(self)
            return
        token = within.known.set((handshake.config, None))
        try:
            with lifecycle.nothing_active(handshake.tracer):
                message = WebSocketMessage(self, "on_close")
                state = _start(handshake, message if handshake.options.trace_websocket_messages else None)
                if state is None:
                    original(self)
                else:
                    run(state, original, self, outcome=message)
        finally:
            within.known.reset(token)
            if handshake.connection is not None:
                handshake.connection.end()

    return on_connection_close


def close_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    """On either end."""

    @functools.wraps(original)
    def close(self: Any, *args: Any, **kwargs: Any) -> None:
        if layer.enabled:
            connections.note_own_close(self, args, kwargs)
        original(self, *args, **kwargs)

    return close


HOOKS = [
    Patch(WebSocketHandler, "_detach_stream", _detach_stream_hook),
    Patch(WebSocketHandler, "close", close_hook),
    Patch(WebSocketHandler, "on_connection_close", _on_connection_close_hook),
    Patch(WebSocketProtocol, "_run_callback", _run_callback_hook),
    Patch(WebSocketProtocol13, "_accept_connection", _accept_connection_hook),
    Patch(WebSocketProtocol13, "write_message", _write_message_hook),
]
