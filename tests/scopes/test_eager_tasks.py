# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tasks that begin at once, within the code that creates them: each is in a context of its own all the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support import Recorder, Servers, active_id, children, only
from support.serving import ask, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import init_tracing, no_parent_scope

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")


@pytest.fixture(autouse=True)
async def _eager(servers: Servers) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))
    yield
    await servers.stop()
    loop.set_task_factory(None)


class Leaf(RequestHandler):
    """Answers before its task was ever suspended."""

    async def get(self) -> None:
        self.write("leaf")


class Slow(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("slow")


class Many(RequestHandler):
    """Fetches, works and leaves spans open, all in tasks that begin where they are created."""

    async def get(self) -> None:
        tracer = self.settings["tracer"]
        before = active_id(tracer)

        async def work(number: int) -> None:
            with tracer.start_active_span(f"work {number}"):
                if number:
                    await asyncio.sleep(0)
                await self.settings["client"].fetch(f"{self.settings['url']}/{number}")

        async def leave_open() -> None:
            self.left = tracer.start_active_span("left")

        tasks = [asyncio.create_task(work(number)) for number in range(3)]
        assert active_id(tracer) == before
        tasks.append(asyncio.create_task(leave_open()))
        assert active_id(tracer) == before
        async with asyncio.TaskGroup() as group:
            group.create_task(work(3))
            assert active_id(tracer) == before
        await asyncio.gather(*tasks)
        IOLoop.current().add_callback(self.settings["ticked"].set)
        self.left.span.finish()
        self.write("many")


async def test_what_begins_at_once_has_the_parent_it_was_created_under(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    routes: Any = [("/", Many), ("/[02]", Leaf), ("/[13]", Slow)]
    app = Application(routes, tracer=tracer, client=client, ticked=asyncio.Event())
    app.settings["url"] = servers.start(app)
    assert await ask(app.settings["url"], "/") == (200, "many")
    await asyncio.wait_for(app.settings["ticked"].wait(), 10)
    spans = await settled(each_recorder, 14)
    assert len(spans) == len({span.span_id for span in spans}) == 14
    many = only(spans, name="Many")
    assert many.parent_id is None
    found = children(spans, many)
    assert sorted(span.name for span in found) == ["left", "work 0", "work 1", "work 2", "work 3"]
    for work in (span for span in found if span.name != "left"):
        fetch = only(children(spans, work))
        assert (fetch.name, fetch.kind) == ("GET", "client")
        assert only(children(spans, fetch)).name == ("Slow" if work.name[-1] in "13" else "Leaf")
    assert active_id(tracer) is None


async def test_requests_on_one_connection_stay_apart(each_recorder: Recorder, servers: Servers) -> None:
    """A handler's task begins within the connection's own: what it activates is not seen by the next request."""
    tracer = each_recorder.tracer
    init_tracing(tracer)
    seen: list[int | None] = []

    class Leaving(RequestHandler):
        async def get(self) -> None:
            self.settings["left"].append(tracer.start_active_span("left"))
            seen.append(active_id(tracer))

    app = Application([("/", Leaving)], left=[])
    url = servers.start(app)
    for _ in range(3):
        assert (await ask(url, "/"))[0] == 200
    for scope in app.settings["left"]:
        scope.span.finish()
    spans = await settled(each_recorder, 6)
    requests = [span for span in spans if span.name == "Leaving"]
    assert [span.parent_id for span in requests] == [None] * 3
    assert {span.parent_id for span in spans if span.name == "left"} == {span.span_id for span in requests}
    assert set(seen) == {span.span_id for span in spans if span.name == "left"}


async def test_a_task_that_fails_at_once_ends_its_spans_and_changes_nothing(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer

    async def fail() -> None:
        with tracer.start_active_span("failing"):
            raise KeyError("at once")

    async def wait() -> None:
        with tracer.start_active_span("cancelled"):
            await asyncio.sleep(10)

    with tracer.start_active_span("parent"):
        failed, waiting = asyncio.create_task(fail()), asyncio.create_task(wait())
        assert failed.done()
        waiting.cancel()
        results = await asyncio.gather(failed, waiting, return_exceptions=True)
    assert [type(result) for result in results] == [KeyError, asyncio.CancelledError]
    parent = only(each_recorder.finished, name="parent")
    assert sorted(span.name for span in children(each_recorder.finished, parent)) == ["cancelled", "failing"]
    assert each_recorder.unfinished == 0


async def test_a_task_that_begins_without_parent_goes_on_without(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer

    async def work() -> None:
        for name in ("first", "second"):
            tracer.start_span(name).finish()
            await asyncio.sleep(0)

    with tracer.start_active_span("parent"):
        with no_parent_scope():
            task = asyncio.create_task(work())
        tracer.start_span("child").finish()
        await task
    spans = each_recorder.finished
    assert [only(spans, name=name).parent_id for name in ("first", "second")] == [None, None]
    assert only(spans, name="child").parent_id == only(spans, name="parent").span_id


async def test_a_message_whose_task_begins_at_once_leaves_nothing_active_for_the_next(
    each_recorder: Recorder, servers: Servers
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer, trace_websocket_messages=True)
    left: list[Any] = []

    class Echo(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            left.append(tracer.start_active_span("left"))
            if message == "later":
                await asyncio.sleep(0)
            await self.write_message(message)

    url = servers.start(Application([("/", Echo)]))
    with no_parent_scope():
        websocket = await websocket_connect(url.replace("http", "ws") + "/")
    for message in ("now", "later", "now"):
        await websocket.write_message(message)
        assert await websocket.read_message() == message
    websocket.close()
    assert await websocket.read_message() is None
    for scope in left:
        scope.span.finish()
    spans = await settled(each_recorder, 6)
    inside = [span for span in spans if span.name == "left"]
    assert len({span.parent_id for span in inside}) == 3
    messages = {span.span_id for span in spans if span.name != "left"}
    assert {span.parent_id for span in inside} <= messages
