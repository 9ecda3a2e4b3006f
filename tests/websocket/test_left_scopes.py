# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Scopes that one message of a WebSocket opens and another one closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import RECORDERS, Servers, only
from support.serving import until
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import init_tracing


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
@pytest.mark.parametrize("stack", ["ours", "bridge"])
async def test_a_task_keeps_the_scope_it_was_started_under_when_a_later_message_closes_that(
    stack: str, servers: Servers, trace_websocket_messages: bool
) -> None:
    """Though the connection has had a clean context in between, and the task is not told."""
    recorder = RECORDERS[stack]()
    tracer = recorder.tracer
    closed = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    class Socket(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            if message == "open":
                self.scope: Any = tracer.start_active_span("session")
                tasks.append(asyncio.ensure_future(self.work()))
            else:
                self.scope.close()
                closed.set()
            self.write_message(message)

        async def work(self) -> None:
            await closed.wait()
            tracer.start_span("work").finish()

    init_tracing(tracer, trace_client=False, trace_websocket_messages=trace_websocket_messages)
    url = servers.start(Application([("/", Socket)], log_function=lambda handler: None))
    connection = await websocket_connect(url.replace("http", "ws"))
    for message in ("open", "close"):
        await connection.write_message(message)
        assert await connection.read_message() == message
    await tasks[0]
    connection.close()
    await until(lambda: len(recorder.finished) >= 3)
    session, work = only(recorder.finished, name="session"), only(recorder.finished, name="work")
    assert (work.trace_id, work.parent_id) == (session.trace_id, session.span_id)
