# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a request leaves to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Servers
from support.handlers import Hello, Raising
from support.serving import Connection, connection
from tornado import gen
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_tracing, remove_tracing


class ForgetfulTracer(MockTracer):
    """Keeps nothing, so that what is left is not the tracer's."""

    def __init__(self) -> None:
        super().__init__(ContextVarsScopeManager())
        self.finished = 0

    def _append_finished_span(self, span: Any) -> None:
        self.finished += 1
        span.logs.clear()


class FinishedLater(RequestHandler):
    def get(self) -> None:
        self._auto_finish = False
        asyncio.get_running_loop().call_soon(self.finish)


class Coroutine(RequestHandler):
    @gen.coroutine
    def get(self) -> Any:
        yield gen.moment


class NotFound(RequestHandler):
    async def get(self) -> None:
        raise HTTPError(404)


async def left_behind(
    opened: Connection, path: str, handlers: list[weakref.ref[RequestHandler]]
) -> tuple[int, list[str]]:
    """After some requests: how many handlers live on by themselves, and what a garbage collection finds."""
    await opened.get(path)
    handlers.clear()
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(3):
            await opened.get(path)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(handlers) == 3
        alive = sum(handler() is not None for handler in handlers)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return alive, sorted(type(each).__qualname__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()


EVERYTHING: dict[str, Any] = {
    "inject_response_headers": True,
    "traced_response_headers": ["Content-Type"],
    "operation_name": "route",
    "start_span_cb": lambda span, request: None,
    "finish_span_cb": lambda span, outcome: None,
}


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
@pytest.mark.parametrize("path", ["/traced", "/decorated"])
@pytest.mark.parametrize("handler", [Hello, Raising, NotFound, Coroutine, FinishedLater])
async def test_a_request_leaves_no_more_to_the_garbage_collector_than_without_tracing(
    handler: type[RequestHandler], path: str, options: dict[str, Any], servers: Servers
) -> None:
    handlers: list[weakref.ref[RequestHandler]] = []
    tracer = ForgetfulTracer()

    def prepare(self: RequestHandler) -> None:
        handlers.append(weakref.ref(self))

    def log_exception(self: RequestHandler, *exc_info: object) -> None:
        """Tornado's logs it, and pytest keeps what is logged."""

    get: Any = handler.get
    plain = type("Plain", (handler,), {"prepare": prepare, "log_exception": log_exception})
    decorated = type("Decorated", (plain,), {"get": TornadoTracing(tracer, **options).trace(get)})
    routes = [("/bare", plain), ("/traced", plain), ("/decorated", decorated)]
    async with connection(servers.start(Application(routes))) as opened:
        remove_tracing()
        bare = await left_behind(opened, "/bare", handlers)
        init_tracing(tracer, trace_all=path == "/traced", **options)
        assert await left_behind(opened, path, handlers) == bare
    assert tracer.finished == 4
