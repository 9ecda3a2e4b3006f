# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Work that a request starts but does not own: with its parent, without it, and without keeping the request alive."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

import opentracing
import pytest
import tornado
from support import MockRecorder, Recorder, Servers, active_id, children, only
from support.serving import connection, settled, until
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing, no_parent_scope, remove_tracing

#: How a request starts what goes on after it, and whether that keeps the request as its parent.
around = pytest.mark.parametrize(
    ("scope", "is_owned"), [(no_parent_scope, False), (contextlib.nullcontext, True)], ids=["cut", "kept"]
)
Scope = Callable[[], AbstractContextManager[Any]]


class Behind(RequestHandler):
    def get(self) -> None:
        pass


class Background:
    """Something that a request starts, and that does ``work`` again and again."""

    def __init__(self, recorder: Recorder, work: Callable[[int], Awaitable[None]]) -> None:
        self.recorder = recorder
        self.work = work
        self.wanted: asyncio.Queue[int] = asyncio.Queue()
        self.done: asyncio.Queue[int] = asyncio.Queue()
        self.stop: Callable[[], Any] = lambda: None

    async def run_once(self) -> None:
        number = await self.wanted.get()
        await self.work(number)
        self.done.put_nowait(number)

    async def run(self) -> None:
        while True:
            await self.run_once()


def worker_task(background: Background) -> None:
    task = asyncio.ensure_future(background.run())
    background.stop = task.cancel


def periodic_callback(background: Background) -> None:
    callback = PeriodicCallback(background.run_once, 1)
    callback.start()
    background.stop = callback.stop


def plain_periodic_callback(background: Background) -> None:
    """Its callback is no coroutine; each tick starts a task."""
    tasks = []

    def tick() -> None:
        if not background.wanted.empty():
            tasks.append(asyncio.ensure_future(background.run_once()))

    callback = PeriodicCallback(tick, 1)
    callback.start()
    background.stop = callback.stop


def chain_of_timers(background: Background) -> None:
    """Each run schedules the next."""
    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    def tick() -> None:
        if not background.wanted.empty():
            tasks.append(asyncio.ensure_future(background.run_once()))
        background.stop = loop.call_later(0.001, tick).cancel

    tick()


def spawned_callback(background: Background) -> None:
    running = True

    async def run() -> None:
        while running:
            await background.run_once()

    def stop() -> None:
        nonlocal running
        running = False
        background.wanted.put_nowait(-1)

    IOLoop.current().spawn_callback(run)
    background.stop = stop


def pool(background: Background) -> None:
    """A pool of workers, the first user of which happens to be this request."""
    tasks = [asyncio.ensure_future(background.run()) for _ in range(2)]
    background.stop = lambda: [task.cancel() for task in tasks]


# Before 6.2 a PeriodicCallback does not await what its callback returns.
coroutine_periodic_callback = pytest.param(
    periodic_callback, marks=pytest.mark.skipif(tornado.version_info < (6, 2), reason="needs Tornado 6.2")
)
STARTS = [worker_task, coroutine_periodic_callback, plain_periodic_callback, chain_of_timers, spawned_callback, pool]


@around
@pytest.mark.parametrize("start", STARTS)
async def test_what_goes_on_after_a_request_belongs_to_it_unless_started_under_no_parent_scope(
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    start: Callable[[Background], None],
    scope: Scope,
    is_owned: bool,
) -> None:
    """Its own spans, and its fetches, each time it runs."""
    tracer = each_recorder.tracer
    behind = servers.start(Application([(r"/fetch/\d", Behind)]))

    async def work(number: int) -> None:
        if number < 0:
            return
        with tracer.start_active_span(f"job {number}"):
            await asyncio.sleep(0)
        await client.fetch(f"{behind}/fetch/{number}")

    background = Background(each_recorder, work)

    class Starts(RequestHandler):
        def get(self) -> None:
            with scope():
                start(background)
            assert active_id(tracer) is not None

    init_tracing(tracer, background="inherit")
    url = servers.start(Application([("/", Starts)]))
    async with connection(url) as opened:
        assert (await opened.get())[0] == 200
    (request,) = await settled(each_recorder)
    try:
        for number in range(3):
            background.wanted.put_nowait(number)
            assert await background.done.get() == number
    finally:
        background.stop()
    spans = await settled(each_recorder, 10)
    jobs = [only(spans, name=f"job {number}") for number in range(3)]
    fetches = [only(spans, kind="client", path=f"/fetch/{number}") for number in range(3)]
    parent = request.span_id if is_owned else None
    assert [job.parent_id for job in jobs] == [parent] * 3
    assert [fetch.parent_id for fetch in fetches] == [parent] * 3
    traces = {span.trace_id for span in (*jobs, *fetches)}
    assert (traces == {request.trace_id}) if is_owned else (request.trace_id not in traces and len(traces) == 6)
    for fetch in fetches:
        assert only(children(spans, fetch)).name == "Behind"
    # What it did later is not part of how long the request took.
    assert request.finish_time <= min(job.start_time for job in jobs)


