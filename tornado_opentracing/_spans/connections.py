# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the spans of one WebSocket connection have in common: how they are called, and which tags tell of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from opentracing import tags

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._scopes.ids import ids_of
from tornado_opentracing._spans import followers, naming, routes
from tornado_opentracing._spans.tags import COMPONENT, ROUTE, client_tags, server_tags
from tornado_opentracing._spans.terms import terms

if TYPE_CHECKING:
    from opentracing import Span, Tracer

    from tornado_opentracing._settings.options import Options
    from tornado_opentracing._spans.fetch import FetchSpan
    from tornado_opentracing._spans.request import RequestSpan

CLOSE_CODE, CLOSE_REASON = "websocket.close.code", "websocket.close.reason"
CONNECTION_ID = "websocket.connection.id"
HANDSHAKE_TRACE_ID = "websocket.handshake.trace_id"

#: Where it is kept on either end what the application closed it with.
_OWN_CLOSE = "_tornado_opentracing_close"

#: What all the rest has of the handshake: as OpenTracing, and as OpenTelemetry's conventions call it.
_OF_HANDSHAKE = (
    *(tags.HTTP_URL, ROUTE, tags.PEER_HOSTNAME, tags.PEER_ADDRESS),
    *(tags.PEER_HOST_IPV4, tags.PEER_HOST_IPV6, tags.PEER_PORT),
    *("url.full", "url.scheme", "url.path", "url.query", "server.address", "server.port"),
    *("client.address", "client.port", "network.peer.address", "network.peer.port"),
)
#: The tags of all the rest.
TAGS = (*_OF_HANDSHAKE, CONNECTION_ID, HANDSHAKE_TRACE_ID)


class Shared:
    """What the spans of one connection have in common, found out once."""

    __slots__ = ("beginning", "described", "follows", "parent", "references", "tags")

    def __init__(self, handshake: RequestSpan, handler: Any) -> None:
        tracer = handshake.tracer
        self.tags = {tags.COMPONENT: COMPONENT, **_server_end(handshake, handler)}
        #: The same in the tracer's own terms, if it has such.
        self.described = _described(tracer, self.tags)
        #: How a root refers to the handshake that it follows from: by its parent and references, or by a tag.
        self.follows: dict[str, Any] = {}
        self.parent, self.references = followers.referring(tracer, handshake.span, self.follows)
        #: What the name of each begins with: by the route, where requests are called by that, else by the handler.
        self.beginning = _beginning(handshake, handler)


def shared_by(handshake: RequestSpan, handler: Any) -> Shared:
    """What everything has in common that happens on the connection that a handler serves."""
    shared: Shared | None = handshake.shared
    if shared is None:
        handshake.shared = shared = Shared(handshake, handler)
    return shared


def _described(tracer: Tracer, found: dict[str, Any]) -> Any:
    try:
        describe = terms[type(tracer)].describe_connection
        return None if describe is None else describe(tracer, found)
    except Exception:
        report("describing a connection")
        return None


def _beginning(handshake: RequestSpan, handler: Any) -> str:
    handler_class = type(handler).__name__
    if not naming.is_by_route(handshake.tracer, handshake.options):
        return f"{handler_class}."
    return f"WS {routes.telling_route_of(handler.request) or handler_class} "


def _server_end(handshake: RequestSpan, handler: Any) -> dict[str, Any]:
    try:
        request, options = handler.request, handshake.options
        found = _in_terms_of(handshake.tracer, "describe_request", request, options, ())
        found = server_tags(request, options, ()) if found is None else found
        return _chosen(found, handshake.span)
    except Exception:
        report("describing a connection")
        return {}


def client_end(handshake: FetchSpan, url: Any) -> dict[str, Any]:
    """The same of a connection that was made to a URL."""
    try:
        found = _in_terms_of(handshake.tracer, "describe_fetch", None, url, "GET", handshake.options)
        found = client_tags(None, url, "GET", handshake.options) if found is None else found
        return _chosen(found, handshake.span)
    except Exception:
        report("describing a connection")
        return {}


def _in_terms_of(tracer: Tracer, describe: str, *args: Any) -> dict[str, Any] | None:
    """What a tracer that has terms of its own for HTTP says; ``None`` for others."""
    method = getattr(type(tracer), describe, None)
    described = None if method is None else method(tracer, *args)
    return None if described is None else dict(described.attributes())


def _chosen(found: dict[str, Any], handshake: Span) -> dict[str, Any]:
    chosen = {name: found[name] for name in _OF_HANDSHAKE if name in found}
    trace_id, span_id = ids_of(handshake)
    # The handshake's span has it already: its own id.
    chosen[CONNECTION_ID] = span_id or secrets.token_hex(8)
    if trace_id is not None:
        chosen[HANDSHAKE_TRACE_ID] = trace_id
    return chosen


def note_own_close(end: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Keep what the application closes a connection with: who closes it is not told the reason again."""
    code, reason = (*args, kwargs.get("code"))[0], (*args[1:], kwargs.get("reason"))[0]
    # Tornado says 1000 for who gives a reason alone.
    vars(end).setdefault(_OWN_CLOSE, (1000 if code is None and reason is not None else code, reason))


def close_tags(end: Any, code: Any, reason: Any, options: Options) -> dict[str, Any]:
    """How a connection ended.

    :param end: who has it here.
    :param code: what the other end said, if it did. To who has closed the connection it answers with the code alone.
    :param reason: the same.
    """
    found: dict[str, Any] = {}
    try:
        own_code, own_reason = vars(end).get(_OWN_CLOSE, (None, None))
        code, reason = code or own_code, reason or own_reason
        if code is not None:
            found[CLOSE_CODE] = code
        if reason:
            found[CLOSE_REASON] = _redaction.redact_value(str(reason), options.redacted_query_params)
    except Exception:
        report("describing the end of a connection")
    return found
