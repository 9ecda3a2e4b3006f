"""End to end over loopback sockets: a server here, the clients in a process of their own (``served.py PORT COUNT``)."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from tornado.netutil import bind_sockets

if TYPE_CHECKING:
    from contenders import Tracing

CONNECTIONS = (1, 16, 256)
_SECONDS = 1.0
_REQUEST = b"GET /story/1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"


async def measure(tracing: Tracing) -> None:
    """Print requests a second, and seconds of processor time of the server's a request, by connections."""
    from scenarios import served_by
    from tornado.httpserver import HTTPServer

    server = HTTPServer(served_by(tracing))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    for connections in CONNECTIONS:
        used, begun = time.process_time(), time.perf_counter()
        clients = await asyncio.create_subprocess_exec(
            sys.executable, __file__, str(port), str(connections), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await clients.communicate()
        used = time.process_time() - used
        requests, seconds = map(float, output.split())
        assert begun + seconds < time.perf_counter()
        print(f"{connections} connections", requests / seconds, used / requests, sep="\t")
        tracing.reset()
    server.stop()


async def one_client(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    requests = 0
    while time.perf_counter() < until:
        writer.write(_REQUEST)
        await reader.readuntil(b"hello")
        requests += 1
    writer.close()
    return requests


async def clients(port: int, connections: int) -> None:
    start = time.perf_counter()
    counts = await asyncio.gather(*(one_client(port, start + _SECONDS) for _ in range(connections)))
    print(sum(counts), time.perf_counter() - start)


if __name__ == "__main__":
    asyncio.run(clients(int(sys.argv[1]), int(sys.argv[2])))
