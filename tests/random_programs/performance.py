# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The interpreter of the random programs, which notes what it begins and what it finds active.

It uses nothing of the package but its public names.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

import tornado
from random_programs.programs import (
    CancelItself,
    Fetch,
    Finish,
    Pause,
    Raise,
    Run,
    Step,
    Work,
    children,
    expected,
    is_calm,
    own_span,
    span_name,
)
from support import Recorded, active_id
from tornado import gen
from tornado.httpclient import HTTPClientError
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError

from tornado_opentracing import no_parent_scope

if TYPE_CHECKING:
    from random_programs.stage import Served, Stage

#: Longer than anything here takes that is not broken.
PATIENCE = 10

#: What asyncio says of work that nobody waits for and that failed. Before 6.6 it is Tornado's own callback that raises
#: what a handler that is cancelled raised; since Python 3.14 a shielded future has a message of its own.
KNOWN_MESSAGES = ("never retrieved", "HandlerDelegate.execute", "exception in shielded future")


class Oops(Exception):  # noqa: N818
    """What programs raise."""


EXPECTED_ERRORS = (
    Oops,
    HTTPClientError,
    StreamClosedError,
    ConnectionError,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
)


class Performance:
    """One run of one program."""

    def __init__(self, tracer: Any, stage: Stage) -> None:
        self.tracer = tracer
        self.stage = stage
        self.begun: Counter[str] = Counter()
        self.at_work: set[object] = set()
        self.detached: list[asyncio.Task[None]] = []
        self.fetches: dict[str, Job] = {}
        #: Where it was looked, which spans may be active there, and the one that was.
        self.seen: list[tuple[str, tuple[str | None, ...], int | None]] = []
        self.statuses: dict[str, int] = {}
        self.surprises: list[object] = []

    def see(self, *spans: str | None) -> None:
        """One of the spans must be active here."""
        self.seen.append((sys._getframe(1).f_code.co_name, spans, active_id(self.tracer)))

    def detach(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something that nobody waits for."""
        self.detached.append(asyncio.create_task(coroutine))

    def on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody waits for may fail, in the ways that programs do."""
        error, message = context.get("exception"), context["message"]
        is_known = any(words in message for words in KNOWN_MESSAGES)
        if not (is_known and is_expected(error)):
            self.surprises.append(context)

    def check(self, program: Work, finished: list[Recorded]) -> None:
        """Compare what was recorded with the program."""
        assert not self.surprises, self.surprises
        parents = dict(expected(program))
        assert set(self.begun) <= set(parents)
        if is_calm(program):
            assert set(self.begun) == set(parents)
        assert Counter(map(span_name, finished)) == self.begun
        assert set(self.begun.values()) <= {1}
        spans = {span_name(span): span for span in finished}
        assert len({span.span_id for span in finished}) == len(finished)
        for name, span in spans.items():
            above = parents[name]
            wanted = None if above is None else (spans[above].trace_id, spans[above].span_id)
            found = None if span.parent_id is None else (span.trace_id, span.parent_id)
            assert found == wanted, f"{name} must be a child of {above}"
        roots = [span.trace_id for span in finished if span.parent_id is None]
        assert len(set(roots)) == len(roots)
        found_by_id: dict[int | None, str | None] = {None: None, **{span.span_id: name for name, span in spans.items()}}
        for where, names, active in self.seen:
            found_name = found_by_id[active]
            assert found_name in names, f"{names} must be active in {where}, not {found_name}"
        for name, status in self.statuses.items():
            assert spans[f"{name} client"].status == status
            assert status == 599 or spans[f"{name} server"].status == status


def is_expected(error: object) -> bool:
    """Whether programs raise this; ``ExceptionGroup`` came with Python 3.11."""
    errors = getattr(error, "exceptions", ())
    return all(map(is_expected, errors)) if errors else isinstance(error, EXPECTED_ERRORS)


@dataclasses.dataclass(eq=False)
class Job:
    """A work that is to be done, or is being done."""

    performance: Performance
    work: Work
    name: str
    #: The span that is active where the job is started.
    above: str | None
    #: The request that it is part of.
    handler: Served | None

    async def __call__(self) -> None:
        with self.working():
            if isinstance(self.work, Fetch):
                await self.fetch(self.work)
            else:
                with self.span():
                    await self.steps()

    def in_thread(self) -> None:
        """The same in a thread: the span is opened there, the event loop does the steps."""
        with self.working():
            if isinstance(self.work, Fetch):
                self.on_loop(self.fetch(self.work))
            else:
                with self.span():
                    self.on_loop(self.steps())

    def on_loop(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self.performance.stage.loop).result(PATIENCE)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        performance = self.performance
        token = object()
        performance.at_work.add(token)
        performance.see(self.above)
        try:
            yield
        except BaseException as error:
            if not is_expected(error):
                performance.surprises.append(error)
            raise
        finally:
            performance.see(self.above)
            performance.at_work.discard(token)

    @contextlib.contextmanager
    def span(self) -> Iterator[None]:
        self.performance.begun[self.name] += 1
        with self.performance.tracer.start_active_span(self.name):
            yield

    async def fetch(self, work: Fetch) -> None:
        performance, name = self.performance, self.name
        performance.fetches[name] = self
        performance.begun[f"{name} client"] += 1
        fetched = performance.stage.client(work).fetch(
            performance.stage.url(work, name), request_timeout=0.004 if work.conduct == "impatient" else PATIENCE
        )
        try:
            performance.statuses[name] = (await fetched).code
        except HTTPClientError as error:
            performance.statuses[name] = error.code
            raise

    async def serve(self, handler: Served) -> None:
        """Do the steps of a fetch, in the handler."""
        serving = dataclasses.replace(self, handler=handler, above=own_span(self.work, self.name))
        with serving.working():
            await serving.steps()

    async def steps(self) -> None:
        span = own_span(self.work, self.name)
        jobs: list[list[Job]] = [[] for _ in self.work.steps]
        for position, child, name, above in children(self.work, self.name):
            jobs[position].append(Job(self.performance, child, name, above, self.handler))
        try:
            for step, jobs_of_step in zip(self.work.steps, jobs, strict=True):
                self.performance.see(span)
                await self.take(step, jobs_of_step, span)
        finally:
            self.performance.see(span)

    async def take(self, step: Step, jobs: list[Job], span: str) -> None:
        match step:
            case Pause(turns):
                for _ in range(turns):
                    await asyncio.sleep(0)
            case Raise():
                raise Oops
            case CancelItself():
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            case Finish():
                if self.handler is not None and not self.handler._finished:
                    self.handler.finished_under = span
                    self.handler.finish()
            case Run(way, _, cancelled_after, catches):
                running = WAYS[way](jobs)
                try:
                    await (running if cancelled_after is None else cancelled(running, cancelled_after))
                except (Exception, asyncio.CancelledError):
                    if not catches:
                        raise


async def cancelled(running: Coroutine[Any, Any, None], after: int) -> None:
    task = asyncio.ensure_future(running)
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


# The ways to run works.

Jobs = list[Job]


async def by_await(jobs: Jobs) -> None:
    for job in jobs:
        await job()


async def by_gather(jobs: Jobs) -> None:
    await asyncio.gather(*(job() for job in jobs))


async def by_create_task(jobs: Jobs) -> None:
    for task in [asyncio.create_task(job()) for job in jobs]:
        await task


async def by_detached_tasks(jobs: Jobs) -> None:
    """Nobody waits for them, and they outlive the span above them."""
    for job in jobs:
        job.performance.detach(job())


async def by_task_group(jobs: Jobs) -> None:
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job())


