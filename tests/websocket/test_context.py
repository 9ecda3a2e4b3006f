# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is active on a connection is nobody's left-over, and the application's own context is its own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.shim.opentracing_shim import create_tracer as create_shim
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers.contextvars import ContextVarsScopeManager as OpenTracingScopeManager
from support import MockRecorder, Recorder, Servers, active_id, only
from support.serving import settled, until
from support.sockets import Site, Socket, connected, exchange, serve
from tornado import gen

from tornado_opentracing import ContextVarsScopeManager, remove_tracing
from tornado_opentracing.opentelemetry import create_tracer


class LeavesActive(Socket):
    """Activates a span in each of its methods and forgets to close the scope."""

    def enter(self, event: str) -> None:
        self.site.saw(event)
        span = self.site.tracer.start_span(f"left by {event}")
        self.site.scopes.append(self.site.tracer.scope_manager.activate(span, True))

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.enter("open")
        self.ping(b"")
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.enter("on_message")
        return super().on_message(message)

    def on_ping(self, data: bytes) -> None:
        self.enter("on_ping")

    def on_pong(self, data: bytes) -> None:
        self.enter("on_pong")

    def on_close(self) -> None:
        self.enter("on_close")
        super().on_close()


class AsyncLeavesActive(LeavesActive):
    async def open(self, *args: str, **kwargs: str) -> None:
        super().open()
        await asyncio.sleep(0)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


class CoroutineLeavesActive(LeavesActive):
    @gen.coroutine
    def open(self, *args: str, **kwargs: str) -> Any:
        super().open()
        yield gen.moment

    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        super().on_message(message)
        yield gen.moment


LEAVING = [LeavesActive, AsyncLeavesActive, CoroutineLeavesActive]


async def converse(url: str, site: Site) -> None:
    """Let the handler be called for everything that can happen to a connection, more than once."""

    def came(event: str, times: int) -> bool:
        return [name for name, _ in site.active].count(event) == times

    async with connected(url, site) as opened:
        await until(lambda: came("on_pong", 1))
        for number in (1, 2):
            await exchange(opened, f"text {number}", b"binary %d" % number)
            opened.ping(b"")
            await until(lambda number=number: came("on_ping", number))  # type: ignore[misc]


CONVERSATION = {"open": 1, "on_pong": 1, "on_message": 4, "on_ping": 2, "on_close": 1}


@pytest.mark.parametrize("handler", LEAVING)
async def test_what_one_message_leaves_active_never_shows_in_the_next(
    each_recorder: Recorder, servers: Servers, handler: type[LeavesActive]
) -> None:
    """Nothing is active in ``open``, ``on_message``, ``on_ping``, ``on_pong`` and ``on_close``: not the handshake's
    span, and not what any of them left."""
    url, site = serve(servers, each_recorder, handler)
    await converse(url, site)
    seen = [event for event, _ in site.active]
    assert {event: seen.count(event) for event in CONVERSATION} == CONVERSATION
    assert {active for _, active in site.active} == {None}
    assert only(each_recorder.finished, kind="server").status == 101


@pytest.mark.parametrize("is_removed", [False, True])
async def test_what_the_last_message_leaves_active_is_gone_after_it(
    each_recorder: Recorder, servers: Servers, is_removed: bool
) -> None:
    """For what the handler does when the connection is over, and for messages that are traced by nobody any more."""

    class GoesOn(LeavesActive):
        async def get(self, *args: Any, **kwargs: Any) -> None:
            await super().get(*args, **kwargs)
            self.site.saw("end")

        def open(self, *args: str, **kwargs: str) -> None:
            pass

    url, site = serve(servers, each_recorder, GoesOn)
    async with connected(url, site) as opened:
        await exchange(opened, "a", "b")
        if is_removed:
            remove_tracing()
            site.active.clear()
            await exchange(opened, "c")
            assert site.active == [("on_message", None)]
    if not is_removed:
        await until(lambda: ("end", None) in site.active)


@pytest.mark.parametrize("event", ["open", "on_message", "on_close"])
@pytest.mark.parametrize("each_recorder", ["ours", "opentelemetry", "bridge"], indirect=True)
async def test_what_the_handshake_activates_may_be_closed_by_the_connection(
    each_recorder: Recorder, servers: Servers, event: str
) -> None:
    """``opentracing``'s own scope manager ends a scope only where it is active."""

    class Session(Socket):
        def prepare(self) -> None:
            self.scope = self.site.tracer.start_active_span("session")

        def reach(self, reached: str) -> None:
            if reached == event:
                self.scope.close()

        def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
            self.reach("open")
            return super().open()

        def on_message(self, message: str | bytes) -> Awaitable[None] | None:
            self.reach("on_message")
            return super().on_message(message)

        def on_close(self) -> None:
            self.reach("on_close")
            super().on_close()

    url, site = serve(servers, each_recorder, Session)
    async with connected(url, site) as opened:
        await exchange(opened, "a")
    spans = await settled(each_recorder, 2)
    handshake, session = only(spans, kind="server"), only(spans, name="session")
    assert (session.parent_id, session.trace_id) == (handshake.span_id, handshake.trace_id)


@pytest.mark.parametrize("handler", LEAVING)
async def test_with_a_span_for_each_message_that_alone_is_active(
    each_recorder: Recorder, servers: Servers, handler: type[LeavesActive]
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=True)
    await converse(url, site)
    await until(lambda: len([span for span in each_recorder.finished if span.kind == "consumer"]) == 6)
    spans = {span.span_id: span.name for span in each_recorder.finished}
    for event, active in site.active:
        if event in ("on_ping", "on_pong"):
            assert active is None
        else:
            assert active is not None
            assert spans.pop(active) == f"{handler.__name__}.{event}"