async def test_requests_that_use_what_another_request_started_have_their_own_parents(
    each_recorder: Recorder, servers: Servers
) -> None:
    """A worker that the first request started, under ``no_parent_scope``, gives each job's spans the parent that the
    job brings with it."""
    tracer = each_recorder.tracer
    jobs: asyncio.Queue[tuple[Any, asyncio.Future[None]]] = asyncio.Queue()
    tasks: list[asyncio.Task[None]] = []

    async def worker() -> None:
        while True:
            parent, done = await jobs.get()
            with tracer.start_active_span("job", child_of=parent), tracer.start_active_span("part"):
                await asyncio.sleep(0)
            done.set_result(None)

    class Asks(RequestHandler):
        async def get(self) -> None:
            if not tasks:
                with no_parent_scope():
                    tasks.append(asyncio.create_task(worker()))
            done = asyncio.get_running_loop().create_future()
            jobs.put_nowait((tracer.active_span, done))
            await done

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Asks)]))) as opened:
        for _ in range(3):
            await opened.get()
    tasks[0].cancel()
    spans = await settled(each_recorder, 9)
    requests = [span for span in spans if span.name == "Asks"]
    assert len(requests) == 3
    for request in requests:
        job = only(children(spans, request))
        assert (job.name, only(children(spans, job)).name) == ("job", "part")


async def test_a_background_coroutine_can_follow_from_its_request(each_recorder: Recorder, servers: Servers) -> None:
    """The recipe: cut the parent, and refer to the request's span instead."""
    tracer = each_recorder.tracer
    tasks: list[asyncio.Task[None]] = []
    release = asyncio.Event()

    async def work(origin: Any) -> None:
        await release.wait()
        references = [opentracing.follows_from(origin)]
        with tracer.start_active_span("work", references=references), tracer.start_active_span("part"):
            await asyncio.sleep(0)
        with tracer.start_active_span("unrelated"):
            pass

    class Starts(RequestHandler):
        def get(self) -> None:
            span = TornadoTracing.get_span(self)
            assert span is not None
            with no_parent_scope():
                tasks.append(asyncio.create_task(work(span.context)))

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Starts)]))) as opened:
        await opened.get()
    (request,) = await settled(each_recorder)
    release.set()
    await tasks[0]
    spans = await settled(each_recorder, 4)
    work_span = only(spans, name="work")
    assert (work_span.trace_id, work_span.parent_id) == (request.trace_id, request.span_id)
    assert only(children(spans, work_span)).name == "part"
    unrelated = only(spans, name="unrelated")
    assert (unrelated.parent_id, unrelated.trace_id == request.trace_id) == (None, False)