async def by_eager_tasks(jobs: Jobs) -> None:
    if sys.version_info >= (3, 12):
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(asyncio.eager_task_factory(loop, job()) for job in jobs))


async def by_wait_for(jobs: Jobs) -> None:
    async def wait(job: Job) -> None:
        await asyncio.wait_for(job(), PATIENCE)

    await asyncio.gather(*map(wait, jobs))


async def by_shield(jobs: Jobs) -> None:
    await asyncio.gather(*(asyncio.shield(job()) for job in jobs))


async def for_gen(job: Job) -> None:
    """A job that ``tornado.gen`` can wait for: until 6.6 a cancellation leaves it waiting for ever."""
    try:
        await job()
    except asyncio.CancelledError:
        if tornado.version_info >= (6, 6):
            raise
        raise Oops from None


async def by_gen_coroutine(jobs: Jobs) -> None:
    @gen.coroutine
    def coroutine(job: Job) -> Any:
        yield gen.moment
        yield for_gen(job)

    await asyncio.gather(*map(coroutine, jobs))


async def by_gen_multi(jobs: Jobs) -> None:
    await gen.multi([for_gen(job) for job in jobs], quiet_exceptions=Exception)


async def by_no_parent_scope(jobs: Jobs) -> None:
    with no_parent_scope():
        tasks = [asyncio.create_task(job()) for job in jobs]
        await asyncio.gather(*tasks)


