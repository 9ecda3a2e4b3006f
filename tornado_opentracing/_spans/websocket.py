# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The span of a WebSocket connection: from the end of its handshake, which it follows from, to its close."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentracing import follows_from

from tornado_opentracing._guard import report
from tornado_opentracing._spans import connections, lifecycle

if TYPE_CHECKING:
    from opentracing import Reference

    from tornado_opentracing._spans.request import RequestSpan

MESSAGES_IN, MESSAGES_OUT = "websocket.messages.in", "websocket.messages.out"
BYTES_IN, BYTES_OUT = "websocket.bytes.in", "websocket.bytes.out"


class ConnectionSpan(lifecycle.SpanLifecycle):
    """The span of one connection, and what is counted for it. It is active nowhere."""

    messages_in: int
    messages_out: int
    handler: Any
    protocol: Any

    def watch(self, handler: Any, protocol: Any) -> None:
        """Count what is written: on this one object, and on no other."""
        self.messages_in = self.messages_out = 0
        self.handler, self.protocol = handler, protocol
        write_message = protocol.write_message

        @functools.wraps(write_message)
        def counted(*args: Any, **kwargs: Any) -> Any:
            written = write_message(*args, **kwargs)
            self.messages_out += 1
            return written

        protocol.write_message = counted

    def end(self) -> None:
        """Finish the span; every call but the first does nothing."""
        if self.finished:
            return
        handler, self.handler = self.handler, None
        protocol, self.protocol = self.protocol, None
        # It leads back to the protocol.
        del protocol.write_message
        lifecycle.set_tags(self.span, self._tags(handler, protocol))
        self.finish(None, None)

    def _tags(self, handler: Any, protocol: Any) -> dict[str, Any]:
        counts = {
            MESSAGES_IN: self.messages_in,
            MESSAGES_OUT: self.messages_out,
            # Tornado's own count, without compression and frames.
            BYTES_IN: getattr(protocol, "_message_bytes_in", None),
            BYTES_OUT: getattr(protocol, "_message_bytes_out", None),
        }
        found = {name: value for name, value in counts.items() if value is not None}
        return found | connections.close_tags(handler, protocol.close_code, protocol.close_reason, self.options)


def start_connection_span(handshake: RequestSpan, handler: Any) -> ConnectionSpan | None:
    """Start the span of a connection whose handshake is over; ``None`` if there is to be none."""
    protocol = handler.ws_connection
    if protocol is None or not handshake.options.trace_websocket_connection:
        return None
    shared = connections.shared_by(handshake, handler)
    state = lifecycle.start(
        ConnectionSpan,
        handshake.config,
        handshake.tracer,
        f"{shared.beginning}connection",
        # Counted from the start, so that it is known for what it is while it is running.
        {**shared.tags, MESSAGES_IN: 0, MESSAGES_OUT: 0},
        None,
        True,
        _follows(handshake),
    )
    if state is not None:
        state.watch(handler, protocol)
    return state


def _follows(handshake: RequestSpan) -> list[Reference] | None:
    try:
        return [follows_from(handshake.span.context)]
    except Exception:
        report("reading a span's context")
        return None
