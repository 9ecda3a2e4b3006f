# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""All kinds of requests and fetches, each as a function that runs it and returns what its client saw."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import tornado
from tornado.httpclient import HTTPRequest
from tornado.ioloop import PeriodicCallback
from tornado.websocket import websocket_connect

from support.observed import World, described

Situation = Callable[[World], Awaitable[Any]]
SITUATIONS: dict[str, Situation] = {}


def situation(run: Situation) -> Situation:
    SITUATIONS[run.__name__.replace("_", " ")] = run
    return run


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(path: str, *headers: str, method: str = "GET", body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", body]).encode()


async def received(reader: asyncio.StreamReader) -> bytes:
    """All that the server sends, until it closes the connection."""
    return await asyncio.wait_for(reader.read(), 20)


async def exchange(data: bytes, world: World) -> bytes:
    async with connected(world) as (reader, writer):
        writer.write(data)
        return await received(reader)


#: Ids that no span of the tracer's own will have.
TRACED = ("Ot-Tracer-Traceid: a1a1a1a1", "Ot-Tracer-Spanid: b2b2b2b2", "Ot-Baggage-Color: red")


def traced(path: str, method: str = "GET", body: str = "") -> bytes:
    """A request that goes on with a trace, the last on its connection."""
    return request(path, *TRACED, "Connection: close", method=method, body=body)


for title, data in {
    "plain": traced("/plain?token=secret"),
    "without a trace": request("/plain", "Connection: close"),
    "corrupt trace headers": request("/plain", "Ot-Tracer-Traceid: no", "Ot-Tracer-Spanid: no", "Connection: close"),
    "HEAD": request("/plain", "Connection: close", method="HEAD"),
    "form": request(
        "/plain",
        "Connection: close",
        "Content-Type: application/x-www-form-urlencoded",
        method="POST",
        body="password=secret",
    ),
    "async": traced("/async"),
    "coroutine": traced("/coroutine"),
    "404": traced("/status?status=404"),
    "503": traced("/status?status=503"),
    "unmatched": traced("/unmatched"),
    "method not allowed": traced("/plain", method="PUT"),
    "no method": traced("/plain", method="BREW"),
    "exception": traced("/raises"),
    "Finish": traced("/raisesfinish"),
    "redirect": traced("/redirects"),
    "flush": traced("/flushes"),
    "exception after flush": traced("/flushesandraises"),
    "finished by a task": traced("/finishedbytask"),
    "finished by a timer": traced("/finishedbytimer"),
    "exception in initialize": traced("/raisesininitialize"),
    "exception in prepare": traced("/raisesinprepare"),
    "exception in write_error": traced("/raisesinwriteerror"),
    "exception in on_finish": traced("/raisesinonfinish"),
    "streamed upload": traced("/upload", method="POST", body="x" * 100),
    "async streamed upload": traced("/asyncupload", method="POST", body="x" * 100),
    "exception in data_received": request("/raisesinupload", *TRACED, method="POST", body="x" * 100),
    "fetches": traced("/fetches?path=/plain&path=/raises&path=/redirects"),
    "excluded": traced("/excluded?path=/plain&path=/raises"),
    "executor": traced("/executor"),
    "another Application": traced("/inner/plain"),
    "WSGI": traced("/wsgi"),
    "keep-alive": request("/plain", *TRACED) + request("/raises") + request("/async", "Connection: close"),
    "malformed": b"nonsense\r\n\r\n",
    "no WebSocket": traced("/socket"),
}.items():
    SITUATIONS[title] = functools.partial(exchange, data)


@situation
async def disconnect(world: World) -> None:
    async with connected(world) as (_, writer):
        writer.write(request("/waits", *TRACED))
        await world.came_to("get")
    await world.came_to("on_finish")


@situation
async def disconnect_during_upload(world: World) -> None:
    async with connected(world) as (_, writer):
        writer.write(request("/upload", *TRACED, "Content-Length: 100", method="POST") + b"x" * 10)
        await world.came_to("data_received")
    await world.came_to("on_connection_close")


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame as a client sends it, under the mask that changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


async def talk(path: str, last: bytes, world: World) -> bytes:
    handshake = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: aaaa")
    frames = [frame(TEXT, b"hi"), frame(BINARY, b"\0\1"), frame(PING, b"ping"), frame(TEXT, b"again"), last]
    answer = await exchange(request(path, *TRACED, *handshake) + b"".join(frames), world)
    await world.came_to("on_close")
    return answer


# Who does not answer to that is left waiting for five seconds.
CLOSED_BY_BOTH = frame(TEXT, b"close") + frame(CLOSE, b"\x03\xe8")
SITUATIONS["WebSocket is closed by the server"] = functools.partial(talk, "/socket", CLOSED_BY_BOTH)
for title, path in {"WebSocket": "/socket", "async WebSocket": "/asyncsocket"}.items():
    SITUATIONS[title] = functools.partial(talk, path, frame(CLOSE, b"\x03\xe8"))
    # Until 6.6 Tornado leaves a connection open in which an asynchronous on_message raised.
    if title == "WebSocket" or tornado.version_info >= (6, 6):
        SITUATIONS[f"exception in {title}"] = functools.partial(talk, path, frame(TEXT, b"raise"))


async def fetch(url: str, arguments: dict[str, Any], world: World) -> Any:
    try:
        return described(await world.client.fetch(url.format(world=world), **arguments))
    except Exception as error:
        return described(error)


FETCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "fetch": ("{world.url}/plain?token=secret", {}),
    "fetch 404": ("{world.url}/status?status=404", {}),
    "fetch 503": ("{world.url}/status?status=503", {}),
    "fetch without raise_error": ("{world.url}/status?status=503", {"raise_error": False}),
    "fetch follows a redirect": ("{world.url}/redirects", {}),
    "fetch does not follow a redirect": ("{world.url}/redirects", {"follow_redirects": False}),
    "fetch is refused": ("http://127.0.0.1:1/", {}),
    "fetch times out": ("{world.url}/waits", {"request_timeout": 0.2}),
    "fetch of no URL": ("nonsense", {}),
    "fetch with wrong arguments": ("{world.url}/plain", {"nonsense": 1}),
    "fetch without a body": ("{world.url}/plain", {"method": "POST"}),
}
for title, (url, arguments) in FETCHES.items():
    SITUATIONS[title] = functools.partial(fetch, url, arguments)


