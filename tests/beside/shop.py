# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The application that is served beside a peer, the requests to it, and the spans that are to come of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import Application, FallbackHandler, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect


class Plain(RequestHandler):
    def get(self) -> None:
        self.write("hello")

    def post(self) -> None:
        self.write(self.request.body)


class Awaits(RequestHandler):
    async def prepare(self) -> None:
        await asyncio.sleep(0)

    async def get(self, number: str) -> None:
        await asyncio.sleep(0)
        self.write(number)

    def on_finish(self) -> None:
        """Overridden without calling super()."""


class Refuses(RequestHandler):
    def get(self, status: str) -> None:
        raise HTTPError(int(status))


class Raises(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("oops")


class RaisesInPrepare(RequestHandler):
    def prepare(self) -> None:
        raise ZeroDivisionError("oops")


class Later(RequestHandler):
    """A task finishes the response."""

    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await asyncio.sleep(0)
        self.finish("later")


class Streams(RequestHandler):
    async def get(self) -> None:
        self.write("hel")
        await self.flush()
        self.write("lo")


@stream_request_body
class Upload(RequestHandler):
    received = 0

    async def data_received(self, chunk: bytes) -> None:
        await asyncio.sleep(0)
        self.received += len(chunk)

    def post(self) -> None:
        self.write(str(self.received))


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)

    def on_close(self) -> None:
        self.settings["closed"].set()


class Fetches(RequestHandler):
    """Fetches from its own server, in the way that is asked for."""

    async def get(self, way: str) -> None:
        url = f"http://{self.request.host}"
        self.write(await WAYS[way](AsyncHTTPClient(), url))


async def by_url(client: AsyncHTTPClient, url: str) -> str:
    return str((await client.fetch(f"{url}/plain")).code)


async def by_request(client: AsyncHTTPClient, url: str) -> str:
    request = HTTPRequest(f"{url}/plain", method="POST", body="body")
    response = await client.fetch(request)
    assert response.request is request
    return response.body.decode()


async def with_arguments(client: AsyncHTTPClient, url: str) -> str:
    response = await client.fetch(f"{url}/plain", method="POST", body="body", headers={"X-Own": "own"})
    return response.body.decode()


async def by_keyword(client: AsyncHTTPClient, url: str) -> str:
    return str((await client.fetch(request=f"{url}/plain")).code)


async def raising(client: AsyncHTTPClient, url: str) -> str:
    try:
        await client.fetch(f"{url}/refuses/503")
    except HTTPClientError as error:
        return str(error)
    raise AssertionError


async def not_raising(client: AsyncHTTPClient, url: str) -> str:
    return str((await client.fetch(f"{url}/refuses/503", raise_error=False)).code)


async def not_raising_by_position(client: AsyncHTTPClient, url: str) -> str:
    return str((await client.fetch(f"{url}/refuses/503", False)).code)


async def gathered(client: AsyncHTTPClient, url: str) -> str:
    responses = await asyncio.gather(*(client.fetch(f"{url}/awaits/{number}") for number in range(3)))
    return "".join(response.body.decode() for response in responses)


#: How a fetch is made, by the last part of the path.
WAYS: dict[str, Callable[[AsyncHTTPClient, str], Awaitable[str]]] = {
    way.__name__: way
    for way in (by_url, by_request, with_arguments, by_keyword, raising, not_raising, not_raising_by_position, gathered)
}


def made_under(decorator: Callable[[Any], Any]) -> type[RequestHandler]:
    """A handler whose method is decorated; that a decorator runs, and when, may matter to others."""

    class Decorated(RequestHandler):
        @decorator
        async def get(self) -> None:
            self.write("decorated")

    return Decorated


def shop(decorated: type[RequestHandler]) -> Application:
    rules: list[Any] = [
        ("/decorated", decorated),
        ("/plain", Plain),
        ("/awaits/([0-9])", Awaits),
        ("/refuses/(.*)", Refuses),
        ("/raises", Raises),
        ("/raises_in_prepare", RaisesInPrepare),
        ("/later", Later),
        ("/streams", Streams),
        ("/upload", Upload),
        ("/echo", Echo),
        ("/fetches/(.*)", Fetches),
        ("/inner/.*", FallbackHandler, {"fallback": Application([("/inner/plain", Plain)])}),
    ]
    return Application(rules, closed=asyncio.Event())


Send = Callable[[str, Mapping[str, str], Application], Awaitable[Any]]


