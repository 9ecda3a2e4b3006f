# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tracing comes or goes while requests and fetches are in flight."""

from __future__ import annotations

import asyncio

import pytest
from support import Recorder, Servers
from support.patched import names
from support.serving import Connection, connection, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing


class Waiting(RequestHandler):
    """Waits in the middle of something."""

    def initialize(self, arrived: asyncio.Event, go_on: asyncio.Event) -> None:
        self.arrived, self.go_on = arrived, go_on

    async def wait(self) -> None:
        self.arrived.set()
        await asyncio.wait_for(self.go_on.wait(), 10)


class WaitsAndAnswers(Waiting):
    async def get(self) -> None:
        await self.wait()
        self.write("done")


class WaitsAndFails(Waiting):
    async def get(self) -> None:
        await self.wait()
        raise ArithmeticError


class WaitsInPrepare(Waiting):
    async def prepare(self) -> None:
        await self.wait()

    def get(self) -> None:
        self.write("done")


class WaitsAfterAFlush(Waiting):
    async def get(self) -> None:
        self.set_header("Content-Length", 4)
        self.write("do")
        await self.flush()
        await self.wait()
        self.write("ne")


class AnswersAfterItsTask(Waiting):
    """The task that runs the handler is over when it finishes."""

    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await self.wait()
        self.finish("done")


class WaitsAndAnswersAfterItsTask(Waiting):
    async def get(self) -> None:
        await self.wait()
        self._auto_finish = False
        asyncio.get_running_loop().call_soon(self.finish, "done")


IN_FLIGHT = [
    (WaitsAndAnswers, 200),
    (WaitsAndFails, 500),
    (WaitsInPrepare, 200),
    (WaitsAfterAFlush, 200),
    (AnswersAfterItsTask, 200),
    (WaitsAndAnswersAfterItsTask, 200),
]


@pytest.mark.parametrize(("handler", "status"), IN_FLIGHT)
async def test_a_request_in_flight_when_tracing_is_removed_is_answered_and_its_span_finished(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answer = await _removing_while_in_flight(opened, arrived, go_on)
        assert answer == (status, "done" if status == 200 else answer[1])
        assert (await opened.get())[0] == status, "the next request, which nobody traces"
    assert await names(each_recorder) == [handler.__name__]
    assert each_recorder.unfinished == 0


async def _removing_while_in_flight(
    opened: Connection, arrived: asyncio.Event, go_on: asyncio.Event
) -> tuple[int, str]:
    answering = asyncio.ensure_future(opened.get())
    await asyncio.wait_for(arrived.wait(), 10)
    await asyncio.sleep(0)  # the handler's task may have to end
    remove_tracing()
    go_on.set()
    return await answering


@pytest.mark.parametrize(("handler", "status"), [case for case in IN_FLIGHT if case[0] is not AnswersAfterItsTask])
async def test_a_request_in_flight_when_tracing_is_initialised_again_has_one_span(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answering = asyncio.ensure_future(opened.get())
        await asyncio.wait_for(arrived.wait(), 10)
        remove_tracing()
        init_tracing(each_recorder.tracer)
        go_on.set()
        assert (await answering)[0] == status
    (span,) = await settled(each_recorder)
    assert (span.name, span.status, span.is_error) == (handler.__name__, status, status == 500)


@pytest.mark.parametrize(("handler", "status"), IN_FLIGHT)
async def test_a_request_in_flight_when_tracing_is_initialised_is_not_broken(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    """It has no span, for it started without."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answering = asyncio.ensure_future(opened.get())
        await asyncio.wait_for(arrived.wait(), 10)
        init_tracing(each_recorder.tracer)
        go_on.set()
        assert (await answering)[0] == status
    assert not await names(each_recorder)


async def test_a_fetch_in_flight_when_tracing_is_removed_gets_its_answer_and_its_span_finished(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_client_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", WaitsAndAnswers, {"arrived": arrived, "go_on": go_on})]))
    fetching = client.fetch(url)
    await asyncio.wait_for(arrived.wait(), 10)
    remove_tracing()
    go_on.set()
    assert (await fetching).body == b"done"
    (span,) = await settled(each_recorder)
    assert (span.name, span.status) == ("GET", 200)
