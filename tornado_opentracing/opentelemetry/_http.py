# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is known of a request or a fetch, in the terms of OpenTelemetry's semantic conventions, once and all at once."""

from __future__ import annotations

import abc
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind
from opentracing import tags

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._settings.options import SERVER_ERRORS, Options
from tornado_opentracing._spans import routes, templates
from tornado_opentracing._spans.tags import (
    REQUEST_HEADER,
    attribute_tags,
    client_tags,
    header_tags,
    server_tags,
)
from tornado_opentracing.opentelemetry import _attributes
from tornado_opentracing.opentelemetry._described import CLIENT_ERRORS

if TYPE_CHECKING:
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

#: Longer than what is worth to be remembered.
_LONG = 256
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Description(Mapping[str, Any]):
    """The tags of a request or a fetch, as OpenTracing has them, and what is told to OpenTelemetry in their place."""

    @property
    @abc.abstractmethod
    def _tags(self) -> dict[str, Any]:
        """Those that OpenTracing has."""

    def __getitem__(self, name: str) -> Any:
        return self._tags[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)


class RequestDescription(Description):
    """Of a request to this server."""

    kind = SpanKind.SERVER

    def __init__(
        self, request: HTTPServerRequest, options: Options, attribute_names: Iterable[str], is_dup: bool
    ) -> None:
        self._request = request
        self._options = options
        self._attribute_names = attribute_names
        self._is_dup = is_dup
        self.error_statuses = options.server_error_statuses

    @functools.cached_property
    def _tags(self) -> dict[str, Any]:
        return server_tags(self._request, self._options, self._attribute_names)

    def name(self, operation_name: str) -> str:
        """Method and route, unless the application has asked for another name."""
        if self._options.operation_name is not None:
            return _attributes.text(operation_name)
        return request_name(self._request)

    def attributes(self) -> dict[str, Any]:
        """What the conventions require and recommend of a server span, and what the application has asked for."""
        found: dict[str, Any] = {}
        request, options = self._request, self._options
        try:
            uri = _redaction.redact_url(request.uri or "", options.redacted_query_params)
            scheme, host, version = request.protocol, request.host, request.version
            method = request.method
            if uri[:1] != "/":  # the whole URL, which an HTTP proxy is asked for
                host = _netloc(uri) or host
            server = _server_at(scheme, host) if len(host) < _LONG else _server(scheme, host)
            # What nearly all have, at once: one by one costs twice as much.
            found = {"http.request.method": method, "url.scheme": scheme, "url.path": uri, **server}
            if method not in _attributes.METHODS:
                _put_method(found, method)
            if "?" in uri or "#" in uri or uri[:1] != "/" or uri[:2] == "//" or not uri.isascii():
                del found["url.path"]
                _attributes.put_url(found, _attributes.text(uri))
            try:
                address = request.connection.context.address  # type: ignore[union-attr]
            except AttributeError:  # somebody's own connection
                address = None
            ip = request.remote_ip
            if isinstance(address, tuple):
                found["network.peer.address"] = peer = address[0]
                found["network.peer.port"] = port = address[1]
                if peer == ip:
                    found["client.port"] = port
            if ip and ip != "0.0.0.0":  # noqa: S104 - which is what Tornado says of a Unix socket
                found["client.address"] = ip
            if version[:5] == "HTTP/":
                found["network.protocol.version"] = version[5:]
            # Not get(), which does as much again to find out how the name is spelt.
            user_agents = request.headers._as_list.get("User-Agent")
            if user_agents is not None:
                user_agent = ",".join(user_agents)
                is_plain = user_agent.isascii() and len(user_agent) < _LONG
                found["user_agent.original"] = user_agent if is_plain else _bounded(user_agent)
            pattern = getattr(request, routes.PATTERN, None)
            if pattern is not None:
                route = templates.template(pattern)
                found["http.route"] = route if route.isascii() else _attributes.text(route)
            if options.traced_request_headers or self._attribute_names or self._is_dup:
                self._put_asked_for(found, request, options)
        except Exception:
            report("describing a request")
        return found

    def _put_asked_for(self, found: dict[str, Any], request: HTTPServerRequest, options: Options) -> None:
        if options.traced_request_headers:
            names = options.traced_request_headers
            _put_tags(found, header_tags(REQUEST_HEADER, request.headers, names, options), self.kind)
        if self._attribute_names:
            _put_tags(found, attribute_tags(request, self._attribute_names, options), self.kind)
        if self._is_dup:
            _put_old(found, self._tags, self.kind)