async def test_a_background_coroutine_can_start_traces_of_its_own(each_recorder: Recorder, servers: Servers) -> None:
    """The recipe for each run of a worker that was not started under ``no_parent_scope``: ``ignore_active_span``, or
    where a tracer's ``start_active_span`` does not heed that (OpenTelemetry's shim), the cut inside."""
    tracer = each_recorder.tracer
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        for name in ("first", "second"):
            with no_parent_scope(), tracer.start_active_span(name), tracer.start_active_span(f"part of {name}"):
                await asyncio.sleep(0)
            span = tracer.start_span(f"span {name}", ignore_active_span=True)
            span.finish()

    class Starts(RequestHandler):
        def get(self) -> None:
            tasks.append(asyncio.create_task(work()))

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Starts)]))) as opened:
        await opened.get()
    await tasks[0]
    spans = await settled(each_recorder, 7)
    roots = [only(spans, name=name) for name in ("Starts", "first", "second", "span first", "span second")]
    assert {root.parent_id for root in roots} == {None}
    assert len({root.trace_id for root in roots}) == 5
    for name in ("first", "second"):
        assert only(children(spans, only(spans, name=name))).name == f"part of {name}"


async def test_what_is_active_stays_so_after_no_parent_scope(each_recorder: Recorder, servers: Servers) -> None:
    tracer = each_recorder.tracer
    seen: list[int | None] = []

    class Cuts(RequestHandler):
        async def get(self) -> None:
            seen.append(active_id(tracer))
            with no_parent_scope():
                seen.append(active_id(tracer))
                await asyncio.sleep(0)
                seen.append(active_id(tracer))
            seen.append(active_id(tracer))

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Cuts)]))) as opened:
        await opened.get()
    (request,) = await settled(each_recorder)
    assert seen == [request.span_id, None, None, request.span_id]


async def test_a_request_that_is_finished_under_no_parent_scope_is_active_where_it_ends(
    each_recorder: Recorder, servers: Servers
) -> None:
    """By a worker that does not belong to it, say."""
    tracer = each_recorder.tracer
    seen: list[int | None] = []
    tasks: list[asyncio.Task[None]] = []

    class AnsweredByWorker(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            with no_parent_scope():
                tasks.append(asyncio.create_task(self.work()))

        async def work(self) -> None:
            await asyncio.sleep(0)
            self.finish("done")
            seen.append(active_id(tracer))

        def on_finish(self) -> None:
            seen.append(active_id(tracer))

    def log_function(handler: RequestHandler) -> None:
        seen.append(active_id(tracer))

    init_tracing(tracer)
    application = Application([("/", AnsweredByWorker)], log_function=log_function)
    async with connection(servers.start(application)) as opened:
        assert await opened.get() == (200, "done")
    (request,) = await settled(each_recorder)
    assert seen == [request.span_id, request.span_id, None]


@pytest.mark.parametrize("is_left_within", [False, True])
async def test_a_request_is_active_where_it_ends_though_a_no_parent_scope_was_left_late(
    is_left_within: bool, each_recorder: Recorder, servers: Servers
) -> None:
    """It is entered in a method with ``@trace`` and left outside, or the other way round."""
    tracer = each_recorder.tracer
    tracing = TornadoTracing(tracer)
    seen: list[int | None] = []

    class Overlaps(RequestHandler):
        def get(self) -> None:
            self.late = contextlib.ExitStack()
            with no_parent_scope():
                if is_left_within:
                    self.late.enter_context(no_parent_scope())
                    self.leave()
                else:
                    self.enter()
                    self.late.close()
                    self.finish()

        @tracing.trace
        def enter(self) -> None:
            self.late.enter_context(no_parent_scope())

        @tracing.trace
        def leave(self) -> None:
            self.late.close()
            self.finish()

        def on_finish(self) -> None:
            seen.append(active_id(tracer))

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Overlaps)]))) as opened:
        await opened.get()
    (request,) = await settled(each_recorder)
    assert seen == [request.span_id]


