# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The server's handshake: one span, until 101 or until it was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Recorder, Servers
from support.outcomes import UnhandledError
from support.serving import connection, only_span, until
from support.sockets import UPGRADE, Site, Socket, connected, exchange, serve
from tornado.web import HTTPError

from tornado_opentracing import TornadoTracing, remove_tracing


class OpensSlowly(Socket):
    async def open(self, *args: str, **kwargs: str) -> None:
        self.site.is_open = True
        await self.site.release.wait()


def all_traced(recorder: Recorder, servers: Servers, handler: type[Socket]) -> tuple[str, Site]:
    return serve(servers, recorder, handler)


def decorated(recorder: Recorder, servers: Servers, handler: type[Socket]) -> tuple[str, Site]:
    get: Any = handler.get
    traced = type(handler.__name__, (handler,), {"get": TornadoTracing(recorder.tracer, trace_client=False).trace(get)})
    result = serve(servers, recorder, traced)
    remove_tracing()
    return result


@pytest.mark.parametrize("trace", [all_traced, decorated])
async def test_the_span_of_the_handshake_ends_at_101(
    each_recorder: Recorder, servers: Servers, trace: Callable[..., tuple[str, Site]]
) -> None:
    """Before ``open`` is done, and long before the connection is."""
    url, site = trace(each_recorder, servers, OpensSlowly)
    async with connected(url, site) as opened:
        await until(lambda: site.is_open)
        span = await only_span(each_recorder)
        assert (span.name, span.kind, span.tags["http.method"], span.path) == ("OpensSlowly", "server", "GET", "/")
        assert (span.status, span.is_error, span.logs, span.parent_id) == (101, False, [], None)
        site.release.set()
        await exchange(opened, "a", b"b")
    assert len(each_recorder.finished) == 1
    assert each_recorder.unfinished == 0


class Forbids(Socket):
    def prepare(self) -> Awaitable[None] | None:
        raise HTTPError(401)


class FailsToPrepare(Socket):
    async def prepare(self) -> None:
        await asyncio.sleep(0)
        raise UnhandledError


@pytest.mark.parametrize(
    ("handler", "headers", "status"),
    [
        pytest.param(Socket, {}, 400, id="plain GET"),
        pytest.param(Socket, {**UPGRADE, "Connection": "close"}, 400, id="no upgrade"),
        pytest.param(Socket, {**UPGRADE, "Sec-WebSocket-Key": ""}, 400, id="no key"),
        pytest.param(Socket, {**UPGRADE, "Origin": "http://elsewhere.example"}, 403, id="origin"),
        pytest.param(Socket, {**UPGRADE, "Sec-WebSocket-Version": "1"}, 426, id="version"),
        pytest.param(Forbids, UPGRADE, 401, id="prepare refuses"),
        pytest.param(FailsToPrepare, UPGRADE, 500, id="prepare fails"),
    ],
)
@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_a_refused_handshake_has_one_span_with_what_refused_it(
    each_recorder: Recorder,
    servers: Servers,
    handler: type[Socket],
    headers: dict[str, str],
    status: int,
    trace_websocket_messages: bool,
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=trace_websocket_messages)
    async with connection(url) as opened:
        answer, _ = await opened.get("/", *(f"{name}: {value}" for name, value in headers.items() if value))
        assert answer == status
        span = await only_span(each_recorder)
    assert (span.name, span.status, span.is_error) == (handler.__name__, status, status >= 500)
    assert not site.is_open


async def test_a_client_that_leaves_before_the_handshake_is_answered_is_told_on_its_span(
    each_recorder: Recorder, servers: Servers
) -> None:
    class Prepares(Socket):
        async def prepare(self) -> None:
            self.site.is_open = True
            await self.site.release.wait()

    url, site = serve(servers, each_recorder, Prepares)
    async with connection(url) as opened:
        opened.send(
            "\n".join(["GET / HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in UPGRADE.items()), "", ""])
        )
        await until(lambda: site.is_open)
    await until(lambda: site.is_closed)
    site.release.set()
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (None, False)
    assert [log["event"] for log in span.logs] == ["connection closed"]
