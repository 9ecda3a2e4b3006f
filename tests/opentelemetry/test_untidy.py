# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One context for OpenTracing and OpenTelemetry, also where it is left untidy: both have the same active span, and to
look at it changes nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry import context, trace
from support import Servers
from support.otel import OpenTelemetry, parent_of
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing, no_parent_scope


@pytest.fixture(autouse=True)
def _of_each_span_left_in_another_context_opentelemetry_logs_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "opentelemetry.context")


async def theirs(otel: OpenTelemetry) -> AsyncIterator[int]:
    with otel.provider.get_tracer("app").start_as_current_span("theirs"):
        yield 1
        yield 2


async def ours(otel: OpenTelemetry) -> AsyncIterator[int]:
    with otel.tracer.start_active_span("ours"):
        yield 1
        yield 2


def agreed(otel: OpenTelemetry) -> Any:
    """What is active for both, ``None`` or OpenTelemetry's span."""
    before = context.get_current(), trace.get_current_span()
    active: Any = otel.tracer.active_span
    found = None if active is None else active.unwrap()
    assert context.get_current() is before[0]
    assert trace.get_current_span() is before[1]
    assert (before[1] if before[1].get_span_context().is_valid else None) is found
    return found


async def test_a_task_has_its_requests_span_though_the_handler_breaks_out_of_a_generator(
    otel: OpenTelemetry, servers: Servers
) -> None:
    """Which holds OpenTelemetry's ``start_as_current_span``; the task's fetch stays in the request's trace."""
    answered = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    class Leaf(RequestHandler):
        def get(self) -> None:
            pass

    class Untidy(RequestHandler):
        async def get(self) -> None:
            tasks.append(asyncio.create_task(self.work()))
            await asyncio.sleep(0)
            async for _ in theirs(otel):
                break

        async def work(self) -> None:
            request = agreed(otel)
            assert request is not None
            await answered.wait()
            assert agreed(otel) is request
            with otel.tracer.start_active_span("work"):
                pass
            assert agreed(otel) is request
            await AsyncHTTPClient().fetch(f"{url}/leaf")

    init_tracing(otel.tracer)
    url = servers.start(Application([("/untidy", Untidy), ("/leaf", Leaf)]))
    with no_parent_scope():
        await AsyncHTTPClient().fetch(f"{url}/untidy")
    answered.set()
    await tasks[0]
    request = next(span for span in otel.finished if (span.attributes or {}).get("url.path") == "/untidy")
    work = next(span for span in otel.finished if span.name == "work")
    assert parent_of(work) == request.context.span_id
    assert sum(span.context.trace_id == request.context.trace_id for span in otel.finished) >= 4


@pytest.mark.parametrize("numbers", [ours, theirs])
async def test_a_task_keeps_the_scope_it_was_started_under_though_its_starter_breaks_out_of_a_generator(
    otel: OpenTelemetry, numbers: Any
) -> None:
    closed = asyncio.Event()

    async def work() -> Any:
        await closed.wait()
        return agreed(otel)

    async def starter() -> asyncio.Task[Any]:
        with otel.tracer.start_active_span("starter"):
            started = asyncio.create_task(work())
            async for _ in numbers(otel):
                break
            return started

    started = await asyncio.create_task(starter())
    for _ in range(3):
        await asyncio.sleep(0)
    closed.set()
    found = await started
    assert found is not None
    assert found.name == "starter"


@pytest.mark.parametrize("numbers", [ours, theirs])
async def test_both_agree_after_breaking_out_of_a_generator(otel: OpenTelemetry, numbers: Any) -> None:
    with otel.tracer.start_active_span("outer"):
        outer = agreed(otel)
        async for _ in numbers(otel):
            inner = agreed(otel)
            break
        for _ in range(3):
            await asyncio.sleep(0)
        # What OpenTelemetry's own API left active stays so, for both.
        assert agreed(otel) is (outer if numbers is ours else inner)


async def test_both_agree_where_a_scope_is_closed_beneath_a_span_of_opentelemetry(otel: OpenTelemetry) -> None:
    outer = otel.tracer.start_active_span("outer")
    scope: Any = otel.tracer.start_active_span("scope")
    inherited = contextvars.copy_context()
    with otel.provider.get_tracer("app").start_as_current_span("theirs") as span:
        scope.close()
        assert agreed(otel) is span
    assert agreed(otel) is outer.span.unwrap()
    assert inherited.run(agreed, otel) is scope.span.unwrap()
    # What OpenTelemetry derives of it, and what it hands on, is of the same span.
    with otel.provider.get_tracer("app").start_as_current_span("next"):
        pass
    assert parent_of(otel.finished[-1]) == outer.span.unwrap().context.span_id
    assert trace.get_current_span(context.Context(context.get_current())) is outer.span.unwrap()
    assert trace.get_current_span(context.set_value("key", "value")) is outer.span.unwrap()
    outer.close()
    assert agreed(otel) is None


async def test_both_agree_where_a_scope_is_closed_in_another_context(otel: OpenTelemetry) -> None:
    outer = otel.tracer.start_active_span("outer")
    scope = otel.tracer.start_active_span("scope")
    inherited = contextvars.copy_context()
    contextvars.copy_context().run(scope.close)
    for run in (lambda call, *args: call(*args), inherited.run):
        assert run(agreed, otel) is outer.span.unwrap()
    otel.provider.get_tracer("app").start_span("child").end()
    assert parent_of(otel.finished[-1]) == outer.span.unwrap().context.span_id
    outer.close()
    assert agreed(otel) is None


async def test_a_no_parent_scope_is_left_beneath_a_span_of_opentelemetry(otel: OpenTelemetry) -> None:
    with otel.tracer.start_active_span("outer") as outer:
        cut = no_parent_scope()
        cut.__enter__()
        with otel.provider.get_tracer("app").start_as_current_span("theirs"):
            cut.__exit__(None, None, None)
            assert agreed(otel) is outer.span.unwrap()
        assert agreed(otel) is outer.span.unwrap()


@pytest.mark.parametrize("is_scheduled", ["before", "after"])
async def test_a_chain_of_callbacks_that_leaves_spans_of_opentelemetry_keeps_none(
    otel: OpenTelemetry, is_scheduled: str
) -> None:
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    spans: weakref.WeakSet[Any] = weakref.WeakSet()
    provider_tracer = type(otel)().provider.get_tracer("app")

    def link(left: int) -> None:
        def schedule() -> None:
            if left:
                asyncio.get_running_loop().call_soon(link, left - 1)
            else:
                gc.collect()
                over.set_result(len(spans))

        span = trace.NonRecordingSpan(provider_tracer.start_span("left").get_span_context())
        spans.add(span)
        with otel.tracer.start_active_span("ours"):
            if is_scheduled == "before":
                schedule()
            context.attach(trace.set_span_in_context(span))
            if is_scheduled == "after":
                schedule()

    link(60)
    assert await asyncio.wait_for(over, 10) <= 5
