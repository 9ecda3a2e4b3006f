# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is known of a request, as tags: OpenTracing's standard ones, and those that were asked for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentracing import tags
from tornado.httputil import HTTPHeaders

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._spans import routes

if TYPE_CHECKING:
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.options import Options

COMPONENT = "tornado"
ROUTE = "http.route"
REQUEST_HEADER = "http.request.header."
RESPONSE_HEADER = "http.response.header."

_LONGEST_KEPT = 300

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


_SERVER: dict[str, Any] = {
    tags.COMPONENT: COMPONENT,
    tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER,
    # Each request and fetch has its own; here they keep their place.
    tags.HTTP_METHOD: None,
    tags.HTTP_URL: None,
}
_CLIENT = {**_SERVER, tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT}


def server_tags(request: HTTPServerRequest, options: Options, attribute_names: Iterable[str]) -> dict[str, Any]:
    """The tags of a server span."""
    method = request.method or ""
    found = _SERVER.copy()
    found[tags.HTTP_METHOD] = method if len(method) < _LONGEST_KEPT else _redaction.clip(method)
    found[tags.HTTP_URL] = _redaction.redact_url(request.uri or "", options.redacted_query_params)
    ip = request.remote_ip
    if ip and ip != "0.0.0.0":  # noqa: S104 - which is what Tornado says of a Unix socket
        found[tags.PEER_HOST_IPV6 if ":" in ip else tags.PEER_HOST_IPV4] = ip
        # The port belongs to the address of the connection, which is a proxy's where xheaders put another in its place.
        try:
            address = request.connection.context.address  # type: ignore[union-attr]
        except AttributeError:
            address = None
        if type(address) is tuple and address[0] == ip:
            found[tags.PEER_PORT] = address[1]
    route = routes.route_of(request)
    if route is not None:
        found[ROUTE] = route
    if options.traced_request_headers:
        found.update(header_tags(REQUEST_HEADER, request.headers, options.traced_request_headers, options))
    if attribute_names:
        found.update(attribute_tags(request, attribute_names, options))
    return found


def client_tags(request: HTTPRequest | None, url: Any, method: Any, options: Options) -> dict[str, Any]:
    """The tags of a client span; the request is ``None`` where the arguments of the fetch make none."""
    if type(url) is not str:
        url = url.decode("latin-1") if isinstance(url, bytes) else str(url)
    found = _tags_for(url).copy()
    is_short = type(method) is str and len(method) < _LONGEST_KEPT
    found[tags.HTTP_METHOD] = method if is_short else _redaction.clip(str(method))
    found[tags.HTTP_URL] = _redaction.redact_url(url, options.redacted_query_params)
    if request is not None and options.traced_request_headers:
        found.update(header_tags(REQUEST_HEADER, request.headers, options.traced_request_headers, options))
    return found


def header_tags(prefix: str, headers: Mapping[str, str], names: Iterable[str], options: Options) -> dict[str, str]:
    """The headers of these names as tags: several values in one tag, secrets redacted, none where there is none."""
    result = {}
    pairs = list(headers.get_all() if isinstance(headers, HTTPHeaders) else headers.items())
    for name in names:
        values = [str(value) for key, value in pairs if key.lower() == name.lower()]
        if values:
            result[f"{prefix}{name.lower()}"] = _header(name, values, options)
    return result


def _header(name: str, values: list[str], options: Options) -> str:
    allowed, params = options.unredacted_headers, options.redacted_query_params
    return _redaction.clip(_redaction.redact_header(name, values, allowed, params))


def _tags_for(url: str) -> dict[str, Any]:
    """The tags that all client spans have, and those that tell the server."""
    try:
        scheme, separator, rest = url.partition("://")
        netloc = rest.partition("/")[0]
        if not separator or "?" in netloc or "#" in netloc:  # as few are, and those need a closer look
            if "@" in netloc:
                return _CLIENT  # what comes before the sign may be part of a password
            parts = urlsplit(url)
            scheme, netloc = parts.scheme, parts.netloc
        # What is kept of them has a bound.
        find = _tags_for_server if len(netloc) <= _LONGEST_KEPT else _tags_for_server.__wrapped__
        return find(scheme, netloc)
    except Exception:  # no URL at all: Tornado says so
        return _CLIENT


@functools.lru_cache(maxsize=1024)
def _tags_for_server(scheme: str, netloc: str) -> dict[str, Any]:
    parts = urlsplit(f"{scheme}://{netloc}")
    host = _redaction.clip(parts.hostname or "")
    port = _DEFAULT_PORTS.get(parts.scheme) if parts.port is None else parts.port
    if not host:
        return _CLIENT
    found: dict[str, Any] = {**_CLIENT, tags.PEER_HOSTNAME: host}
    if port is not None:
        found[tags.PEER_PORT] = port
        found[tags.PEER_ADDRESS] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return found


def attribute_tags(request: HTTPServerRequest, names: Iterable[str], options: Options) -> dict[str, str]:
    """Attributes of a request as tags, secrets redacted; as in version 1, absent and empty ones give none."""
    result = {}
    for name in names:
        try:
            value = _attribute(request, name)
            if value:
                result[name] = _redaction.clip(_attribute_text(request, name, value, options))
        except Exception:
            report(f"reading the request's {name}")
    return result


def _attribute(request: HTTPServerRequest, name: str) -> Any:
    if name == "get_ssl_certificate" and request.protocol != "https":
        return None  # where there is no TLS it raises
    value = getattr(request, name, None)
    return value() if inspect.ismethod(value) else value


def _attribute_text(request: HTTPServerRequest, name: str, value: Any, options: Options) -> str:
    params = options.redacted_query_params
    if name == "headers":
        value = {header: _header(header, value.get_list(header), options) for header in value}
    elif name == "cookies":
        value = dict.fromkeys(value, _redaction.REDACTED)
    elif name in ("arguments", "query_arguments", "body_arguments"):
        value = _redaction.redact_arguments(value, params)
    elif name == "files":
        value = _redaction.describe_files(value, params)
    elif name == "body":
        value = _redaction.redact_body(value, request.headers.get("Content-Type", ""), params)
    elif name in ("uri", "full_url"):
        value = _redaction.redact_url(value, params)
    else:
        value = _redaction.redact_value(str(value), params)
    return str(value)
