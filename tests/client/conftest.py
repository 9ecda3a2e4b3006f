# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support import Servers
from support.fetching import MakeClient, Site, client_class
from support.ports import refusing_port
from support.serving import until
from tornado.httpclient import AsyncHTTPClient


@pytest.fixture
async def site(servers: Servers) -> AsyncIterator[Site]:
    site = Site()
    site.url = servers.start(site.application)
    yield site
    site.release.set()
    await until(lambda: not site.waiting)


@pytest.fixture
async def broken_url() -> AsyncIterator[str]:
    """The URL of a server that closes each connection in the middle of its response."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthat is not all")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    await server.wait_closed()


@pytest.fixture
def refused_url() -> Iterator[str]:
    """A URL at which nobody listens."""
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(params=["simple", "curl"])
async def make_client(request: pytest.FixtureRequest) -> AsyncIterator[MakeClient]:
    """Makes clients of each of Tornado's two implementations in turn."""
    made: list[Any] = []
    implementation: Any = client_class(request.param)

    def make(**kwargs: Any) -> AsyncHTTPClient:
        made.append(implementation(force_instance=True, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield make
    for client in made:
        if not client._closed:
            client.close()


@pytest.fixture
async def each_client(make_client: MakeClient) -> AsyncHTTPClient:
    return make_client()
