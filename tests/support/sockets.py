# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A WebSocket that tells what it saw, and how the tests serve it and talk to it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from support import Recorder, Servers, active_id
from support.serving import until
from tornado_opentracing import init_tracing

Event = tuple[str, Any]


@dataclasses.dataclass
class Site:
    """What the test and the handlers tell each other."""

    tracer: Any
    #: What the handler was called for, and what was active there.
    active: list[tuple[str, int | None]] = dataclasses.field(default_factory=list)
    release: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    is_open: bool = False
    is_closed: bool = False
    #: The server's end of the connection that was opened last.
    stream: Any = None
    exceptions: list[Any] = dataclasses.field(default_factory=list)
    #: Scopes left open; OpenTelemetry's shim closes one that nobody refers to.
    scopes: list[Any] = dataclasses.field(default_factory=list)

    def saw(self, event: str) -> None:
        self.active.append((event, active_id(self.tracer)))


class Socket(WebSocketHandler):
    """Tells the site what it saw."""

    def initialize(self, site: Site) -> None:
        self.site = site

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.site.is_open = True
        protocol: Any = self.ws_connection
        self.site.stream = protocol.stream
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.write_message(message, isinstance(message, bytes))
        return None

    def on_close(self) -> None:
        self.site.is_closed = True

    def log_exception(self, *exc_info: Any) -> None:
        self.site.exceptions.append(exc_info[1])


def serve(servers: Servers, recorder: Recorder, handler: type[WebSocketHandler], **options: Any) -> tuple[str, Site]:
    """Serve the handler; fetches and the test's own end of the connection are not traced, unless told otherwise."""
    init_tracing(recorder.tracer, **{"trace_client": False, **options})
    site = Site(recorder.tracer)
    url = servers.start(Application([("/", handler, {"site": site})], log_function=lambda handler: None))
    return url.replace("http", "ws"), site


@asynccontextmanager
async def connected(request: str | HTTPRequest, site: Site | None = None) -> AsyncIterator[WebSocketClientConnection]:
    """A connection to a server; closed at the end, and the server has seen it."""
    opened = await websocket_connect(request)
    stream: Any = opened.protocol and opened.protocol.stream
    try:
        yield opened
    finally:
        opened.close()
        await until(stream.closed)
        if site is not None:
            await until(lambda: site.is_closed)


async def exchange(opened: WebSocketClientConnection, *messages: str | bytes) -> None:
    """Send messages and wait for the echo of each."""
    for message in messages:
        await opened.write_message(message, isinstance(message, bytes))
        assert await opened.read_message() == message


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
