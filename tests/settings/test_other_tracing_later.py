# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What an earlier request left behind uses the tracing that is in force, not what was when it was started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support import RECORDERS, MockRecorder, Recorder, Servers
from support.serving import connection, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, current_tracer, init_client_tracing, init_tracing, remove_tracing

Change = Callable[[Any], None]


class Leaf(RequestHandler):
    def get(self) -> None:
        self.write("leaf")


class Starts(RequestHandler):
    """Leaves a task behind that fetches once it is told to."""

    def get(self) -> None:
        settings = self.application.settings
        settings["task"] = asyncio.create_task(self.work(settings["go"], settings["client"], settings["url"]))

    @staticmethod
    async def work(go: asyncio.Event, client: AsyncHTTPClient, url: str) -> list[Any]:
        await go.wait()
        await client.fetch(f"{url}/leaf")
        return [current_tracer(), await IOLoop.current().run_in_executor(None, current_tracer)]


class Left:
    """A task that a request left behind."""

    def __init__(self, servers: Servers, client: AsyncHTTPClient, **settings: Any) -> None:
        self.go = asyncio.Event()
        leaf = servers.start(Application([("/leaf", Leaf)], opentracing_trace_all=False))
        self.application = Application([("/", Starts)], go=self.go, client=client, url=leaf, **settings)
        self.url = servers.start(self.application)

    async def start(self) -> None:
        async with connection(self.url) as opened:
            assert await opened.get("/") == (200, "")

    async def tracers(self) -> list[Any]:
        """The tracers in use at its end; then nothing of it is left."""
        self.go.set()
        found: list[Any] = await self.application.settings["task"]
        return found


def again(tracer: Any) -> None:
    init_tracing(tracer)


def removed_first(tracer: Any) -> None:
    remove_tracing()
    init_tracing(tracer)


def for_fetches_only(tracer: Any) -> None:
    remove_tracing()
    init_client_tracing(tracer)


CHANGES: list[Change] = [again, removed_first, for_fetches_only]


def kinds(recorder: Recorder) -> list[str]:
    return sorted(str(span.kind) for span in recorder.finished)


@pytest.mark.parametrize("settings", [{}, {"opentracing_traced_attributes": ["uri"]}], ids=["plain", "own settings"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_task_of_an_earlier_request_uses_the_new_tracer(
    change: Change, settings: dict[str, Any], each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    old = type(each_recorder)()
    left = Left(servers, client, **settings)
    init_tracing(old.tracer)
    await left.start()
    change(each_recorder.tracer)
    assert await left.tracers() == [each_recorder.tracer] * 2
    await settled(each_recorder)
    names = [span.name for span in each_recorder.finished]
    assert names == ["GET"]
    assert [span.name for span in await settled(old)] == ["Starts"]


@pytest.mark.parametrize("stack", RECORDERS)
async def test_a_task_of_an_application_with_a_tracer_of_its_own_goes_on_with_that(
    stack: str, servers: Servers, client: AsyncHTTPClient
) -> None:
    own, old, new = RECORDERS[stack](), MockRecorder(), MockRecorder()
    left = Left(servers, client, opentracing_tracing=TornadoTracing(own.tracer))
    init_tracing(old.tracer)
    await left.start()
    removed_first(new.tracer)
    assert await left.tracers() == [own.tracer] * 2
    names = [span.name for span in await settled(own, 2)]
    assert names == ["Starts", "GET"]
    assert kinds(old) == kinds(new) == []


@pytest.mark.parametrize("change", [again, removed_first])
async def test_a_task_of_a_decorated_handler_goes_on_with_the_decorators_tracer(
    change: Change, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Decorated(Starts):
        get = TornadoTracing(recorder.tracer).trace(Starts.get)

    old, new = MockRecorder(), MockRecorder()
    init_tracing(old.tracer, trace_all=False)
    left = Left(servers, client)
    left.application.add_handlers(".*", [("/decorated", Decorated)])
    async with connection(left.url) as opened:
        assert await opened.get("/decorated") == (200, "")
    change(new.tracer)
    assert await left.tracers() == [recorder.tracer] * 2
    assert [span.name for span in await settled(recorder, 2)] == ["Decorated", "GET"]


@pytest.mark.parametrize("settings", [{}, {"opentracing_traced_attributes": ["uri"]}], ids=["plain", "own settings"])
async def test_a_task_of_an_excluded_request_stays_without_spans(
    settings: dict[str, Any], recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    old = MockRecorder()
    left = Left(servers, client, **settings)
    init_tracing(old.tracer, excluded_paths=["/"])
    await left.start()
    removed_first(recorder.tracer)
    assert await left.tracers() == [recorder.tracer] * 2
    assert kinds(old) == kinds(recorder) == []


async def test_while_nothing_is_in_force_a_task_of_an_earlier_request_is_not_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    left = Left(servers, client)
    init_tracing(recorder.tracer)
    await left.start()
    remove_tracing()
    assert recorder.tracer not in await left.tracers()
    assert kinds(recorder) == ["server"]
