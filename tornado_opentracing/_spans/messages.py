# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The spans of what happens on a WebSocket connection once it is open: each is a trace of its own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from opentracing import tags

from tornado_opentracing._guard import call_back, report
from tornado_opentracing._spans import connections, followers, lifecycle
from tornado_opentracing._spans.tags import COMPONENT

if TYPE_CHECKING:
    from opentracing import Span
    from tornado.websocket import WebSocketClientConnection, WebSocketHandler

    from tornado_opentracing._spans.fetch import FetchSpan
    from tornado_opentracing._spans.request import RequestSpan

MESSAGE_TYPE = "websocket.message.type"
MESSAGE_SIZE = "websocket.message.size"
BACKLOG = "websocket.backlog"
#: The tags of a message, beside those of its connection.
TAGS = (MESSAGE_TYPE, MESSAGE_SIZE, BACKLOG)


@dataclasses.dataclass(frozen=True)
class WebSocketMessage:
    """What happened on a WebSocket connection: ``start_span_cb`` and ``finish_span_cb`` are given it with its span."""

    #: Who serves the connection, or the client's end of it; its ``request`` is the handshake's.
    handler: WebSocketHandler | WebSocketClientConnection
    #: ``on_message``, ``open`` or ``on_close``, or ``write_message``.
    event: str
    #: Of a message: ``text`` or ``binary``.
    type: str | None = None
    #: Of a message: its size in bytes.
    size: int | None = None

    @property
    def request(self) -> Any:
        """The handshake's request: an ``HTTPServerRequest``, or what the client's end has of its own."""
        return self.handler.request


class MessageSpan(lifecycle.SpanLifecycle):
    """The span of one event of a connection."""

    message: WebSocketMessage


def message_of(handler: WebSocketHandler, event: str, data: Any, is_binary: bool) -> WebSocketMessage:
    """What callbacks are given of a message; its data is a string, or bytes, or what Tornado makes JSON of."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    size = len(data) if isinstance(data, bytes) else None
    return WebSocketMessage(handler, event, "binary" if is_binary else "text", size)


def start(handshake: RequestSpan, message: WebSocketMessage, is_root: bool = True) -> MessageSpan | None:
    """Start the span of an event, and call ``start_span_cb``.

    :param is_root: whether it is a root that follows from the handshake, though there may be an active span.
    """
    config, tracer = handshake.config, handshake.tracer
    shared = connections.shared_by(handshake, message.handler)
    is_root = is_root or lifecycle.active_span(tracer) is None
    more = dict(shared.follows) if is_root else {}
    more[tags.SPAN_KIND] = tags.SPAN_KIND_PRODUCER if message.event == "write_message" else tags.SPAN_KIND_CONSUMER
    if message.type is not None:
        more[MESSAGE_TYPE], more[MESSAGE_SIZE] = message.type, message.size
    if message.event == "on_close":
        ended: Any = message.handler
        more.update(connections.close_tags(ended, ended.close_code, ended.close_reason, handshake.options))
    span_tags = {**shared.tags, **more} if shared.described is None else shared.described(more)
    parent, references = (shared.parent, shared.references) if is_root else (None, None)
    name = shared.beginning + message.event
    state = lifecycle.start(MessageSpan, config, tracer, name, span_tags, parent, is_root, references)
    if state is None:
        return None
    started(state, message)
    return state


def started(state: MessageSpan, message: WebSocketMessage) -> None:
    """Call ``start_span_cb``, if there is one."""
    state.message = message
    callback = state.options.start_span_cb
    if callback is None:
        return
    try:
        call_back("start_span_cb", callback, state.span, message)
    except BaseException:
        state.finish(None, None)
        raise


def tag_backlog(state: MessageSpan, stream: Any) -> None:
    """Say how many bytes wait to be sent to who is at the other end."""
    try:
        state.span.set_tag(BACKLOG, len(stream._write_buffer))
    except Exception:
        report("looking at what waits to be sent")


def while_open_runs(handshake: RequestSpan, opening: MessageSpan) -> Span | None:
    """What to make active while ``open`` runs, in place of its span; ``None`` if nothing can stand for that.

    A task that it starts inherits that, and belongs to the connection: once ``open`` is over, the span that stands for
    it there is the handshake's.
    """
    try:
        return followers.stand_in(
            opening.tracer, lambda: handshake.span if opening.finished else opening.span, opening.span
        )
    except Exception:
        report("standing for a span")
        return None


def client_closed(handshake: FetchSpan, connection: WebSocketClientConnection, url: Any) -> None:
    """Record that a connection of a client's has ended, and how."""
    message = WebSocketMessage(connection, "on_close")
    span_tags = {
        tags.COMPONENT: COMPONENT,
        tags.SPAN_KIND: tags.SPAN_KIND_CONSUMER,
        **connections.client_end(handshake, url),
        **connections.close_tags(connection, connection.close_code, connection.close_reason, handshake.options),
    }
    name = f"{type(connection).__name__}.on_close"
    state = followers.start_root(MessageSpan, handshake.config, handshake.tracer, name, span_tags, handshake.span)
    if state is not None:
        started(state, message)
        state.finish(None, message)