def get(path: str, method: str = "GET", body: str = "") -> Send:
    """Send a request over a connection of its own, traced by nobody; the answer is all that comes back."""

    async def send(url: str, headers: Mapping[str, str], application: Application) -> Any:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            sent = {**headers, "Host": address.netloc, "Connection": "close"}
            if body:
                sent["Content-Length"] = str(len(body))
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", body]
            writer.write("\r\n".join(lines).encode())
            head, _, answer = (await reader.read()).decode().partition("\r\n\r\n")
            return [head.partition("\r\n")[0], answer]
        finally:
            writer.close()
            await writer.wait_closed()

    return send


async def echo(url: str, headers: Mapping[str, str], application: Application) -> Any:
    connection = await websocket_connect(url.replace("http", "ws") + "/echo")
    await connection.write_message("hello")
    answer = await connection.read_message()
    connection.close(1000)
    await application.settings["closed"].wait()
    return answer


#: Name and path, kind, status, whether it is an error, and the parent.
Span = tuple[str, str, int, bool, str | None]


def served(name: str, path: str, status: int = 200, parent: str | None = "caller", error: bool = False) -> Span:
    return f"{name} {path}", "server", status, error, parent


def fetched(path: str, parent: str | None, status: int = 200, method: str = "GET") -> Span:
    return f"{method} {path}", "client", status, status >= 400, parent


def fetching(way: str, *spans: Span) -> tuple[str, Send, list[Span]]:
    """A request to a handler that fetches, and what comes of each fetch."""
    path = f"/fetches/{way}"
    return f"fetch {way.replace('_', ' ')}", get(path), [served("Fetches", path), *spans]


@dataclass(frozen=True)
class Situation:
    """A request, and the spans that it leaves where every request is traced."""

    send: Send
    spans: Counter[Span]


FETCHES = "Fetches /fetches/"
_SITUATIONS: list[tuple[str, Send, list[Span]]] = [
    ("200", get("/plain"), [served("Plain", "/plain")]),
    ("decorated", get("/decorated"), [served("Decorated", "/decorated")]),
    ("body", get("/plain", "POST", "body"), [served("Plain", "/plain")]),
    ("async", get("/awaits/7"), [served("Awaits", "/awaits/7")]),
    ("404", get("/refuses/404"), [served("Refuses", "/refuses/404", 404)]),
    ("no such path", get("/nowhere"), [served("ErrorHandler", "/nowhere", 404)]),
    ("method not allowed", get("/plain", "PUT"), [served("Plain", "/plain", 405)]),
    ("503", get("/refuses/503"), [served("Refuses", "/refuses/503", 503, error=True)]),
    ("exception", get("/raises"), [served("Raises", "/raises", 500, error=True)]),
    (
        "exception in prepare",
        get("/raises_in_prepare"),
        [served("RaisesInPrepare", "/raises_in_prepare", 500, error=True)],
    ),
    ("finished later", get("/later"), [served("Later", "/later")]),
    ("streamed response", get("/streams"), [served("Streams", "/streams")]),
    ("streamed body", get("/upload", "POST", "x" * 100_000), [served("Upload", "/upload")]),
    ("another Application", get("/inner/plain"), [served("Plain", "/inner/plain")]),
    ("WebSocket", echo, [fetched("/echo", None, 101), served("Echo", "/echo", 101, "GET /echo")]),
    fetching("by_url", fetched("/plain", f"{FETCHES}by_url"), served("Plain", "/plain", parent="GET /plain")),
    fetching("by_keyword", fetched("/plain", f"{FETCHES}by_keyword"), served("Plain", "/plain", parent="GET /plain")),
    *(
        fetching(way, fetched("/plain", FETCHES + way, method="POST"), served("Plain", "/plain", parent="POST /plain"))
        for way in ("by_request", "with_arguments")
    ),
    *(
        fetching(
            way,
            fetched("/refuses/503", FETCHES + way, 503),
            served("Refuses", "/refuses/503", 503, "GET /refuses/503", error=True),
        )
        for way in ("raising", "not_raising", "not_raising_by_position")
    ),
    fetching(
        "gathered",
        *(fetched(f"/awaits/{number}", f"{FETCHES}gathered") for number in range(3)),
        *(served("Awaits", f"/awaits/{number}", parent=f"GET /awaits/{number}") for number in range(3)),
    ),
]
SITUATIONS = {name: Situation(send, Counter(spans)) for name, send, spans in _SITUATIONS}
