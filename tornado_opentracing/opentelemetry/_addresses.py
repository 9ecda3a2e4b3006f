# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Where a server is: its name and port, from what a ``Host`` header or a URL says of it."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

from tornado_opentracing import _redaction
from tornado_opentracing.opentelemetry import _attributes

#: Longer than what is worth to be remembered.
LONG = 256
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def bounded(value: Any) -> str:
    """A value as text of a length that can be kept."""
    return _redaction.clip(_attributes.text(value))


def server_of(url: str) -> dict[str, Any]:
    """Name and port of a server, from a URL."""
    scheme, separator, rest = url.partition("://")
    netloc = rest.partition("/")[0]
    if not separator or "?" in netloc or "#" in netloc:  # as few are, and those need a closer look
        scheme, netloc = url.partition(":")[0], netloc_of(url)
    scheme = scheme.lower()
    return server_at(scheme, netloc)


def netloc_of(url: str) -> str:
    """What a URL says of its server."""
    try:
        return urlsplit(url).netloc
    except ValueError:  # no URL at all
        return ""


def server_at(scheme: str, netloc: str) -> dict[str, Any]:
    """Name and port of a server, from what a ``Host`` header or a URL says of it; not to be changed."""
    return _found(scheme, netloc) if len(netloc) < LONG else _found.__wrapped__(scheme, netloc)


@functools.lru_cache(maxsize=1024)
def _found(scheme: str, netloc: str) -> dict[str, Any]:
    host = netloc.rpartition("@")[2]
    name, separator, port = host.rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal() and len(port) <= 5):
        name, port = host.removesuffix(":"), ""
    if name[:1] == "[" and name[-1:] == "]":
        name = name[1:-1]
    if not name:
        return {}
    found: dict[str, Any] = {"server.address": bounded(name.lower())}
    number = int(port) if port else _DEFAULT_PORTS.get(scheme)
    if number is not None:
        found["server.port"] = number
    return found
