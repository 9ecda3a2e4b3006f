# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``trace_websocket_connection``: one span from open to close, which says what went over the connection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import Recorded, Recorder, Servers, only
from support.serving import settled, until
from support.tracers import KeepingTracer
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from tornado_opentracing import init_tracing, remove_tracing


class Echo(WebSocketHandler):
    handlers: weakref.WeakSet[Any]
    closed: list[Any]

    def open(self, *args: str, **kwargs: str) -> None:
        if self.get_argument("fail", ""):
            raise KeyError("no such room")
        self.handlers.add(self)

    async def on_message(self, message: str | bytes) -> None:
        if message == "close":
            self.close(4001, "enough")
        elif message == "fail":
            raise KeyError("no such word")
        else:
            await self.write_message(message, binary=isinstance(message, bytes))
            self.write_message({"length": len(message)})

    def on_close(self) -> None:
        self.closed.append(self.close_code)


@pytest.fixture
def connect(servers: Servers) -> Iterator[Callable[..., Any]]:
    Echo.handlers, Echo.closed = weakref.WeakSet(), []
    url = servers.start(Application([("/echo", Echo)])).replace("http", "ws")

    async def connect(query: str = "", **kwargs: Any) -> WebSocketClientConnection:
        connections.append(await websocket_connect(f"{url}/echo{query}", **kwargs))
        return connections[-1]

    connections: list[WebSocketClientConnection] = []
    yield connect
    for connection in connections:
        connection.close()  # else it complains when it is collected


async def spans_of(recorder: Recorder, count: int = 2) -> dict[str, Recorded]:
    return {span.name: span for span in await settled(recorder, count)}


@pytest.mark.parametrize("compression", [None, {}], ids=["plain", "compressed"])
async def test_it_says_what_went_over_the_connection(
    compression: dict[str, Any] | None,
    each_recorder: Recorder,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Echo, "get_compression_options", lambda self: compression)
    init_tracing(each_recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect(compression_options=compression)
    for message in ("grüße", b"\0\1\2"):
        await connection.write_message(message, binary=isinstance(message, bytes))
        assert await connection.read_message() == message
        await connection.read_message()
    assert [span.name for span in each_recorder.finished] == ["Echo"]
    connection.close(1001, "gone home")
    spans = await spans_of(each_recorder)
    handshake, found = spans["Echo"], spans["Echo.connection"]
    assert found.parent_id == handshake.span_id
    assert found.trace_id == handshake.trace_id
    assert found.start_time <= found.finish_time
    written = '{"length": 5}', '{"length": 3}'
    told = ("websocket.messages", "websocket.bytes", "websocket.close")
    assert {name: value for name, value in found.tags.items() if name.startswith(told)} == {
        "websocket.messages.in": 2,
        "websocket.messages.out": 4,
        "websocket.bytes.in": 7 + 3,
        "websocket.bytes.out": 7 + 3 + sum(map(len, written)),
        "websocket.close.code": 1001,
        "websocket.close.reason": "gone home",
    }
    assert not found.is_error
    assert handshake.status == 101


async def test_it_counts_from_its_start_by_which_it_is_known(connect: Callable[..., Any]) -> None:
    tracer = KeepingTracer()
    init_tracing(tracer, trace_client=False, trace_websocket_connection=True)
    await connect()
    (started,) = [tags for name, tags in tracer.started if name == "Echo.connection"]
    assert (started["websocket.messages.in"], started["websocket.messages.out"]) == (0, 0)


async def test_it_ends_with_the_code_and_the_reason_that_the_application_gave(
    recorder: Recorder, connect: Callable[..., Any]
) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect()
    await connection.write_message("close")
    assert await connection.read_message() is None
    found = (await spans_of(recorder))["Echo.connection"]
    assert (found.tags["websocket.close.code"], found.tags["websocket.close.reason"]) == (4001, "enough")
    assert found.tags["websocket.messages.in"] == 1


# Tornado 6.0 leaves the socket of a connection whose open() raised to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["the client is gone", "on_message raises", "open raises"])
async def test_it_ends_once_however_the_connection_does(
    how: str, each_recorder: Recorder, connect: Callable[..., Any]
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect("?fail=1" if how == "open raises" else "")
    if how == "the client is gone":
        connection.protocol.stream.close()
    elif how == "on_message raises":
        await connection.write_message("fail")
    spans = await settled(each_recorder, 2)
    assert sorted(span.name for span in spans) == ["Echo", "Echo.connection"]
    assert "websocket.close.code" not in only(spans, name="Echo.connection").tags


async def test_it_is_active_nowhere_and_beside_the_spans_of_messages(
    recorder: Recorder, connect: Callable[..., Any]
) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True, trace_websocket_messages=True)
    connection = await connect()
    await connection.write_message("a")
    await connection.read_message()
    connection.close()
    spans = await spans_of(recorder, 5)
    assert spans.keys() == {"Echo", "Echo.open", "Echo.on_message", "Echo.on_close", "Echo.connection"}
    parents = {name: span.parent_id for name, span in spans.items() if span.parent_id is not None}
    assert parents == {"Echo.connection": spans["Echo"].span_id}
    ids = {span.tags["websocket.connection.id"] for name, span in spans.items() if name != "Echo"}
    assert [int(each, 16) for each in ids] == [spans["Echo"].span_id]


async def test_it_is_called_by_its_route_where_requests_are(recorder: Recorder, connect: Callable[..., Any]) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True, operation_name="route")
    connection = await connect()
    connection.close()
    assert (await spans_of(recorder)).keys() == {"GET /echo", "WS /echo connection"}


async def test_secrets_in_the_reason_are_redacted(recorder: Recorder, connect: Callable[..., Any]) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect()
    connection.close(1000, "https://x/?token=abc")
    assert "abc" not in str((await spans_of(recorder))["Echo.connection"].tags["websocket.close.reason"])


async def test_it_ends_also_where_tracing_was_removed_meanwhile(
    recorder: Recorder, connect: Callable[..., Any]
) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect()
    remove_tracing()
    connection.close()
    assert "Echo.connection" in await spans_of(recorder)


# What earlier tests left to the collector complains when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_nothing_is_kept_of_a_connection_that_is_closed(recorder: Recorder, connect: Callable[..., Any]) -> None:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_connection=True)
    connection = await connect()
    await until(lambda: len(Echo.handlers) == 1)
    connection.close()
    await until(lambda: Echo.closed)
    await spans_of(recorder)
    await asyncio.sleep(0)
    gc.collect()
    assert not Echo.handlers


async def test_by_default_there_is_none(recorder: Recorder, connect: Callable[..., Any]) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    connection = await connect()
    connection.close()
    await until(lambda: Echo.closed)
    assert [span.name for span in await settled(recorder)] == ["Echo"]
