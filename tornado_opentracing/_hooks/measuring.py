# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at a server's connection where requests are measured: the bytes of each response's body are counted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1Connection

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch

#: Where a connection keeps the measurement of its request; each request has a connection object of its own.
MEASUREMENT = "_tornado_opentracing_measurement"


def _count(connection: HTTP1Connection, chunk: Any) -> None:
    measurement = getattr(connection, MEASUREMENT, None)
    if measurement is None or not chunk:
        return
    try:
        if connection.stream is not None and not connection.stream.closed():
            measurement.sent(len(chunk))
    except Exception:
        report("measuring a response")


def _write_headers_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def write_headers(self: HTTP1Connection, start_line: Any, headers: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.enabled:
            _count(self, args[0] if args else kwargs.get("chunk"))
        return original(self, start_line, headers, *args, **kwargs)

    return write_headers


def _write_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def write(self: HTTP1Connection, chunk: bytes) -> Any:
        if layer.enabled:
            _count(self, chunk)
        return original(self, chunk)

    return write


HOOKS = [
    Patch(HTTP1Connection, "write_headers", _write_headers_hook),
    Patch(HTTP1Connection, "write", _write_hook),
]