async def test_concurrent_connections_do_not_mix(each_recorder: Recorder, servers: Servers) -> None:
    class Waits(Socket):
        async def on_message(self, message: str | bytes) -> None:
            with self.site.tracer.start_active_span(str(message)) as scope:
                arrived.append(message)
                await self.site.release.wait()
                assert active_id(self.site.tracer) == active_id_of(scope)
                super().on_message(message)

    def active_id_of(scope: Any) -> int:
        context = scope.span.context
        return int(context.unwrap().span_id if hasattr(context, "unwrap") else context.span_id)

    arrived: list[Any] = []
    url, site = serve(servers, each_recorder, Waits)
    async with connected(url) as first, connected(url) as second:
        both = asyncio.gather(exchange(first, "first"), exchange(second, "second"))
        await until(lambda: len(arrived) == 2)
        site.release.set()
        await both
    spans = await settled(each_recorder, 4)
    assert only(spans, name="first").parent_id is None
    assert only(spans, name="second").parent_id is None


async def test_an_excluded_connection_has_no_spans(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, LeavesActive, trace_websocket_messages=True, excluded_paths=["/"])
    await converse(url, site)
    assert [span for span in recorder.finished if not span.name.startswith("left by")] == []


# What belongs to the application.


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class SetsVariable(Socket):
    """Sets a context variable of the application's in each of its methods, and tells what it was."""

    def swap(self, event: str) -> None:
        seen.append((event, variable.get()))
        variable.set(event)

    def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        self.swap("open")
        return None

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        self.swap(str(message))
        return super().on_message(message)

    def on_close(self) -> None:
        self.swap("close")
        super().on_close()


class AsyncSetsVariable(SetsVariable):
    async def open(self, *args: str, **kwargs: str) -> None:
        super().open()
        await asyncio.sleep(0)

    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


class CoroutineSetsVariable(SetsVariable):
    @gen.coroutine
    def open(self, *args: str, **kwargs: str) -> Any:
        super().open()
        yield gen.moment

    @gen.coroutine
    def on_message(self, message: str | bytes) -> Any:
        super().on_message(message)
        yield gen.moment


seen: list[tuple[str, str]] = []


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
@pytest.mark.parametrize("handler", [SetsVariable, AsyncSetsVariable, CoroutineSetsVariable])
async def test_the_applications_own_context_variables_behave_as_without_tracing(
    each_recorder: Recorder, servers: Servers, handler: type[SetsVariable], trace_websocket_messages: bool
) -> None:
    url, site = serve(servers, each_recorder, handler, trace_websocket_messages=trace_websocket_messages)

    async def run() -> list[tuple[str, str]]:
        seen.clear()
        site.is_closed = False
        async with connected(url, site) as opened:
            await exchange(opened, "1", "2", "3")
        return list(seen)

    traced = await run()
    remove_tracing()
    assert traced == await run()
    assert [event for event, _ in traced] == ["open", "1", "2", "3", "close"]


class DisguisedReturn(Socket):
    """Tornado awaits whatever comes out of ``on_message``."""

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        done = asyncio.ensure_future(self.later(message))

        class Wrapped:
            def __await__(self) -> Any:
                return done.__await__()

        return Wrapped()

    async def later(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
async def test_any_awaitable_that_on_message_returns_is_awaited(
    recorder: Recorder, servers: Servers, trace_websocket_messages: bool
) -> None:
    url, site = serve(servers, recorder, DisguisedReturn, trace_websocket_messages=trace_websocket_messages)
    async with connected(url, site) as opened:
        await exchange(opened, "a", "b")
    await settled(recorder, 5 if trace_websocket_messages else 1)


# Memory.


class ForgetfulTracer(MockTracer):
    def _append_finished_span(self, span: Any) -> None:
        pass


FORGETFUL: list[Callable[[], Any]] = [
    lambda: ForgetfulTracer(ContextVarsScopeManager()),
    lambda: ForgetfulTracer(OpenTracingScopeManager()),
    lambda: create_shim(TracerProvider()),
    lambda: create_tracer(TracerProvider()),
]


class Counts(LeavesActive):
    def enter(self, event: str) -> None:
        self.site.tracer.scope_manager.activate(self.site.tracer.start_span(event), True)


class AsyncCounts(Counts):
    async def on_message(self, message: str | bytes) -> None:
        await asyncio.sleep(0)
        super().on_message(message)


@pytest.mark.parametrize("trace_websocket_messages", [False, True])
@pytest.mark.parametrize("handler", [Counts, AsyncCounts])
@pytest.mark.parametrize("make_tracer", FORGETFUL)
async def test_a_connection_holds_no_more_memory_after_many_messages(
    servers: Servers,
    handler: type[Socket],
    trace_websocket_messages: bool,
    make_tracer: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though each message leaves a span active."""
    # Of each scope that is collected in another context OpenTelemetry logs an error, which pytest would keep.
    caplog.set_level(logging.CRITICAL, "opentelemetry.context")
    recorder = MockRecorder()
    recorder.tracer = make_tracer()
    url, _ = serve(servers, recorder, handler, trace_websocket_messages=trace_websocket_messages)

    async def held_after(messages: int) -> int:
        for _ in range(messages):
            await opened.write_message("a")
            await opened.read_message()
            opened.ping(b"")
        await exchange(opened, "b")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with connected(url) as opened:
        await held_after(50)
        tracemalloc.start()
        try:
            before = await held_after(10)
            after = await held_after(500)
        finally:
            tracemalloc.stop()
    # A span alone, or a scope, is some hundred bytes; the interpreter's own caches grow a little at first.
    assert after - before < 500 * 80
