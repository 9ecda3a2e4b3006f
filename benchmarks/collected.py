# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Over loopback sockets at a fixed rate, with a collector that takes the spans over OTLP in a process of its own.

``collected.py clients PORT`` and ``collected.py collector`` are those other processes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Tracing

RATE = 1_000
_CONNECTIONS, _WARM_SECONDS, _SECONDS = 16, 3.0, 8.0
_REQUEST = b"GET /story/1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: benchmark\r\nAccept: */*\r\n\r\n"

PROCESSOR = "processor time a request, microseconds"
LATENESS = "the loop is late, p99, milliseconds"
PERCENTILES = {f"{name}, milliseconds": part for name, part in {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}.items()}


def measure(contender: str) -> None:
    """Print processor time, latencies and how late the loop runs; only bare Tornado and who exports take part."""
    from contenders import BARE, COLLECTED, CONTENDERS

    if contender != BARE and CONTENDERS[contender].part != COLLECTED:
        return
    with subprocess.Popen([sys.executable, __file__, "collector"], stdout=subprocess.PIPE, text=True) as collector:
        try:
            assert collector.stdout is not None
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{int(collector.stdout.readline())}"
            os.environ["OTEL_SERVICE_NAME"] = "benchmark"
            asyncio.run(_measure(CONTENDERS[contender].switch_on()))
        finally:
            collector.terminate()
    sys.stdout.flush()
    os._exit(0)  # what is left need not be exported


async def _measure(tracing: Tracing) -> None:
    from scenarios import served_by

    requests = 0

    def count(_: RequestHandler) -> None:
        nonlocal requests
        requests += 1

    application = served_by(tracing)
    application.settings["log_function"] = count
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    clients = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "clients", str(sockets[0].getsockname()[1]), stdout=subprocess.PIPE
    )
    while requests < RATE * _WARM_SECONDS / 2:
        await asyncio.sleep(0.01)
    late: list[float] = []
    watching = asyncio.create_task(_watch(late))
    before, used = requests, time.process_time()
    await asyncio.sleep(_SECONDS)
    used, answered = time.process_time() - used, requests - before
    watching.cancel()
    output, _ = await clients.communicate()
    print(output.decode(), end="")
    print(PROCESSOR, used / answered * 1e6, sep="\t")
    print(LATENESS, percentile(late, 0.99) * 1e3, sep="\t")


async def _watch(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        late.append(loop.time() - due)


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


class Connection(asyncio.Protocol):
    """Sends one request at a time; a response that is due is waited for from the moment when it was to be asked for."""

    def __init__(self, free: Callable[[Connection], None], latencies: list[float]) -> None:
        self._free = free
        self._latencies = latencies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._free(self)

    def send(self, due: float) -> None:
        self._due, self._answer = due, b""
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._answer.endswith(b"hello"):
            self._latencies.append(time.monotonic() - self._due)
            self._free(self)


async def clients(port: int) -> None:
    """Ask at the rate, whether what was asked before is answered or not, and print the percentiles."""
    loop = asyncio.get_running_loop()
    free: deque[Connection] = deque()
    waiting: deque[float] = deque()
    latencies: list[float] = []

    def take(connection: Connection) -> None:
        if waiting:
            connection.send(waiting.popleft())
        else:
            free.append(connection)

    for _ in range(_CONNECTIONS):
        await loop.create_connection(lambda: Connection(take, latencies), "127.0.0.1", port)
    begin = time.monotonic()
    warm = 0
    for number in itertools.count():
        due = begin + number / RATE
        if due > begin + _WARM_SECONDS + _SECONDS + 1:
            break
        if not warm and due > begin + _WARM_SECONDS:
            warm = len(latencies)
        if (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        elif number % 50 == 0:
            await asyncio.sleep(0)
        if free:
            free.popleft().send(due)
        else:
            waiting.append(due)
    for name, part in PERCENTILES.items():
        print(name, percentile(latencies[warm:], part) * 1e3, sep="\t")
    assert statistics.fmean(latencies[warm:]) > 0


class Takes(RequestHandler):
    """Takes what is exported, and forgets it."""

    def post(self) -> None:
        self.set_header("Content-Type", "application/x-protobuf")


async def collector() -> None:
    server = HTTPServer(Application([("/v1/.*", Takes)], log_function=lambda _: None))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(collector() if sys.argv[1] == "collector" else clients(int(sys.argv[2])))