def by_callback(schedule: Callable[[Callable[[], None]], object]) -> Callable[[Jobs], Coroutine[Any, Any, None]]:
    """A callback starts the job."""

    async def run(job: Job) -> None:
        started: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()

        def start() -> None:
            job.performance.see(job.above)
            task = asyncio.ensure_future(job())
            if not started.done():
                started.set_result(task)

        schedule(start)
        await (await started)

    async def by_callbacks(jobs: Jobs) -> None:
        await asyncio.gather(*map(run, jobs))

    return by_callbacks


def by_thread(
    call: Callable[[Stage, Callable[[], None]], Awaitable[None]],
) -> Callable[[Jobs], Coroutine[Any, Any, None]]:
    async def by_threads(jobs: Jobs) -> None:
        await asyncio.gather(*(call(job.performance.stage, job.in_thread) for job in jobs))

    return by_threads


WAYS: dict[str, Callable[[Jobs], Coroutine[Any, Any, None]]] = {
    "await": by_await,
    "gather": by_gather,
    "create_task": by_create_task,
    "detached tasks": by_detached_tasks,
    "wait_for": by_wait_for,
    "shield": by_shield,
    "gen.multi": by_gen_multi,
    "no_parent_scope": by_no_parent_scope,
    "call_soon": by_callback(lambda callback: asyncio.get_running_loop().call_soon(callback)),
    "call_later": by_callback(lambda callback: asyncio.get_running_loop().call_later(0, callback)),
    "IOLoop.call_later": by_callback(lambda callback: IOLoop.current().call_later(0, callback)),
    "IOLoop.add_callback": by_callback(lambda callback: IOLoop.current().add_callback(callback)),
    "IOLoop.spawn_callback": by_callback(lambda callback: IOLoop.current().spawn_callback(callback)),
    "to_thread": by_thread(lambda stage, function: asyncio.to_thread(function)),
    "ContextThreadPoolExecutor": by_thread(
        lambda stage, function: stage.loop.run_in_executor(stage.context_pool, function)
    ),
    "ContextThreadPoolExecutor.submit": by_thread(
        lambda stage, function: asyncio.wrap_future(stage.context_pool.submit(function))
    ),
    "IOLoop.run_in_executor": by_thread(
        lambda stage, function: IOLoop.current().run_in_executor(stage.plain_pool, function)
    ),
    "IOLoop.run_in_executor, default": by_thread(
        lambda stage, function: IOLoop.current().run_in_executor(None, function)
    ),
    "IOLoop.run_in_executor, ContextThreadPoolExecutor": by_thread(
        lambda stage, function: IOLoop.current().run_in_executor(stage.context_pool, function)
    ),
}
if tornado.version_info >= (6, 1):  # in 6.0 it loses context variables
    WAYS["gen.coroutine"] = by_gen_coroutine
if sys.version_info >= (3, 11):
    WAYS["TaskGroup"] = by_task_group
if sys.version_info >= (3, 12):
    WAYS["eager tasks"] = by_eager_tasks
