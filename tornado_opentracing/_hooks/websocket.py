"""WebSockets, both ends: a span for the handshake, and, if asked for, one for each message.

A connection lives long after its handshake. What it runs then (``open``, ``on_message``, ``on_close``, ...) is no part
of the handshake's span, and nothing is active there but what that code activates itself.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from opentracing import tags
from tornado import gen
from tornado.httpclient import HTTPRequest, _RequestProxy
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, WebSocketProtocol, WebSocketProtocol13

from tornado_opentracing._hooks import private_request
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._hooks.watching import watch
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.current import client_config
from tornado_opentracing._spans import lifecycle
from tornado_opentracing._spans.fetch import FetchSpan, outcome_of, start_fetch_span
from tornado_opentracing._spans.lifecycle import SpanLifecycle
from tornado_opentracing._spans.request import SPAN, RequestSpan
from tornado_opentracing._spans.tags import COMPONENT
from tornado_opentracing._spans.websocket import follows, start_connection_span

MESSAGE_TYPE = "websocket.message.type"
MESSAGE_SIZE = "websocket.message.size"


def _handshake(handler: Any) -> RequestSpan | None:
    """The span of a server connection's handshake; ``None`` where it has none, and for a client connection."""
    state: RequestSpan | None = getattr(handler.request, SPAN, None) if isinstance(handler, WebSocketHandler) else None
    return None if state is None or state.is_excluded else state


def _start(handshake: RequestSpan, handler: Any, event: str, **event_tags: Any) -> SpanLifecycle | None:
    """Start the span of an event, if they are to be traced."""
    if not handshake.options.trace_websocket_messages:
        return None
    span_tags = {tags.COMPONENT: COMPONENT, tags.SPAN_KIND: tags.SPAN_KIND_CONSUMER, **event_tags}
    name, links = f"{type(handler).__name__}.{event}", follows(handshake)
    return lifecycle.start(SpanLifecycle, handshake.config, handshake.tracer, name, span_tags, None, True, links)


def _run(state: SpanLifecycle, callback: Callable[..., Any], *args: Any) -> Any:
    """Call back with the span active; finish it when the callback, or the coroutine that it returns, is done."""
    scope = lifecycle.activate(state.tracer, state.span)
    try:
        result = callback(*args)
        if inspect.iscoroutine(result):
            return _run_coroutine(state, result)
        if result is not None:
            result = gen.convert_yielded(result)
            result.add_done_callback(functools.partial(_done, state))
            return result
    except BaseException as error:
        state.fail(error)
        state.finish(None, None)
        raise
    finally:
        lifecycle.close(scope)
    state.finish(None, None)
    return None


async def _run_coroutine(state: SpanLifecycle, coroutine: Awaitable[Any]) -> Any:
    scope = lifecycle.activate(state.tracer, state.span)
    try:
        return await coroutine
    except BaseException as error:
        state.fail(error)
        raise
    finally:
        state.finish(None, None)
        lifecycle.close(scope)


def _done(state: SpanLifecycle, future: Any) -> None:
    error = outcome_of(future) if asyncio.isfuture(future) else future.exception()
    if error is not None:
        state.fail(error)
    state.finish(None, None)


def _detach_stream_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def _detach_stream(self: WebSocketHandler) -> Any:
        # Called in the task that runs _execute, between the 101 and open(): from here on, to the end of the
        # connection, the handshake's span is not active.
        handshake = _handshake(self) if layer.enabled else None
        if handshake is not None:
            handshake.clear = lifecycle.clearing(handshake.tracer)
            handshake.connection = start_connection_span(handshake, self)
        return original(self)

    return _detach_stream


def _accept_connection_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def _accept_connection(self: WebSocketProtocol13, handler: WebSocketHandler) -> Any:
        handshake = _handshake(handler) if layer.enabled else None
        if handshake is not None and handshake.options.trace_websocket_messages:
            open_ = handler.open

            def traced_open(*args: Any, **kwargs: Any) -> Any:
                del handler.open  # the instance's, which leads here
                state = _start(handshake, handler, "open")
                call = functools.partial(open_, *args, **kwargs)
                return call() if state is None else _run(state, call)

            handler.open = traced_open
        return original(self, handler)

    return _accept_connection


