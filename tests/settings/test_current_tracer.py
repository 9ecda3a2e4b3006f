# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``current_tracer()``: the tracer that counts where a library asks for it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from typing import Any

import opentracing
import pytest
from support import RECORDERS, MockRecorder, Recorder, Servers
from support.serving import connection
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

import tornado_opentracing
from tornado_opentracing import (
    ContextThreadPoolExecutor,
    TornadoTracing,
    current_tracer,
    init_client_tracing,
    init_tracing,
    remove_tracing,
    trace,
)

SEEN: list[Any] = []


class Looks(RequestHandler):
    """Everywhere in the life of a request."""

    def initialize(self) -> None:
        SEEN.append(current_tracer())

    def prepare(self) -> None:
        SEEN.append(current_tracer())

    async def get(self) -> None:
        SEEN.append(current_tracer())
        SEEN.append(await asyncio.to_thread(current_tracer))
        with ContextThreadPoolExecutor(1) as pool:
            SEEN.append(await asyncio.wrap_future(pool.submit(current_tracer)))
        SEEN.append(await asyncio.create_task(self.look()))

    async def look(self) -> Any:
        return current_tracer()

    def on_finish(self) -> None:
        SEEN.append(current_tracer())


class Socket(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        SEEN.append(current_tracer())
        await self.write_message(message)


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


async def seen(url: str, path: str = "/") -> list[Any]:
    SEEN.clear()
    async with connection(url) as opened:
        assert (await opened.get(path))[0] == 200
    for _ in range(10):
        await asyncio.sleep(0)
    return SEEN


def application(**settings: Any) -> Application:
    return Application([("/", Looks), ("/ws", Socket)], **settings)


def test_without_any_tracing_it_is_the_global_tracer() -> None:
    assert current_tracer() is opentracing.global_tracer()
    other = MockRecorder().tracer
    opentracing.set_global_tracer(other)
    assert current_tracer() is other


def test_it_is_public() -> None:
    assert "current_tracer" in tornado_opentracing.__all__


async def test_within_a_request_it_is_the_one_that_init_tracing_was_given(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    assert await seen(servers.start(application())) == [each_recorder.tracer] * 7


@pytest.mark.parametrize("options", [{}, {"trace_all": False}, {"excluded_paths": ["/.*"]}], ids=str)
@pytest.mark.parametrize("stack", RECORDERS)
async def test_within_a_request_it_is_that_of_the_requests_application(
    stack: str, options: dict[str, Any], servers: Servers
) -> None:
    """Also where the request has no span."""
    own, other = RECORDERS[stack](), MockRecorder()
    init_tracing(MockRecorder().tracer, **options)
    url = servers.start(application(opentracing_tracing=TornadoTracing(own.tracer)))
    newest = application(opentracing_tracing=TornadoTracing(other.tracer))
    init_client_tracing(MockRecorder().tracer)
    assert await seen(url) == [own.tracer] * 7
    del newest


async def test_in_a_websocket_it_is_that_of_the_handshakes_application(recorder: Recorder, servers: Servers) -> None:
    init_tracing(MockRecorder().tracer)
    url = servers.start(application(opentracing_tracing=TornadoTracing(recorder.tracer)))
    opened = await websocket_connect(url.replace("http", "ws") + "/ws")
    await opened.write_message("hello")
    assert await opened.read_message() == "hello"
    opened.close()
    await opened.read_message()
    (tracer,) = SEEN
    assert tracer is recorder.tracer


async def test_under_the_decorator_it_is_the_decorators(recorder: Recorder, servers: Servers) -> None:
    class Decorated(RequestHandler):
        @TornadoTracing(recorder.tracer).trace
        def get(self) -> None:
            SEEN.append(current_tracer())

    assert await seen(servers.start(Application([("/", Decorated)]))) == [recorder.tracer]


async def test_under_the_bare_decorator_without_init_tracing_it_is_the_global_tracer(
    recorder: Recorder, servers: Servers
) -> None:
    class Decorated(RequestHandler):
        @trace
        def get(self) -> None:
            SEEN.append(current_tracer())

    opentracing.set_global_tracer(recorder.tracer)
    assert await seen(servers.start(Application([("/", Decorated)]))) == [recorder.tracer]


def test_outside_of_requests_what_fetches_were_given_counts_most_then_init_tracing_then_the_newest_application() -> (
    None
):
    tracers: list[Any] = [MockRecorder().tracer for _ in range(5)]
    of_all, one, two, given, of_fetches = tracers
    opentracing.set_global_tracer(of_all)
    init_tracing()
    assert current_tracer() is of_all
    older = application(opentracing_tracing=TornadoTracing(one))
    newest = application(opentracing_tracing=TornadoTracing(two))
    assert current_tracer() is two
    del newest
    gc.collect()
    assert current_tracer() is one
    init_tracing(given)
    assert current_tracer() is given
    init_client_tracing(of_fetches)
    assert current_tracer() is of_fetches
    remove_tracing()
    assert current_tracer() is of_all
    del older


def test_in_a_thread_and_in_an_empty_context_it_is_what_the_process_has(recorder: Recorder) -> None:
    init_tracing(recorder.tracer)
    with ContextThreadPoolExecutor(1) as pool:
        assert pool.submit(current_tracer).result() is recorder.tracer
    assert contextvars.Context().run(current_tracer) is recorder.tracer
