# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is no ``Exception`` goes on, as if the application itself had raised it.

What Tornado makes of it is Tornado's affair (it swallows cancellation in many places, and everything while it reads a
request): what counts is that it leaves the package, through a hook, a callback of the event loop, or the application's
own code.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Recorder, Servers
from support.faults import Faults, FaultyTracer, raises, raising, with_all_options
from support.observed import world_with
from support.serving import until
from support.situations import SITUATIONS
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing
from tornado_opentracing._hooks import table


class StopError(BaseException):
    """What asyncio does not treat as it treats ``KeyboardInterrupt``: it leaves the event loop running."""


def watch_doors(monkeypatch: pytest.MonkeyPatch, seen: list[BaseException | None]) -> None:
    """Note all that is raised out of a hook of the package, at once or by what it returns."""

    def noting(hook: Callable[..., Any]) -> Callable[..., Any]:
        async def awaiting(awaitable: Awaitable[Any]) -> Any:
            try:
                return await awaitable
            except BaseException as error:
                seen.append(error)
                raise

        @functools.wraps(hook)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                result = hook(*args, **kwargs)
            except BaseException as error:
                seen.append(error)
                raise
            return awaiting(result) if inspect.iscoroutine(result) else result

        return call

    for hooks in (table.SERVER, table.CLIENT, table.EXECUTOR):
        for patch in hooks.patches:
            monkeypatch.setattr(patch.owner, patch.name, noting(getattr(patch.owner, patch.name)))


@pytest.mark.parametrize("title", ["exception", "disconnect during upload", "WebSocket", "executor", "fetch 404"])
@pytest.mark.parametrize("kind", [StopError, asyncio.CancelledError])
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # what broke half-way is not tidied up
async def test_what_is_no_exception_leaves_the_package(
    kind: type[BaseException], title: str, reports: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()
    async with world_with(with_all_options(FaultyTracer(faults), faults)) as world:
        seen = world.exceptions
        watch_doors(monkeypatch, seen)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context.get("exception")))
        with faults.of(None, raises):
            await world.observe(SITUATIONS[title])
        for thing, call in [(name, i + 1) for name in faults.reached for i in range(faults.calls[name])]:
            seen.clear()
            error = kind(thing)
            with faults.of(thing, raising(error), call=call):
                task = asyncio.ensure_future(world.observe(SITUATIONS[title]))
                while not task.done() and not any(found is error for found in seen):
                    await asyncio.sleep(0.001)
                while not task.done():
                    task.cancel()  # once is not enough: asyncio.wait_for can swallow it before Python 3.12
                    await asyncio.sleep(0)
            assert any(found is error for found in seen), f"{thing} at call {call}"
    assert not reports
    gc.collect()


@pytest.mark.parametrize("thing", ["tracer.start_span", "tracer.inject", "span.context", "start_span_cb"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_what_is_no_exception_leaves_a_fetch(
    kind: type[BaseException], thing: str, client: AsyncHTTPClient
) -> None:
    """And leaves no span unfinished."""
    faults = Faults()
    tracer = FaultyTracer(faults)
    with_all_options(tracer, faults)
    with faults.of(thing, raising(kind(thing))), pytest.raises(kind, match=thing):
        client.fetch("http://127.0.0.1:1/")
    assert len(tracer.finished_spans()) == (thing != "tracer.start_span")


async def test_what_is_no_exception_leaves_nothing_active_behind(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    handlers = []

    class Later(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            handlers.append(self)

    def give_up(span: Any, outcome: Any) -> None:
        raise StopError

    init_tracing(recorder.tracer, finish_span_cb=give_up, trace_client=False)
    fetching = client.fetch(servers.start(Application([("/", Later)])))
    await until(lambda: handlers)
    with pytest.raises(StopError):
        handlers[0].finish()
    assert recorder.tracer.active_span is None
    assert (await fetching).code == 200


PROGRAM = """
import asyncio, sys
from opentracing import Tracer
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado_opentracing import ContextVarsScopeManager, init_tracing

def give_up(*args):
    raise {end}

async def main():
    where = sys.argv[1]
    if where != "get":
        init_tracing(Tracer(ContextVarsScopeManager()), **{{where: give_up}})
    methods = {{"get": give_up if where == "get" else lambda handler: None}}
    socket, port = bind_unused_port()
    HTTPServer(Application([("/", type("Handler", (RequestHandler,), methods))])).add_socket(socket)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    await reader.read()

asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["SystemExit(7)", "KeyboardInterrupt()"])
def test_a_callback_can_end_the_process_as_a_handler_can(end: str) -> None:
    programs = {
        where: subprocess.Popen([sys.executable, "-c", PROGRAM.format(end=end), where], stderr=subprocess.DEVNULL)
        for where in ("get", "start_span_cb", "finish_span_cb")
    }
    codes = {where: program.wait(30) for where, program in programs.items()}
    assert codes["get"] != 0
    assert set(codes.values()) == {codes["get"]}, codes
