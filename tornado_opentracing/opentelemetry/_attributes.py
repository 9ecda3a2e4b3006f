"""What OpenTracing writes on a span, as OpenTelemetry's attributes: values it can hold, names its back ends know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentracing import logs, tags

from tornado_opentracing import _spans

EXCEPTION = "exception"
KINDS = {
    tags.SPAN_KIND_RPC_CLIENT: SpanKind.CLIENT,
    tags.SPAN_KIND_RPC_SERVER: SpanKind.SERVER,
    tags.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    tags.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_HEADERS = ("http.request.header.", "http.response.header.")
_LARGEST_INT = 2**63


def of_tags(pairs: Mapping[Any, Any], kind: SpanKind) -> dict[str, Any]:
    """Tags as attributes: each under its own name and, where it has one, under that of the semantic conventions."""
    found: dict[str, Any] = {}
    for name, value in pairs.items():
        if known := _CONVENTIONS.get(name):
            found[name] = converted = convert(value)
            found.update(known(converted, kind))
        elif name := text(name):
            found[name] = (text(value),) if name.startswith(_HEADERS) else convert(value)
    return found


def of_log(fields: Mapping[Any, Any]) -> tuple[str, dict[str, Any]]:
    """A log's fields as the name and the attributes of an event; an error's as OpenTelemetry records an exception."""
    left = dict(fields)
    name = text(left.get(logs.EVENT, "log"))
    if name == tags.ERROR or logs.ERROR_OBJECT in left:
        name = EXCEPTION
        left = _exception(left)
    return name, {key: convert(value) for key, value in zip(map(text, left), left.values(), strict=True) if key}


def _exception(fields: dict[Any, Any]) -> dict[Any, Any]:
    fields.pop(logs.EVENT, None)
    error = fields.pop(logs.ERROR_OBJECT, None)
    kind, message, stack = (fields.pop(name, None) for name in (logs.ERROR_KIND, logs.MESSAGE, logs.STACK))
    if isinstance(error, BaseException):
        kind = type(error)
        message = error if message is None else message
        stack = stack if isinstance(stack, str) else _spans.format_exception(error)
    if isinstance(kind, type):
        kind = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    found = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    return {**{name: text(value) for name, value in found.items() if value is not None}, **fields}


def convert(value: Any) -> Any:
    """A value as OpenTelemetry can hold and export it, without a warning: text where it is of no type of theirs."""
    if isinstance(value, str):
        return text(value)
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


def _method(value: Any, _kind: SpanKind) -> dict[str, Any]:
    if value in _METHODS:
        return {"http.request.method": value}
    return {"http.request.method": "_OTHER", "http.request.method_original": text(value)}


def _status(value: Any, _kind: SpanKind) -> dict[str, Any]:
    try:
        status = int(value)
    except (TypeError, ValueError, OverflowError):
        return {}
    return {"http.response.status_code": status} if 0 < status < 1000 else {}


def _url(value: Any, kind: SpanKind) -> dict[str, Any]:
    if kind is SpanKind.CLIENT:
        return {"url.full": text(value)}
    url = text(value)
    if url.startswith("/") and not url.startswith("//") and "#" not in url:  # as nearly all are
        path, _, query = url.partition("?")
        return {"url.path": path, "url.query": query} if query else {"url.path": path}
    try:
        parts = urlsplit(url)
    except ValueError:
        return {}
    found = {"url.scheme": parts.scheme, "url.path": parts.path, "url.query": parts.query}
    return {name: part for name, part in found.items() if part}


def _peer(client: str, server: str) -> Any:
    """The peer of a server span is the client, and the other way round."""

    def peer(value: Any, kind: SpanKind) -> dict[str, Any]:
        return {client if kind is SpanKind.SERVER else server: value}

    return peer


_CONVENTIONS: dict[str, Any] = {
    tags.HTTP_METHOD: _method,
    tags.HTTP_STATUS_CODE: _status,
    tags.HTTP_URL: _url,
    tags.PEER_HOSTNAME: _peer("client.address", "server.address"),
    tags.PEER_HOST_IPV4: _peer("client.address", "network.peer.address"),
    tags.PEER_HOST_IPV6: _peer("client.address", "network.peer.address"),
    tags.PEER_PORT: _peer("client.port", "server.port"),
}
