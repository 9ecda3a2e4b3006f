"""The span of a WebSocket connection: from the end of its handshake, which it follows from, to its close."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentracing import follows_from, tags

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._spans import lifecycle
from tornado_opentracing._spans.tags import COMPONENT

if TYPE_CHECKING:
    from opentracing import Reference

    from tornado_opentracing._spans.request import RequestSpan

MESSAGES_IN, MESSAGES_OUT = "websocket.messages.in", "websocket.messages.out"
BYTES_IN, BYTES_OUT = "websocket.bytes.in", "websocket.bytes.out"
CLOSE_CODE, CLOSE_REASON = "websocket.close.code", "websocket.close.reason"


def follows(handshake: RequestSpan) -> list[Reference] | None:
    """What refers to the span of a handshake."""
    try:
        return [follows_from(handshake.span.context)]
    except Exception:
        report("reading a span's context")
        return None


class ConnectionSpan(lifecycle.SpanLifecycle):
    """The span of one connection, and what is counted for it. It is active nowhere."""

    messages_in: int
    messages_out: int
    protocol: Any
    #: What the application closed the connection with.
    own_close: tuple[int | None, str | None]

    def watch(self, protocol: Any) -> None:
        """Count what is written, and note how the connection is closed here: on this one object, and on no other."""
        self.messages_in = self.messages_out = 0
        self.own_close = (None, None)
        self.protocol = protocol
        write_message, close = protocol.write_message, protocol.close

        @functools.wraps(write_message)
        def counted(*args: Any, **kwargs: Any) -> Any:
            written = write_message(*args, **kwargs)
            self.messages_out += 1
            return written

        @functools.wraps(close)
        def noted(code: int | None = None, reason: str | None = None) -> Any:
            if self.own_close == (None, None):
                self.own_close = (code, reason)
            return close(code, reason)

        protocol.write_message, protocol.close = counted, noted

    def end(self) -> None:
        """Finish the span; every call but the first does nothing."""
        if self.finished:
            return
        protocol, self.protocol = self.protocol, None
        # They lead back to the protocol.
        del protocol.write_message, protocol.close
        lifecycle.set_tags(self.span, self._tags(protocol))
        self.finish(None, None)

    def _tags(self, protocol: Any) -> dict[str, Any]:
        own_code, own_reason = self.own_close
        code, reason = protocol.close_code or own_code, protocol.close_reason or own_reason
        found: dict[str, Any] = {
            MESSAGES_IN: self.messages_in,
            MESSAGES_OUT: self.messages_out,
            # Tornado's own count, without compression and frames.
            BYTES_IN: getattr(protocol, "_message_bytes_in", None),
            BYTES_OUT: getattr(protocol, "_message_bytes_out", None),
            CLOSE_CODE: code,
        }
        if reason:
            found[CLOSE_REASON] = _redaction.redact_value(str(reason), self.options.redacted_query_params)
        return {name: value for name, value in found.items() if value is not None}


def start_connection_span(handshake: RequestSpan, handler: Any) -> ConnectionSpan | None:
    """Start the span of a connection whose handshake is over; ``None`` if there is to be none."""
    protocol = handler.ws_connection
    if protocol is None or not handshake.options.trace_websocket_connection:
        return None
    state = lifecycle.start(
        ConnectionSpan,
        handshake.config,
        handshake.tracer,
        f"{type(handler).__name__}.connection",
        {tags.COMPONENT: COMPONENT},
        None,
        True,
        follows(handshake),
    )
    if state is not None:
        state.watch(protocol)
    return state