def request_name(request: HTTPServerRequest) -> str:
    """Method and route, as far as they are known."""
    method = request.method if request.method in _attributes.METHODS else "HTTP"
    return _name(method, getattr(request, routes.PATTERN, None))


@functools.lru_cache(maxsize=4096)
def _name(method: str, pattern: str | None) -> str:
    return method if pattern is None else f"{method} {_attributes.text(templates.template(pattern))}"


class FetchDescription(Description):
    """Of a fetch."""

    kind = SpanKind.CLIENT

    def __init__(self, request: HTTPRequest | None, url: Any, method: Any, options: Options, is_dup: bool) -> None:
        self._request = request
        self._url = url
        self._method = method
        self._options = options
        self._is_dup = is_dup
        given = options.client_error_statuses
        # The conventions', unless there are others in the settings.
        self.error_statuses = CLIENT_ERRORS if given is SERVER_ERRORS else given

    @functools.cached_property
    def _tags(self) -> dict[str, Any]:
        return client_tags(self._request, self._url, self._method, self._options)

    def name(self, operation_name: str) -> str:
        """The method."""
        return operation_name if operation_name in _attributes.METHODS else "HTTP"

    def attributes(self) -> dict[str, Any]:
        """What the conventions require of a client span, and what the application has asked for."""
        found: dict[str, Any] = {}
        options, url = self._options, self._url
        try:
            _put_method(found, self._method)
            if type(url) is not str:
                url = url.decode("latin-1") if isinstance(url, bytes) else str(url)
            full = _redaction.redact_url(url, options.redacted_query_params)
            found["url.full"] = full if full.isascii() else _attributes.text(full)
            found.update(_server_of(url))
            if options.traced_request_headers and self._request is not None:
                names = options.traced_request_headers
                _put_tags(found, header_tags(REQUEST_HEADER, self._request.headers, names, options), self.kind)
            if self._is_dup:
                _put_old(found, self._tags, self.kind)
        except Exception:
            report("describing a fetch")
        return found


def _bounded(value: Any) -> str:
    return _redaction.clip(_attributes.text(value))


def _put_method(found: dict[str, Any], method: Any) -> None:
    if method in _attributes.METHODS:
        found["http.request.method"] = method
    else:
        found["http.request.method"] = "_OTHER"
        found["http.request.method_original"] = _bounded(method)


def _server_of(url: str) -> dict[str, Any]:
    scheme, separator, rest = url.partition("://")
    netloc = rest.partition("/")[0]
    if not separator or "?" in netloc or "#" in netloc:  # as few are, and those need a closer look
        scheme, netloc = url.partition(":")[0], _netloc(url)
    scheme = scheme.lower()
    return _server_at(scheme, netloc) if len(netloc) < _LONG else _server(scheme, netloc)


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # no URL at all
        return ""


def _server(scheme: str, netloc: str) -> dict[str, Any]:
    """Name and port of a server, from what a ``Host`` header or a URL says of it."""
    host = netloc.rpartition("@")[2]
    name, separator, port = host.rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal() and len(port) <= 5):
        name, port = host.removesuffix(":"), ""
    if name[:1] == "[" and name[-1:] == "]":
        name = name[1:-1]
    if not name:
        return {}
    found: dict[str, Any] = {"server.address": _bounded(name.lower())}
    number = int(port) if port else _DEFAULT_PORTS.get(scheme)
    if number is not None:
        found["server.port"] = number
    return found


_server_at = functools.lru_cache(maxsize=1024)(_server)


def _put_tags(found: dict[str, Any], pairs: Mapping[str, Any], kind: SpanKind) -> None:
    found.update(_attributes.of_tags(pairs, kind, False))


def _put_old(found: dict[str, Any], pairs: Mapping[str, Any], kind: SpanKind) -> None:
    """Put in the names of OpenTracing, and of the conventions of before they were stable."""
    for name, value in _attributes.of_tags(pairs, kind, True).items():
        if name != tags.SPAN_KIND:
            found.setdefault(name, value)
