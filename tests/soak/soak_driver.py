# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The side of the soak test that asks: so many connections, over which one request goes after the other.

Knows HTTP only as far as it goes here. Reads from its input the number of the first request and how many to make, and
answers with what was wrong, as often as it is told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

#: How long anything may take that is not broken.
PATIENCE = 60

#: Added to a request's number, this is the trace and the span that it says to come from.
REMOTE = 10**12
CHUNK = b"x" * 2**14

#: By the first part of the path: the status of the request's span.
STATUSES: dict[str, int | None] = {
    **dict.fromkeys(["plain", "gather", "socket", "upload", "stream", "cancel", "threads", "early", "item"], 200),
    **dict.fromkeys(["chat", "echo"], 101),
    **dict.fromkeys(["left", "waiting", "abort"], None),
    **dict.fromkeys(["fail", "give-up"], 500),
}
ERRORS = {"fail", "give-up"}


WEIGHTS = {
    "plain": 5,
    "gather": 4,
    "socket": 2,
    "upload": 2,
    "abort": 1,
    "left": 2,
    "waiting": 1,
    "stream": 1,
    "cancel": 3,
    "give-up": 2,
    "threads": 2,
    "early": 2,
    "fail": 1,
    "health": 1,
    "chat": 2,
}
#: Each kind as often as its weight says. There are 31, so that what depends on a number in another way varies in each.
KINDS = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]


class Connection:
    """A connection that is opened when it is needed, and used for many requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.writer: asyncio.StreamWriter | None = None

    async def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> None:
        if self.writer is None:
            address = urlsplit(self.url)
            self.reader, self.writer = await asyncio.open_connection(address.hostname, address.port)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split(" ")[1])
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        return status, await self.reader.readexactly(int(length or 0))

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            with contextlib.suppress(ConnectionError):
                await self.writer.wait_closed()
            self.writer = None


class Driver:
    def __init__(self, urls: list[str], connections: int) -> None:
        self.urls = urls
        self.count = connections
        self.wrong: Counter[str] = Counter()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            first, count = map(int, line.split())
            numbers = iter(range(first, first + count))
            await asyncio.gather(*(self.work(index, numbers) for index in range(self.count)))
            sys.stdout.write(json.dumps(self.wrong) + "\n")
            sys.stdout.flush()
            self.wrong.clear()

    async def work(self, index: int, numbers: Iterator[int]) -> None:
        connection = Connection(self.urls[index % len(self.urls)])
        for number in numbers:
            kind = KINDS[number % len(KINDS)]
            try:
                await asyncio.wait_for(self.ask(connection, kind, number), PATIENCE)
            except Exception as error:
                self.wrong[f"{kind}: {error!r}"] += 1
                await connection.close()
        await connection.close()

    async def ask(self, connection: Connection, kind: str, number: int) -> None:
        parent, headers = "none", {}
        if number % 2:
            parent = str(REMOTE + number)
            headers = dict.fromkeys(["ot-tracer-traceid", "ot-tracer-spanid"], f"{REMOTE + number:x}")
        path = f"/{kind}/{number}?parent={parent}"
        if kind == "chat":
            await self.chat(connection.url.replace("http", "ws") + path, headers, number)
        elif kind in ("left", "waiting"):
            await connection.send("GET", path, headers)
            other = Connection(connection.url)
            await other.send("GET", f"/arrived/{number}", {})
            await other.answer()
            await other.close()
            await connection.close()
        elif kind == "stream":
            await connection.send("GET", path, headers)
            await connection.reader.readexactly(2 * len(CHUNK))
            await connection.close()
        elif kind == "abort":
            await connection.send("PUT", path, {**headers, "Content-Length": str(2**17)}, CHUNK * (number % 4))
            await connection.close()
        else:
            body = CHUNK * 4 if kind == "upload" else b""
            sized = {**headers, "Content-Length": str(len(body))} if body else headers
            await connection.send("PUT" if body else "GET", path, sized, body)
            status, answer = await connection.answer()
            if status != STATUSES.get(kind, 200):
                self.wrong[f"{kind}: status {status}"] += 1
            if kind == "upload" and answer != str(len(body)).encode():
                self.wrong[f"{kind}: {answer!r}"] += 1

    async def chat(self, url: str, headers: dict[str, str], number: int) -> None:
        opened = await websocket_connect(HTTPRequest(url, headers=headers))
        for _ in range(2):
            await opened.write_message("hello")
            if await opened.read_message() != "hello":
                self.wrong["chat: no echo"] += 1
        if number % 3:
            opened.close()
            await opened.read_message()
        else:  # without a word
            opened.protocol.stream.close()  # type: ignore[union-attr]


if __name__ == "__main__":
    asyncio.run(Driver(sys.argv[2:], int(sys.argv[1])).run())
