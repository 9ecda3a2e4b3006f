# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Another thread may call ``remove_tracing()`` between any two steps of what is going on: nobody notices."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Servers
from support.serving import connection
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import (
    ContextVarsScopeManager,
    TornadoTracing,
    current_tracer,
    init_client_tracing,
    init_tracing,
    remove_tracing,
    trace,
)
from tornado_opentracing._settings.config import ProcessDefaults
from tornado_opentracing.viewer import RecordingTracer, viewer_routes


class Plain(RequestHandler):
    def get(self) -> None:
        self.write("plain")


class Decorated(RequestHandler):
    @trace
    async def get(self) -> None:
        self.write("decorated")


class OpenTwice(RequestHandler):
    def initialize(self) -> None:
        self._auto_finish = False

    def get(self) -> None:
        IOLoop.current().add_callback(self.finish, "later")


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


RECORDING = RecordingTracer()


def application(**settings: Any) -> Application:
    routes: list[Any] = [
        ("/plain", Plain),
        ("/decorated", Decorated),
        ("/later", OpenTwice),
        ("/echo", Echo),
        *viewer_routes(RECORDING, allow=lambda request: True),
    ]
    return Application(routes, **settings)


Action = Callable[[str], Awaitable[object]]


async def fetch(url: str) -> object:
    client = AsyncHTTPClient(force_instance=True)
    try:
        return (await client.fetch(f"{url}/plain")).body
    finally:
        client.close()


async def build(url: str) -> object:
    return [type(application(opentracing_traced_attributes=["uri"])).__name__, type(application()).__name__]


def requests(path: str, is_shown: bool = True) -> Action:
    async def request(url: str) -> object:
        async with connection(url) as opened:
            status, body = await opened.get(path)
            return status, body if is_shown else ""

    request.__name__ = path
    return request


async def echoed(url: str) -> object:
    opened = await websocket_connect(url.replace("http", "ws") + "/echo")
    await opened.write_message("hello")
    found = await opened.read_message()
    opened.close()
    await opened.read_message()
    return found


async def in_executor(url: str) -> object:
    return await IOLoop.current().run_in_executor(None, lambda: "done")


async def tracer_is_there(url: str) -> object:
    return current_tracer() is not None


ACTIONS: dict[Action, object] = {
    fetch: b"plain",
    build: ["Application", "Application"],
    requests("/plain"): (200, "plain"),
    requests("/decorated"): (200, "decorated"),
    requests("/later"): (200, "later"),
    requests("/-/traces", is_shown=False): (200, ""),
    echoed: "hello",
    in_executor: "done",
    tracer_is_there: True,
}


def init_both() -> None:
    init_tracing(RECORDING)
    init_client_tracing(TornadoTracing(RECORDING))


INITS: dict[str, Callable[[], None]] = {
    "tracer": lambda: init_tracing(MockTracer(ContextVarsScopeManager()), trace_websocket_messages=True),
    "no tracer": init_tracing,
    "client": lambda: init_client_tracing(MockTracer(ContextVarsScopeManager())),
    "both": init_both,
}


@contextmanager
def removed_when_read(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> Iterator[list[int]]:
    """``remove_tracing()`` comes right after a global was read for that many times."""
    slot = getattr(ProcessDefaults, name)
    reads = [0]

    def read(self: ProcessDefaults) -> Any:
        found = slot.__get__(self)
        reads[0] += 1
        if reads[0] == count:
            remove_tracing()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ProcessDefaults, name, property(read, slot.__set__))
        yield reads


@pytest.mark.parametrize("count", range(1, 5))
@pytest.mark.parametrize("name", ["tracing", "client"])
@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
async def test_tracing_that_is_removed_between_two_looks_at_it_is_noticed_by_nobody(
    action: Action, init: str, name: str, count: int, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = servers.start(application(opentracing_traced_attributes=["uri"]))
    INITS[init]()
    with removed_when_read(monkeypatch, name, count):
        assert await action(url) == ACTIONS[action]
    assert await action(url) == ACTIONS[action]


@pytest.mark.usefixtures("busy_threads")
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
async def test_a_thread_may_switch_tracing_on_and_off_all_the_time(action: Action, servers: Servers) -> None:
    url = servers.start(application())
    stop = threading.Event()
    failures: list[BaseException] = []

    def switch() -> None:
        try:
            while not stop.is_set():
                init_tracing(RECORDING)
                init_client_tracing(RECORDING)
                remove_tracing()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        for _ in range(20):
            assert await action(url) == ACTIONS[action]
    finally:
        stop.set()
        thread.join()
        remove_tracing()
    assert not failures
