# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a WebSocket that is idle, and a request that is not answered yet, hold of memory."""

from __future__ import annotations

import asyncio
import gc
import pathlib
import resource
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from inprocess import begin
from scenarios import application, headers, upgrade
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

if TYPE_CHECKING:
    from contenders import Tracing

_WARM, _COUNT = 500, 4_000


class Idle(WebSocketHandler):
    def open(self, *args: str, **kwargs: str) -> None:
        pass

    def on_message(self, message: str | bytes) -> None:
        pass


class InFlight(RequestHandler):
    async def get(self, number: str) -> None:
        await asyncio.Event().wait()


HELD: dict[str, tuple[type[RequestHandler], Callable[[], Any]]] = {
    "idle WebSocket": (Idle, upgrade),
    "request in flight": (InFlight, lambda: headers(5)),
}


async def measure(name: str, tracing: Tracing) -> None:
    """Print bytes of resident memory of each."""
    if tracing.by_hand is not None or tracing.opentelemetry_by_hand is not None:
        return
    handler, make_headers = HELD[name]
    served = application(tracing, handler)
    kept: list[Any] = []

    async def hold(count: int) -> float:
        for _ in range(count):
            delegate, connection = begin(served, "/story/1", make_headers())
            delegate.finish()
            kept.append((delegate, connection))
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        gc.collect()
        return resident_kib()

    before = await hold(_WARM)
    after = await hold(_COUNT)
    print(name, (after - before) * 1024 / _COUNT, sep="\t", flush=True)


def resident_kib() -> float:
    """KiB of physical memory that this process has, as Linux counts it: in pages."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024
