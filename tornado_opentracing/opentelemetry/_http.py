# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is known of a request or a fetch, in the terms of OpenTelemetry's semantic conventions, once and all at once."""

from __future__ import annotations

import abc
import functools
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

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
from tornado_opentracing.opentelemetry._addresses import LONG, bounded, netloc_of, server_at, server_of
from tornado_opentracing.opentelemetry._context import get_current, is_suppressed
from tornado_opentracing.opentelemetry._described import CLIENT_ERRORS

if TYPE_CHECKING:
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

_new = object.__new__


class _Tracer(Protocol):
    is_dup: bool


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

    _request: HTTPServerRequest
    _options: Options
    _attribute_names: Iterable[str]
    _is_dup: bool
    error_statuses: Container[int]

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
            method, host, version = request.method, request.host, request.version
            if uri[:1] != "/":  # the whole URL, which an HTTP proxy is asked for
                host = netloc_of(uri) or host
            is_kept = method in _attributes.METHODS and len(host) + len(version) < LONG
            find = _common if is_kept else _common.__wrapped__
            found = find(method, request.protocol, host, version, getattr(request, routes.PATTERN, None)).copy()
            if "?" in uri or "#" in uri or uri[:1] != "/" or uri[:2] == "//" or not uri.isascii():
                _attributes.put_url(found, _attributes.text(uri))
            else:
                found["url.path"] = uri
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
            # Not get(), which does as much again to find out how the name is spelt.
            user_agents = request.headers._as_list.get("User-Agent")
            if user_agents is not None:
                user_agent = ",".join(user_agents)
                is_plain = user_agent.isascii() and len(user_agent) < LONG
                found["user_agent.original"] = user_agent if is_plain else bounded(user_agent)
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


@functools.lru_cache(maxsize=1024)
def _common(method: str | None, scheme: str, host: str, version: str, pattern: str | None) -> dict[str, Any]:
    """What requests of the same kind to the same server have in common."""
    found: dict[str, Any] = {}
    _put_method(found, method)
    found["url.scheme"] = scheme
    found.update(server_at(scheme, host))
    if version[:5] == "HTTP/":
        found["network.protocol.version"] = version[5:]
    if pattern is not None:
        found["http.route"] = _attributes.text(templates.template(pattern))
    return found


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

    _request: HTTPRequest | None
    _url: Any
    _method: Any
    _options: Options
    _is_dup: bool
    error_statuses: Container[int]

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
            found.update(server_of(url))
            if options.traced_request_headers and self._request is not None:
                names = options.traced_request_headers
                _put_tags(found, header_tags(REQUEST_HEADER, self._request.headers, names, options), self.kind)
            if self._is_dup:
                _put_old(found, self._tags, self.kind)
        except Exception:
            report("describing a fetch")
        return found


def describe_request(
    tracer: _Tracer, request: HTTPServerRequest, options: Options, attribute_names: Iterable[str]
) -> RequestDescription | None:
    """What a tracer takes for the tags of a request; ``None`` where OpenTelemetry is told to leave it."""
    current = get_current()
    if current and is_suppressed(current):
        return None
    # Not by an __init__, by way of which it takes CPython twice as long.
    described = _new(RequestDescription)
    described._request = request
    described._options = options
    described._attribute_names = attribute_names
    described._is_dup = tracer.is_dup
    described.error_statuses = options.server_error_statuses
    return described


def describe_fetch(
    tracer: _Tracer, request: HTTPRequest | None, url: Any, method: Any, options: Options
) -> FetchDescription | None:
    """The same for a fetch."""
    current = get_current()
    if current and is_suppressed(current):
        return None
    described = _new(FetchDescription)
    described._request = request
    described._url = url
    described._method = method
    described._options = options
    described._is_dup = tracer.is_dup
    given = options.client_error_statuses
    # The conventions', unless there are others in the settings.
    described.error_statuses = CLIENT_ERRORS if given is SERVER_ERRORS else given
    return described


def _put_method(found: dict[str, Any], method: Any) -> None:
    if method in _attributes.METHODS:
        found["http.request.method"] = method
    else:
        found["http.request.method"] = "_OTHER"
        found["http.request.method_original"] = bounded(method)


def _put_tags(found: dict[str, Any], pairs: Mapping[str, Any], kind: SpanKind) -> None:
    found.update(_attributes.of_tags(pairs, kind, False))


def _put_old(found: dict[str, Any], pairs: Mapping[str, Any], kind: SpanKind) -> None:
    """Put in the names of OpenTracing, and of the conventions of before they were stable."""
    for name, value in _attributes.of_tags(pairs, kind, True).items():
        if name != tags.SPAN_KIND:
            found.setdefault(name, value)
