# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tasks that are cancelled before their first step, as by ``asyncio.run`` in the tick in which it ends: spans end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import Recorder, Servers, only
from support.loops import serving
from support.serving import connection, settled, until
from support.sockets import Socket, connected, serve
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


class Never(RequestHandler):
    """Says that a request has come, before there is a task that serves it."""

    def initialize(self, came: Callable[[], None]) -> None:
        came()

    def get(self) -> None:
        raise AssertionError("it is cancelled by then")


@pytest.fixture
def cancelling() -> Iterator[Callable[[], None]]:
    """Cancels, before any of them has run, the tasks that the caller is about to make."""
    cancelled: list[Any] = []

    def cancel(before: set[Any]) -> None:
        cancelled.extend(asyncio.all_tasks() - before)
        for task in cancelled:
            task.cancel()

    def soon() -> None:
        loop = asyncio.get_running_loop()
        # Tornado takes it for an error of its own that the task was cancelled.
        loop.set_exception_handler(lambda _, context: None)
        loop.call_soon(cancel, asyncio.all_tasks())

    yield soon
    assert cancelled


def test_a_request_that_comes_in_the_tick_in_which_the_loop_ends_has_a_span_that_ends(
    each_recorder: Recorder,
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: None)
        async with serving(Application([("/", Never, {"came": loop.stop})])) as url, connection(url) as opened:
            opened.send("GET / HTTP/1.1\nHost: a\n\n")
            await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="stopped before Future completed"):
        pool.submit(asyncio.run, main()).result(30)
    assert each_recorder.unfinished == 0
    assert only(each_recorder.finished).status is None


async def test_a_request_whose_task_is_cancelled_at_once_has_a_span_that_ends_with_the_connection(
    each_recorder: Recorder, servers: Servers, cancelling: Callable[[], None]
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Never, {"came": cancelling})]))
    async with connection(url) as opened:
        opened.send("GET / HTTP/1.1\nHost: a\n\n")
        await until(lambda: each_recorder.unfinished == 1)
    span = only(await settled(each_recorder))
    assert (span.name, span.status) == ("Never", None)


async def test_a_handler_that_begins_is_not_taken_for_one_that_does_not(
    each_recorder: Recorder, servers: Servers
) -> None:
    """On one connection, whose requests have a future each."""

    class Answers(RequestHandler):
        async def get(self) -> None:
            await asyncio.sleep(0)
            self.write("hello")

    init_tracing(each_recorder.tracer, trace_client=False)
    async with connection(servers.start(Application([("/", Answers)]))) as opened:
        for _ in range(3):
            assert await opened.get("/") == (200, "hello")
    assert [(span.status, span.is_error) for span in await settled(each_recorder, 3)] == [(200, False)] * 3


class Late(Socket):
    """Its work is cancelled before it begins."""

    cancelling: Callable[[], None]

    async def work(self) -> None:
        raise AssertionError("it is cancelled by then")

    def on_message(self, message: str | bytes) -> Any:
        self.cancelling()
        return self.work()


@pytest.mark.parametrize("messages", [True, "both"])
async def test_a_message_whose_task_is_cancelled_at_once_has_a_span_that_ends(
    messages: Any, each_recorder: Recorder, servers: Servers, cancelling: Callable[[], None]
) -> None:
    Late.cancelling = staticmethod(cancelling)
    url, site = serve(servers, each_recorder, Late, trace_websocket_messages=messages, trace_websocket_connection=True)
    async with connected(url) as opened:
        await until(lambda: site.is_open)
        await opened.write_message("a")
        await until(lambda: any(span.name == "Late.on_message" for span in each_recorder.finished))
        site.stream.close()
    await until(lambda: each_recorder.unfinished == 0)
    assert only(each_recorder.finished, name="Late.on_message").is_error
    assert only(each_recorder.finished, name="Late.connection").finish_time is not None
