# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tornado without sockets: what is measured is Tornado and the tracing, and nothing of the kernel."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
from tornado.web import Application

Action = Callable[[], Awaitable[object]]


class Peer:
    """Who sent a request, as a server's connection knows it."""

    address = ("127.0.0.1", 50000)
    remote_ip = "127.0.0.1"
    protocol = "http"


class Connection(HTTPConnection):
    """Takes a response and forgets it."""

    context = Peer()

    def __init__(self) -> None:
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stream = Stream()

    def write_headers(self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None) -> asyncio.Future[None]:
        """What Tornado's own keeps of it, too."""
        self._response_start_line: ResponseStartLine = start_line
        return done()

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        return done()

    def finish(self) -> None:
        self.finished.set_result(None)

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        pass

    def detach(self) -> Stream:
        return self.stream


class Stream:
    """Brings the bytes it is fed."""

    def __init__(self) -> None:
        self._buffer = b""
        self._wanted = 0
        self._reader: asyncio.Future[bytes] | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data
        self._hand_over()

    def read_bytes(self, count: int) -> asyncio.Future[bytes]:
        self._reader, self._wanted = asyncio.get_running_loop().create_future(), count
        reader = self._reader
        self._hand_over()
        return reader

    def write(self, data: bytes) -> asyncio.Future[None]:
        return done()

    def set_nodelay(self, value: bool) -> None:
        pass

    def close(self) -> None:
        self._reader = None

    def closed(self) -> bool:
        return False

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        pass

    def _hand_over(self) -> None:
        if self._reader is not None and len(self._buffer) >= self._wanted:
            data, self._buffer = self._buffer[: self._wanted], self._buffer[self._wanted :]
            reader, self._reader = self._reader, None
            reader.set_result(data)


def done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


def begin(application: Application, path: str, headers: HTTPHeaders, method: str = "GET") -> tuple[Any, Connection]:
    """Send the head of a request; what takes its body, and the connection that takes the response."""
    connection = Connection()
    delegate = application.start_request(object(), connection)
    delegate.headers_received(RequestStartLine(method, path, "HTTP/1.1"), headers)
    return delegate, connection


def requesting(
    application: Application, path: str, headers: HTTPHeaders, method: str = "GET", body: bytes = b""
) -> Action:
    """An action that sends a request and waits for the end of the response."""

    async def request() -> None:
        delegate, connection = begin(application, path, headers, method)
        if body:
            delegate.data_received(body)
        delegate.finish()
        await connection.finished

    return request


class InstantClient(AsyncHTTPClient):
    """Answers at once."""

    def initialize(self) -> None:  # type: ignore[override]
        super().initialize()

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        callback(HTTPResponse(request, 200, HTTPHeaders(), io.BytesIO(b"hello"), request_time=0.001))
