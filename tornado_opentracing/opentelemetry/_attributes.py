# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What OpenTracing writes on a span, as OpenTelemetry's attributes: values it can hold, names its back ends know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentracing import logs, tags

from tornado_opentracing._spans import connections, messages
from tornado_opentracing._tracebacks import format_exception
from tornado_opentracing.opentelemetry._methods import known_methods

EXCEPTION = "exception"
# An enumeration's members are slow to look up.
_CLIENT, _SERVER = SpanKind.CLIENT, SpanKind.SERVER
KINDS = {
    tags.SPAN_KIND_RPC_CLIENT: _CLIENT,
    tags.SPAN_KIND_RPC_SERVER: _SERVER,
    tags.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    tags.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}

#: The methods that spans name, as the environment says when this is imported.
METHODS = known_methods()
#: The status that Tornado's client gives where there was no response.
NO_RESPONSE = 599
_OF_EXCEPTIONS = frozenset({logs.EVENT, logs.ERROR_OBJECT, logs.ERROR_KIND, logs.MESSAGE, logs.STACK})
_HEADERS = ("http.request.header.", "http.response.header.")
_LARGEST_INT = 2**63


def of_tags(pairs: Mapping[Any, Any], kind: SpanKind, is_dup: bool) -> dict[str, Any]:
    """Tags as attributes, each under the name that it has in the semantic conventions, else under its own.

    :param is_dup: whether those of the conventions are there under their own name as well.
    """
    found: dict[str, Any] = {}
    for name, value in pairs.items():
        # As convert() and text() would, without calling them for what nearly all are.
        is_plain = type(value) is str and value.isascii()
        if name in _SAME and (is_plain or type(value) is int):
            found[name] = value if is_plain else convert(value)
        elif (peer := _PEERS.get(name)) is not None:
            found[peer[kind is _SERVER]] = converted = value if is_plain else convert(value)
            if is_dup:
                found[name] = converted
        elif (known := _CONVENTIONS.get(name)) is not None:
            converted = value if is_plain else convert(value)
            known(found, converted, kind)
            if is_dup:
                found[name] = converted
        elif name := name if type(name) is str and name.isascii() else text(name):
            if name.startswith(_HEADERS):
                found[name] = (text(value),)
            else:
                found[name] = value if is_plain else convert(value)
    return found


def of_log(fields: Mapping[Any, Any]) -> tuple[str, dict[str, Any]]:
    """A log's fields as the name and the attributes of an event; an error's as OpenTelemetry records an exception."""
    event = text(fields.get(logs.EVENT, "log"))
    found: dict[str, Any] = {}
    taken: Collection[str] = ()
    if event == tags.ERROR or logs.ERROR_OBJECT in fields:
        event, taken = EXCEPTION, _OF_EXCEPTIONS
        _put_exception(found, fields)
    for name, value in fields.items():
        if name not in taken and (key := text(name)):
            found[key] = convert(value)
    return event, found


def _put_exception(found: dict[str, Any], fields: Mapping[Any, Any]) -> None:
    kind, message, stack = fields.get(logs.ERROR_KIND), fields.get(logs.MESSAGE), fields.get(logs.STACK)
    error = fields.get(logs.ERROR_OBJECT)
    if isinstance(error, BaseException):
        kind = type(error)
        message = error if message is None else message
        stack = stack if isinstance(stack, str) else format_exception(error)
    if isinstance(kind, type):
        kind = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    for name, value in (("type", kind), ("message", message), ("stacktrace", stack)):
        if value is not None:
            found[f"exception.{name}"] = text(value)


def convert(value: Any) -> Any:
    """A value as OpenTelemetry can hold and export it, without a warning: text where it is of no type of theirs."""
    if isinstance(value, str):
        return text(value)
    if type(value) is int and 0 <= value < _LARGEST_INT:
        return value
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST_INT <= value < _LARGEST_INT else str(value)
    if isinstance(value, (list, tuple)):
        values = [convert(item) for item in value]
        same = len({type(item) for item in values}) <= 1 and not any(isinstance(item, tuple) for item in values)
        return tuple(values if same else map(text, value))
    return text(value)


def text(value: Any) -> str:
    """A value as text that can be encoded, which a lone surrogate cannot."""
    if type(value) is str and value.isascii():
        return value
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception:
        return f"<{type(value).__name__}>"


def _method(found: dict[str, Any], value: Any, _kind: SpanKind) -> None:
    if value in METHODS:
        found["http.request.method"] = value
    else:
        found.update({"http.request.method": "_OTHER", "http.request.method_original": text(value)})


def _status(found: dict[str, Any], value: Any, kind: SpanKind) -> None:
    status = status_of(value)
    if status is not None and not (kind is _CLIENT and status == NO_RESPONSE):
        found["http.response.status_code"] = status


def status_of(value: Any) -> int | None:
    """The status of a response that a tag tells, if it is one."""
    try:
        status = value if type(value) is int else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return status if 0 < status < 1000 else None


def _url(found: dict[str, Any], value: Any, kind: SpanKind) -> None:
    url = text(value)
    if kind is _CLIENT:
        found["url.full"] = url
    else:
        put_url(found, url)


def put_url(found: dict[str, Any], url: str) -> None:
    """Put the parts of what a request asks for into its attributes."""
    if url[:1] == "/" and url[:2] != "//" and "#" not in url:  # as nearly all are
        found["url.path"], _, query = url.partition("?")
        if query:
            found["url.query"] = query
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    given = {"url.scheme": parts.scheme, "url.path": parts.path, "url.query": parts.query}
    found.update({name: part for name, part in given.items() if part})


#: What a tag of the semantic conventions adds to the attributes.
_CONVENTIONS: dict[str, Callable[[dict[str, Any], Any, SpanKind], None]] = {
    tags.HTTP_METHOD: _method,
    tags.HTTP_STATUS_CODE: _status,
    tags.HTTP_URL: _url,
}
#: The peer of a server span is the client, and the other way round: a server's name, then a client's.
_PEERS: dict[str, tuple[str, str]] = {
    tags.PEER_HOSTNAME: ("server.address", "client.address"),
    tags.PEER_HOST_IPV4: ("network.peer.address", "client.address"),
    tags.PEER_HOST_IPV6: ("network.peer.address", "client.address"),
    tags.PEER_PORT: ("server.port", "client.port"),
}
#: Names that are the same in both, of the tags that spans of this package have most: they need no closer look.
_SAME = frozenset({tags.COMPONENT, *messages.TAGS, *connections.TAGS}) - _PEERS.keys() - _CONVENTIONS.keys()
