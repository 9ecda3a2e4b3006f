# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Driving a live server: one connection for many requests, and waiting for what the server does on its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from support import Recorded, Recorder, only


async def until(predicate: Callable[[], object]) -> None:
    """Let the event loop run until something holds."""
    deadline = asyncio.get_running_loop().time() + 20
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, "it never came to that"
        await asyncio.sleep(0.001)


async def settled(recorder: Recorder, count: int = 1) -> list[Recorded]:
    """The finished spans, once that many are there and none is open; whoever wants to finish one again had the time."""
    await until(lambda: len(recorder.finished) >= count and not recorder.unfinished)
    for _ in range(10):
        await asyncio.sleep(0)
    assert recorder.unfinished == 0
    return recorder.finished


async def only_span(recorder: Recorder) -> Recorded:
    """The one span there is, finished once."""
    return only(await settled(recorder))


class Connection:
    """A connection to a server, kept open from request to request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        #: Of the last answer, names in lower case.
        self.headers: Mapping[str, str] = {}

    def send(self, data: str) -> None:
        self._writer.write(data.replace("\n", "\r\n").encode("latin-1"))

    async def get(self, path: str = "/", *headers: str) -> tuple[int, str]:
        """Status and body of the answer."""
        self.send("\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]))
        return await self.answer()

    async def answer(self) -> tuple[int, str]:
        # Tornado leaves the client waiting where something broke that must not.
        return await asyncio.wait_for(self._answer(), 20)

    async def _answer(self) -> tuple[int, str]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        self.headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self._reader.readexactly(int(self.headers.get("content-length", 0)))
        return int(start.split(" ")[1]), body.decode()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Connection]:
    address = urlsplit(url)
    opened = Connection(*await asyncio.open_connection(address.hostname, address.port))
    try:
        yield opened
    finally:
        await opened.close()


async def ask(url: str, path: str, *headers: str) -> tuple[int, str]:
    async with connection(url) as opened:
        return await opened.get(path, *headers)
