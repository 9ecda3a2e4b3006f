# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Event loops: asyncio's own and uvloop's, and a small service to run on them, whose trace is known."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from support import Recorded, Servers, children, only
from tornado_opentracing import remove_tracing

NewLoop = Callable[[], asyncio.AbstractEventLoop]


def new_uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def new_eager_loop() -> asyncio.AbstractEventLoop:
    """One whose tasks begin where they are created, and not a turn later."""
    loop = asyncio.new_event_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


NO_UVLOOP = pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed here")

NOT_EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")

#: Run a test with each event loop there is.
each_loop = pytest.mark.parametrize(
    "new_loop",
    [
        asyncio.new_event_loop,
        pytest.param(new_uvloop, marks=NO_UVLOOP),
        pytest.param(new_eager_loop, marks=NOT_EAGER),
    ],
)


def run(new_loop: NewLoop, main: Awaitable[None]) -> None:
    """What ``asyncio.run`` does, for a loop of one's choice."""
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# The service.

LEAVES = 3


class Leaf(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("leaf")


class Tree(RequestHandler):
    """Fetches leaves at once, from wherever the query says, and works in a thread."""

    async def get(self) -> None:
        tracer = self.settings["tracer"]
        client: Any = AsyncHTTPClient(force_instance=True)
        beyond = self.get_argument("beyond", self.settings["url"] + "/leaf")
        with contextlib.closing(client):
            responses = await asyncio.gather(*(client.fetch(beyond) for _ in range(LEAVES)))

        def work() -> None:
            tracer.start_span("work").finish()

        await IOLoop.current().run_in_executor(None, work)
        self.write(responses[0].body)


@stream_request_body
class Upload(RequestHandler):
    def prepare(self) -> None:
        self.size = 0

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    def post(self) -> None:
        self.write(str(self.size))


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        await self.write_message(message)


def application(tracer: Any, **settings: Any) -> Application:
    routes: Any = [("/leaf", Leaf), ("/tree", Tree), ("/upload", Upload), ("/echo", Echo)]
    return Application(routes, tracer=tracer, log_function=lambda handler: None, **settings)


@asynccontextmanager
async def serving(app: Application) -> AsyncIterator[str]:
    servers = Servers()
    try:
        app.settings["url"] = servers.start(app)
        yield app.settings["url"]
    finally:
        await servers.stop()


def check_tree(spans: list[Recorded], leaves: list[Recorded]) -> None:
    """The trace of one request to ``/tree``, among the spans of its tracer and those of its leaves' tracer."""
    tree = only(spans, name="Tree")
    assert tree.parent_id is None
    assert sorted(span.name for span in children(spans, tree)) == ["GET"] * LEAVES + ["work"]
    for span in children(spans, tree):
        assert [leaf.name for leaf in children(leaves, span) if leaf.name == "Leaf"] == ["Leaf"] * (span.name == "GET")


class Site:
    """What the test and the handlers tell each other."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on_in_thread = threading.Event()
        self.left = asyncio.Event()

    async def hold(self) -> None:
        self.arrived.set()
        await self.go_on.wait()

    async def remove_tracing(self) -> None:
        """When a handler is where it is wanted."""
        await asyncio.wait_for(self.arrived.wait(), 10)
        remove_tracing()
        self.go_on.set()
        self.go_on_in_thread.set()


class HeldAlone(RequestHandler):
    """Its client leaves while it waits."""

    async def get(self) -> None:
        await self.settings["site"].hold()
        await asyncio.wait_for(self.settings["site"].left.wait(), 10)

    def on_connection_close(self) -> None:
        self.settings["site"].left.set()


class HeldInThread(RequestHandler):
    async def get(self) -> None:
        site = self.settings["site"]
        site.arrived.set()
        self.write(str(await IOLoop.current().run_in_executor(None, site.go_on_in_thread.wait, 10)))


class HeldOpen(RequestHandler):
    """Returns, and a task finishes the response later."""

    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await self.settings["site"].hold()
        self.finish("late")


@stream_request_body
class HeldUpload(Upload):
    async def data_received(self, chunk: bytes) -> None:  # type: ignore[override] # of our own above
        await self.settings["site"].hold()
        super().data_received(chunk)


class HeldHandshake(Echo):
    async def get(self, *args: Any, **kwargs: Any) -> None:
        await self.settings["site"].hold()
        await super().get(*args, **kwargs)


class HeldMessage(Echo):
    async def on_message(self, message: str | bytes) -> None:
        await self.settings["site"].hold()
        await super().on_message(message)