async def test_fetches_under_no_parent_scope_are_still_traced_by_the_own_application(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    mine, theirs = MockRecorder(), MockRecorder()
    behind = servers.start(Application([("/", Behind)], opentracing_trace_all=False))

    class Fetches(RequestHandler):
        async def get(self) -> None:
            with no_parent_scope():
                await client.fetch(behind)

    settings: Any = {"opentracing_tracing": TornadoTracing(mine.tracer)}
    init_tracing(theirs.tracer)
    async with connection(servers.start(Application([("/", Fetches)], **settings))) as opened:
        await opened.get()
    fetch, request = await settled(mine, 2)
    assert (fetch.kind, fetch.parent_id, request.name) == ("client", None, "Fetches")
    assert fetch.trace_id != request.trace_id
    assert theirs.finished == []


# Garbage.


class Spawns(RequestHandler):
    """Starts a task that lives on; the task refers to neither the handler nor the request."""

    release: asyncio.Event
    tasks: list[Any]
    alive: list[weakref.ref[Any]]

    def spawn(self) -> None:
        self.alive += [weakref.ref(self), weakref.ref(self.request)]
        self.tasks.append(asyncio.ensure_future(self.release.wait()))

    def get(self) -> Awaitable[None] | None:
        self.spawn()
        return None


class AsyncSpawns(Spawns):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.spawn()


class SpawnsTimer(Spawns):
    def get(self) -> None:
        self.alive += [weakref.ref(self), weakref.ref(self.request)]
        self.tasks.append(asyncio.get_running_loop().call_later(3600, print))


class FinishedByTask(Spawns):
    """The task that finishes the request spawns the one that lives on."""

    def get(self) -> None:
        self._auto_finish = False
        self.done = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await asyncio.sleep(0)
        self.spawn()
        self.finish()


class SpawnsInOnFinish(Spawns):
    def get(self) -> None:
        pass

    def on_finish(self) -> None:
        self.spawn()


class SpawnsInInnerSpan(Spawns):
    """The task inherits a scope of the application's, and with it all that lies below."""

    tracer: Any

    def get(self) -> None:
        with self.tracer.start_active_span("inner"):
            self.spawn()


SPAWNS: list[type[Spawns]] = [Spawns, AsyncSpawns, SpawnsTimer, FinishedByTask, SpawnsInOnFinish, SpawnsInInnerSpan]


@pytest.mark.parametrize("is_decorated", [False, True])
@pytest.mark.parametrize("handler", SPAWNS)
async def test_handler_and_request_can_be_collected_while_a_task_that_they_spawned_lives_on(
    each_recorder: Recorder, servers: Servers, handler: type[Spawns], is_decorated: bool
) -> None:
    release = asyncio.Event()
    tasks: list[Any] = []
    alive: list[weakref.ref[Any]] = []
    members: dict[str, Any] = {"release": release, "tasks": tasks, "alive": alive, "tracer": each_recorder.tracer}
    if is_decorated:
        get: Any = handler.get
        members["get"] = TornadoTracing(each_recorder.tracer).trace(get)
    else:
        init_tracing(each_recorder.tracer, inject_response_headers=True)
    url = servers.start(Application([("/", type("Spawning", (handler,), members))]))
    async with connection(url) as opened:
        for _ in range(3):
            assert (await opened.get())[0] == 200
    await settled(each_recorder, 3)
    assert len(alive) == 6

    def all_collected() -> bool:
        gc.collect()
        return not any(each() for each in alive)

    await until(all_collected)
    for task in tasks:
        assert isinstance(task, asyncio.TimerHandle) or not task.done()
        task.cancel()
    release.set()


async def test_a_task_that_lives_on_keeps_its_requests_span_as_its_parent(
    each_recorder: Recorder, servers: Servers
) -> None:
    """Though the handler and the request are gone."""
    tracer = each_recorder.tracer
    release = asyncio.Event()
    tasks: list[Any] = []
    alive: list[weakref.ref[Any]] = []

    async def work() -> None:
        await release.wait()
        with tracer.start_active_span("late"):
            pass

    class Starts(RequestHandler):
        def get(self) -> None:
            alive.append(weakref.ref(self))
            tasks.append(asyncio.ensure_future(work()))

    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Starts)]))) as opened:
        await opened.get()
    (request,) = await settled(each_recorder)

    def collected() -> bool:
        gc.collect()
        return alive[0]() is None

    await until(collected)
    release.set()
    await tasks[0]
    assert only(children(await settled(each_recorder, 2), request)).name == "late"


async def test_a_span_that_a_later_finish_ended_is_not_finished_again_by_remove_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    kept: list[HTTPServerRequest] = []

    class Later(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            kept.append(self.request)
            IOLoop.current().add_callback(self.finish, "done")

    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Later)])))
    await settled(recorder)
    remove_tracing()
    assert len(recorder.finished) == 1
