# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``context=``: what is given a context has what is active in that one, wherever it was started."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, active_id, children, only, span_id
from support.serving import ask, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import current_tracer, init_tracing

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks take a context from Python 3.11 on")


async def by_create_task(coroutine: Any, context: contextvars.Context) -> Any:
    return await asyncio.create_task(coroutine, context=context)


async def by_loop(coroutine: Any, context: contextvars.Context) -> Any:
    return await asyncio.get_running_loop().create_task(coroutine, context=context)


async def by_task_group(coroutine: Any, context: contextvars.Context) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine, context=context)
    return task.result()


async def by_eager_task(coroutine: Any, context: contextvars.Context) -> Any:
    factory: Any = getattr(asyncio, "eager_task_factory", None)
    return await factory(asyncio.get_running_loop(), coroutine, context=context)


async def by_call_soon(coroutine: Any, context: contextvars.Context) -> Any:
    """A callback in that context, and a task that it starts."""
    started = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: started.set_result(asyncio.ensure_future(coroutine)), context=context)
    return await (await started)


NOT_EAGER = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
WAYS = [by_create_task, by_loop, by_task_group, by_call_soon, pytest.param(by_eager_task, marks=NOT_EAGER)]
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
async def test_what_is_active_in_the_given_context_is_the_parent(each_recorder: Recorder, way: Any) -> None:
    tracer = each_recorder.tracer

    async def work(name: str) -> int | None:
        await asyncio.sleep(0)
        tracer.start_span(name).finish()
        return active_id(tracer)

    with tracer.start_active_span("given") as given:
        context = contextvars.copy_context()
        with tracer.start_active_span("elsewhere") as elsewhere:
            assert await way(work("in the given"), context) == span_id(given.span)
            assert await way(work("in none"), contextvars.Context()) is None
            assert await way(work("in a copy"), contextvars.copy_context()) == span_id(elsewhere.span)
            assert active_id(tracer) == span_id(elsewhere.span)
    spans = each_recorder.finished
    assert only(spans, name="in the given").parent_id == span_id(given.span)
    assert only(spans, name="in none").parent_id is None
    assert only(spans, name="in a copy").parent_id == span_id(elsewhere.span)


async def test_tasks_that_share_a_context_share_what_is_active_and_end_every_span_once(recorder: Recorder) -> None:
    """Their scopes close in whatever order; each token is one of that context."""
    tracer = recorder.tracer
    context = contextvars.Context()
    steps: list[asyncio.Event] = [asyncio.Event() for _ in range(2)]

    async def first() -> None:
        with tracer.start_active_span("first"):
            steps[0].set()
            await steps[1].wait()

    async def second() -> None:
        await steps[0].wait()
        with tracer.start_active_span("second"):
            steps[1].set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(first(), context=context)
        group.create_task(second(), context=context)
    assert recorder.unfinished == 0
    assert only(recorder.finished, name="second").parent_id == only(recorder.finished, name="first").span_id
    assert len(recorder.finished) == 2
    assert context.run(active_id, tracer) is None
    assert active_id(tracer) is None


@every_way
async def test_a_request_can_start_what_belongs_to_another_context(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient, way: Any
) -> None:
    """To none: a root, which the process's tracer has. To an earlier request's: a child of that one's span."""
    tracer = each_recorder.tracer
    own = MockRecorder()
    init_tracing(tracer)
    contexts: dict[str, contextvars.Context] = {}
    seen: list[Any] = []

    class Starting(RequestHandler):
        async def get(self) -> None:
            contexts.setdefault("first", contextvars.copy_context())

            async def fetch() -> None:
                seen.append(current_tracer())
                await client.fetch(self.settings["behind"])

            if self.get_argument("in", ""):
                await way(fetch(), contexts[self.get_argument("in")])

    class Behind(RequestHandler):
        pass

    class Answering(Behind):
        def get(self) -> None:
            pass

    contexts["none"] = contextvars.Context()
    behind = servers.start(Application([("/", Answering)], opentracing_trace_all=False))
    url = servers.start(Application([("/", Starting)], behind=behind))
    for query in ("", "?in=first", "?in=none"):
        assert (await ask(url, "/" + query))[0] == 200
    spans = await settled(each_recorder, 5)
    first, second, third = (span for span in spans if span.name == "Starting")
    assert only(children(spans, first)).kind == "client"
    assert not children(spans, second)
    assert not children(spans, third)
    root = only(spans, kind="client", parent_id=None)
    assert root.trace_id not in {first.trace_id, second.trace_id, third.trace_id}
    assert seen == [tracer, tracer]
    assert not own.finished


async def test_a_done_callback_has_the_context_it_was_given(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    found: list[int | None] = []
    with tracer.start_active_span("given") as given:
        context = contextvars.copy_context()
    with tracer.start_active_span("adding") as adding:
        future.add_done_callback(lambda _: found.append(active_id(tracer)))
        future.add_done_callback(lambda _: found.append(active_id(tracer)), context=contextvars.Context())
    assert context.run(active_id, tracer) in {None, span_id(given.span)}
    future.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert found[1:] == [None]
    assert found[0] in {None, span_id(adding.span)}