@situation
async def fetch_a_request(world: World) -> Any:
    chunks: list[bytes] = []
    made = HTTPRequest(
        f"{world.url}/flushes",
        headers={"X-Own": "own", "Ot-Tracer-Traceid": "a1"},
        streaming_callback=chunks.append,
        header_callback=lambda line: chunks.append(line.encode()),
    )
    response = await world.client.fetch(made)
    return described(response), world.neutral(b"".join(chunks)), response.request is made, made.headers["X-Own"]


@situation
async def fetch_is_cancelled(world: World) -> Any:
    future = world.client.fetch(f"{world.url}/waits")
    await world.came_to("get")
    future.cancel()
    try:
        await future
    except BaseException as error:
        found = described(error)
    world.application.settings["waiting"].set()
    await world.came_to("on_finish")
    return found


@situation
async def WebSocket_client(world: World) -> Any:  # noqa: N802 - becomes the situation's name
    seen: list[Any] = []
    opened = await websocket_connect(f"ws://127.0.0.1:{world.port}/socket")
    await opened.write_message("hi")
    seen.append(await opened.read_message())
    opened.close(1000)
    seen += [await opened.read_message(), opened.close_code]
    await world.came_to("on_close")
    return seen


async def connect(url: str, world: World) -> Any:
    try:
        await websocket_connect(url.format(world=world))
    except Exception as error:
        return described(error)
    raise AssertionError


SITUATIONS["WebSocket client is answered 200"] = functools.partial(connect, "ws://127.0.0.1:{world.port}/plain")
SITUATIONS["WebSocket client is refused"] = functools.partial(connect, "ws://127.0.0.1:1/")
SITUATIONS["WebSocket client with no URL"] = functools.partial(connect, "nonsense")


@situation
async def a_tick(world: World) -> bool:
    ticked = asyncio.Event()

    def tick() -> None:
        periodic.stop()
        ticked.set()

    periodic = PeriodicCallback(tick, 1)
    periodic.start()
    return await asyncio.wait_for(ticked.wait(), 20)
