# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A response that goes on for a while says when it began; most do not go on, and say nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import Recorded, Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.iostream import StreamClosedError
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


class Events(RequestHandler):
    """Server-sent events: the first at once, the others when they happen."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        for number in range(3):
            self.write(f"data: {number}\n\n")
            await self.flush()
            await asyncio.sleep(0.02)


class Plain(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("plain")


class Polls(Plain):
    """A long poll that has its headers sent before there is anything to tell."""

    async def get(self) -> None:
        self.flush()
        await asyncio.sleep(0.02)
        self.finish("something")


class Empty(RequestHandler):
    def get(self) -> None:
        self.set_status(304)


async def span_of(handler: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> Recorded:
    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", handler)])), raise_error=False)
    return await only_span(recorder)


@pytest.mark.parametrize("handler", [Events, Polls])
async def test_a_response_that_is_flushed_before_it_is_finished_says_when_it_began(
    handler: Any, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    span = await span_of(handler, each_recorder, servers, client)
    assert [log.get("event", "first byte") for log in span.logs] == ["first byte"]
    duration = (span.finish_time - span.start_time) * 1000
    assert 0 < span.tags["http.response.first_byte_ms"] < duration - 15


@pytest.mark.parametrize("handler", [Plain, Empty])
async def test_any_other_response_says_nothing(
    handler: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    span = await span_of(handler, recorder, servers, client)
    assert "http.response.first_byte_ms" not in span.tags
    assert span.logs == []


async def test_a_stream_that_the_client_leaves_says_when_it_began(recorder: Recorder, servers: Servers) -> None:
    class Endless(RequestHandler):
        async def get(self) -> None:
            try:
                while True:
                    self.write("x" * 1000)
                    await self.flush()
                    await asyncio.sleep(0.001)
            except StreamClosedError:
                pass

    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Endless)]))
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readline()
    writer.close()
    assert "http.response.first_byte_ms" in (await only_span(recorder)).tags
