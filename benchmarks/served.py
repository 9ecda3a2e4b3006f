# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""End to end over loopback sockets: a server here, the clients in a process of their own (``served.py PORT COUNT``)."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

if TYPE_CHECKING:
    from contenders import Tracing
    from tornado.web import RequestHandler

CONNECTIONS = (1, 16, 256)
_SECONDS = 1.0
_REQUEST = b"GET /story/1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"


def rate(connections: int) -> str:
    return f"requests a second, {connections} connections"


def processor_time(connections: int) -> str:
    return f"processor time a request, {connections} connections"


async def measure(tracing: Tracing) -> None:
    """Print requests a second, and microseconds of the server's processor time a request, by connections."""
    from scenarios import served_by

    requests = 0

    def count(_: RequestHandler) -> None:
        nonlocal requests
        requests += 1

    application = served_by(tracing)
    # Called at the end of each request, with everybody.
    application.settings["log_function"] = count
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    for connections in CONNECTIONS:
        clients = await asyncio.create_subprocess_exec(sys.executable, __file__, str(port), str(connections))
        try:
            # Until all are connected and served, and what is done but once is done.
            warm = requests + 300 + 2 * connections
            while requests < warm:
                await asyncio.sleep(0.01)
            tracing.reset()
            before, used, begun = requests, time.process_time(), time.perf_counter()
            await asyncio.sleep(_SECONDS)
            answered, used, seconds = requests - before, time.process_time() - used, time.perf_counter() - begun
        finally:
            clients.terminate()
            await clients.wait()
        print(rate(connections), answered / seconds, sep="\t")
        print(processor_time(connections), used / answered * 1e6, sep="\t")
    server.stop()


class Client(asyncio.Protocol):
    """Sends the next request when the last one is answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(b"hello"):
            self._send()

    def _send(self) -> None:
        self._answer = b""
        self._transport.write(_REQUEST)


async def clients(port: int, connections: int) -> None:
    """Send requests until the process is ended."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.create_connection(Client, "127.0.0.1", port) for _ in range(connections)))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(clients(int(sys.argv[1]), int(sys.argv[2])))
