# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at a client's end of a WebSocket: a span for the handshake, and one when the connection ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tornado.httpclient import HTTPRequest, _RequestProxy
from tornado.websocket import WebSocketClientConnection

from tornado_opentracing._hooks import private_request
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._hooks.watching import watch
from tornado_opentracing._hooks.websocket import close_hook
from tornado_opentracing._settings.current import client_config
from tornado_opentracing._spans import messages
from tornado_opentracing._spans.fetch import FetchSpan, outcome_of, start_fetch_span
from tornado_opentracing._spans.request import SPAN


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
        url = own.url  # which Tornado is about to change
        try:
            if args:
                original(self, proxy, *args[1:], **kwargs)
            else:
                original(self, **{**kwargs, "request": proxy})
        except BaseException as error:
            _connected(proxy, state, error)
            raise
        vars(self)[SPAN] = (state, url)
        watch(self.connect_future, functools.partial(_connecting_done, proxy), state)

    return __init__


def _client_closed_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def on_ws_connection_close(self: WebSocketClientConnection, *args: Any, **kwargs: Any) -> None:
        handshake: FetchSpan | None
        handshake, url = vars(self).get(SPAN, (None, None)) if layer.enabled else (None, None)
        try:
            original(self, *args, **kwargs)
        finally:
            if handshake is not None and handshake.options.trace_websocket_messages:
                messages.client_closed(handshake, self, url)

    return on_ws_connection_close


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


HOOKS = [
    Patch(WebSocketClientConnection, "__init__", _client_init_hook),
    Patch(WebSocketClientConnection, "close", close_hook),
    Patch(WebSocketClientConnection, "on_ws_connection_close", _client_closed_hook),
]