def _run_callback_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def _run_callback(self: WebSocketProtocol, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        handshake = _handshake(self.handler) if layer.enabled else None
        if handshake is None:
            return original(self, callback, *args, **kwargs)
        if handshake.connection is not None and callback == self.handler.on_message:
            handshake.connection.messages_in += 1
        if handshake.options.trace_websocket_messages and callback == self.handler.on_message:
            state = _start(handshake, self.handler, "on_message", **_message_tags(*args))
            if state is not None:
                callback = functools.partial(_run, state, callback)
        # What a plain on_message leaves active would be active in the next: both run in the receive loop itself.
        clear = handshake.clear
        if clear is None:
            with lifecycle.nothing_active(handshake.tracer):
                return original(self, callback, *args, **kwargs)
        clear()
        try:
            return original(self, callback, *args, **kwargs)
        finally:
            clear()

    return _run_callback


def _message_tags(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, str):
        return {MESSAGE_TYPE: "text", MESSAGE_SIZE: len(message.encode("utf-8", "surrogatepass"))}
    return {MESSAGE_TYPE: "binary", MESSAGE_SIZE: len(message)}


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
                state = _start(handshake, self, "on_close")
                if state is None:
                    original(self)
                else:
                    _run(state, original, self)
        finally:
            within.known.reset(token)
            if handshake.connection is not None:
                handshake.connection.end()

    return on_connection_close


def _accept_hook(original: Callable[..., Awaitable[None]], _: Layer) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def accept_connection(self: WebSocketProtocol13, handler: WebSocketHandler) -> None:
        try:
            return await original(self, handler)
        finally:
            # It runs as long as the connection lives; Tornado does not say by on_close where open() raises.
            handshake = _handshake(handler)
            if handshake is not None and handshake.connection is not None:
                handshake.connection.end()

    return accept_connection


def _client_init_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    # The arguments after the request differ between Tornado's versions.
    @functools.wraps(original)
    def __init__(self: WebSocketClientConnection, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        config = client_config() if layer.enabled else None
        given: Any = args[0] if args else kwargs.get("request")
        own = _private_copy(given) if config is not None else None
        if config is None or own is None:
            original(self, *args, **kwargs)
            return
        before = private_request.shown(own.headers)
        state = start_fetch_span(config, own, own.url, own.method)
        if state is None:
            original(self, *args, **kwargs)
            return
        private_request.send_for(given.request, before, state, is_tornados=False)
        proxy = _RequestProxy(own, given.defaults)
        try:
            if args:
                original(self, proxy, *args[1:], **kwargs)
            else:
                original(self, **{**kwargs, "request": proxy})
        except BaseException as error:
            _connected(proxy, state, error)
            raise
        watch(self.connect_future, functools.partial(_connecting_done, proxy), state)

    return __init__


def _private_copy(proxy: Any) -> HTTPRequest | None:
    """A copy of the caller's ``HTTPRequest``, around which is what ``websocket_connect`` makes of its argument."""
    is_known = isinstance(proxy, _RequestProxy) and isinstance(proxy.request, HTTPRequest)
    return private_request.copy_of(proxy.request) if is_known else None


def _connecting_done(proxy: Any, state: FetchSpan, future: Any) -> None:
    _connected(proxy, state, outcome_of(future))


def _connected(proxy: Any, state: FetchSpan, error: BaseException | None) -> None:
    private_request.hand_back(state, getattr(error, "response", None))
    proxy.request = state.request
    if error is None:
        state.leave()
        state.finish(101, None)
    else:
        state.finish_with_error(error)


CLIENT_HOOKS = [Patch(WebSocketClientConnection, "__init__", _client_init_hook)]
SERVER_HOOKS = [
    Patch(WebSocketHandler, "_detach_stream", _detach_stream_hook),
    Patch(WebSocketHandler, "on_connection_close", _on_connection_close_hook),
    Patch(WebSocketProtocol, "_run_callback", _run_callback_hook),
    Patch(WebSocketProtocol13, "accept_connection", _accept_hook),
    Patch(WebSocketProtocol13, "_accept_connection", _accept_connection_hook),
]
