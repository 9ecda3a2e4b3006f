"""Random programs: a generated tree of concurrent work is run on live servers, and its trace must be that tree.

What is expected follows from the tree alone (``expected``); what was begun is noted by the interpreter itself, which
uses nothing of the package but its public names. ``RANDOM_PROGRAMS`` says how many programs are run; where it is set,
other ones each time.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import tornado
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from serving import connection, until
from support import RECORDERS, Recorded, Recorder, active_id
from tornado import gen
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextThreadPoolExecutor, init_tracing, no_parent_scope, remove_tracing, trace

PROGRAMS = int(os.environ.get("RANDOM_PROGRAMS", "300"))

#: Longer than anything here takes that is not broken.
PATIENCE = 10

# The language of the programs.


@dataclasses.dataclass(frozen=True)
class Work:
    """A span that is active while the steps are done, one after the other."""

    steps: tuple[Step, ...] = ()


@dataclasses.dataclass(frozen=True)
class Fetch(Work):
    """A fetch; the steps are done by the handler at the server, while the request's span is active."""

    handler: str = "Async"
    #: "plain"; "redirected" by another handler; "impatient": the client gives up soon, and its connection is gone.
    conduct: str = "plain"


@dataclasses.dataclass(frozen=True)
class Run:
    """Do works at the same time, where the way to run them allows it."""

    way: str
    works: tuple[Work, ...]
    #: Cancel them after so many turns of the event loop.
    cancelled_after: int | None = None
    #: Whether the exceptions of the works end here.
    catches: bool = True


@dataclasses.dataclass(frozen=True)
class Pause:
    turns: int


@dataclasses.dataclass(frozen=True)
class Raise:
    pass


@dataclasses.dataclass(frozen=True)
class CancelItself:
    """Cancel the task that does this, whichever that is."""


@dataclasses.dataclass(frozen=True)
class Finish:
    """Finish the response of the request that this is part of, from wherever that is."""


Step = Run | Pause | Raise | CancelItself | Finish


def children(work: Work, name: str) -> Iterator[tuple[int, Work, str, str | None]]:
    """The works that a work runs: in which step, the work, its name, and the span that is active where it is run."""
    for position, step in enumerate(work.steps):
        if isinstance(step, Run):
            above = None if step.way == "no_parent_scope" else own_span(work, name)
            for letter, child in zip("abcdefgh", step.works, strict=False):
                yield position, child, f"{name}.{position}{letter}", above


def is_calm(work: Work) -> bool:
    """Whether nothing keeps any part of a program from being run."""
    return not (isinstance(work, Fetch) and work.conduct == "impatient") and all(
        isinstance(step, (Pause, Finish))
        or (isinstance(step, Run) and step.cancelled_after is None and all(map(is_calm, step.works)))
        for step in work.steps
    )


def fetches(work: Work) -> bool:
    """Whether the steps of a work fetch anything."""
    return any(isinstance(child, Fetch) or fetches(child) for _, child, *_ in children(work, ""))


def expected(work: Work, name: str = "0", parent: str | None = None) -> Iterator[tuple[str, str | None]]:
    """All spans of a program, each with its parent."""
    if isinstance(work, Fetch):
        client = f"{name} client"
        yield client, parent
        if work.conduct == "redirected":
            yield f"{name} redirect", client
        parent = client
    yield own_span(work, name), parent
    for _, child, child_name, above in children(work, name):
        yield from expected(child, child_name, above)


def own_span(work: Work, name: str) -> str:
    """The span that is active while the steps of a work are done."""
    return f"{name} server" if isinstance(work, Fetch) else name


def span_name(span: Recorded) -> str:
    """Which span of a program this is."""
    if span.kind is None:
        return span.name
    *directory, name = span.path.split("/")
    return f"{name} {'redirect' if span.kind == 'server' and 'redirect' in directory else span.kind}"


# The interpreter.


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
        # Until 6.6 Tornado's own callback raises what a handler that is cancelled raised.
        is_known = "never retrieved" in message or "HandlerDelegate.execute" in message
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

# The servers.


class Served(RequestHandler):
    """A handler that does the steps of a fetch."""

    #: The span that was active where ``finish()`` was called.
    finished_under: str | None = None

    def arrive(self, name: str) -> Job:
        self.server_span = f"{name} server"
        self.performance.begun[self.server_span] += 1
        return self.performance.fetches[name]

    @property
    def performance(self) -> Performance:
        return cast("Performance", self.application.settings["stage"].performance)

    def prepare(self) -> None:
        self.job = self.arrive(self.path_args[0])

    def on_finish(self) -> None:
        self.performance.see(self.server_span, self.finished_under or self.server_span)

    def log_exception(self, *exc_info: Any) -> None:
        self.performance.see(self.server_span)

    async def serve(self) -> None:
        try:
            await self.job.serve(self)
        except asyncio.CancelledError:
            if tornado.version_info < (6, 6):
                # Tornado answers nothing and leaves the client waiting.
                connection: Any = self.request.connection
                connection.close()
            raise


class Async(Served):
    async def get(self, name: str) -> None:
        await self.serve()


class Plain(Served):
    """Returns at once, and a task finishes the response."""

    def get(self, name: str) -> None:
        self._auto_finish = False
        self.performance.detach(self.later())

    async def later(self) -> None:
        try:
            await self.serve()
        finally:
            if not self._finished:
                self.finish()


class Coroutine_(Served):  # noqa: N801
    @gen.coroutine
    def get(self, name: str) -> Any:
        yield gen.moment
        yield for_gen(cast("Job", self.serve))


class Redirects(RequestHandler):
    def get(self, name: str) -> None:
        performance: Performance = self.application.settings["stage"].performance
        performance.begun[f"{name} redirect"] += 1
        performance.see(f"{name} redirect")
        work = performance.fetches[name].work
        assert isinstance(work, Fetch)
        self.redirect(performance.stage.url(dataclasses.replace(work, conduct="plain"), name))


class Quiet(RequestHandler):
    """Tells what is active where nothing should be."""

    def get(self) -> None:
        self.write(str(active_id(self.application.settings["stage"].performance.tracer)))


class Stage:
    """Live servers, clients and threads, for many performances."""

    performance: Performance

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        # Each thread waits for what it started, so there must be enough of them.
        self.plain_pool: ThreadPoolExecutor = ThreadPoolExecutor(200)
        self.context_pool: ContextThreadPoolExecutor = ContextThreadPoolExecutor(200)
        self.default_pool: ThreadPoolExecutor = ThreadPoolExecutor(200)
        self.loop.set_default_executor(self.default_pool)

        class Decorated(Served):
            """Alone has a span, where not every request has one."""

            def prepare(self) -> None:
                self.performance.see(None)

            @trace
            async def get(self, name: str) -> None:
                self.job = self.arrive(name)
                await self.serve()

        handlers: dict[str, type[Served]] = {"Async": Async, "Plain": Plain, "Coroutine": Coroutine_}
        if tornado.version_info < (6, 1):
            del handlers["Coroutine"]
        rules: list[Any] = [(f"/{name}/(.*)", handler) for name, handler in handlers.items()]
        rules += [("/redirect/(.*)", Redirects), ("/quiet", Quiet)]
        self.servers: list[HTTPServer] = []
        self.addresses = {"Decorated": self._serve([("/Decorated/(.*)", Decorated), ("/quiet", Quiet)], False)}
        self.addresses.update(dict.fromkeys([*handlers, "redirect"], self._serve(rules, True)))
        self.handlers = [*handlers, "Decorated"]
        # Those that wait for nothing but their own requests may have to wait for each other.
        self.clients: list[Any] = [AsyncHTTPClient(force_instance=True, max_clients=count) for count in (1000, 2)]

    def _serve(self, rules: Any, trace_all: bool) -> str:
        application = Application(rules, opentracing_trace_all=trace_all, stage=self, log_function=lambda handler: None)
        socket, port = bind_unused_port()
        server = HTTPServer(application)
        server.add_sockets([socket])
        self.servers.append(server)
        return f"http://127.0.0.1:{port}"

    def url(self, work: Fetch, name: str) -> str:
        where = "redirect" if work.conduct == "redirected" else work.handler
        return f"{self.addresses[where]}/{where}/{name}"

    def client(self, work: Fetch) -> AsyncHTTPClient:
        client: AsyncHTTPClient = self.clients[0 if fetches(work) else 1]
        return client

    async def perform(self, program: Work, recorder: Recorder) -> None:
        """Run a program to the end of all that it started, and check its trace."""
        init_tracing(recorder.tracer, excluded_paths=["/quiet"])
        performance = self.performance = Performance(recorder.tracer, self)
        self.loop.set_exception_handler(performance.on_exception)
        before = asyncio.all_tasks()
        root = asyncio.create_task(Job(performance, program, "0", None, None)())
        await asyncio.wait([root], timeout=PATIENCE)
        assert root.done(), "the program never came to its end"
        performance.see(None)
        await until(lambda: not any(client.active or client.queue for client in self.clients))
        for server in self.servers:
            # Connections are accepted in their order: those of clients that have left were so before this one.
            address = next(iter(server._sockets.values())).getsockname()
            async with connection(f"http://{address[0]}:{address[1]}") as opened:
                assert await opened.get("/quiet") == (200, "None")
        await until(
            lambda: (
                not (
                    performance.at_work
                    or recorder.unfinished
                    or any(server._connections for server in self.servers)
                    or asyncio.all_tasks() - before
                )
            )
        )
        performance.see(None)
        self.see_in_threads(performance)
        performance.check(program, recorder.finished)

    def see_in_threads(self, performance: Performance) -> None:
        """Nothing is active in any of the threads."""
        for pool in (self.plain_pool, self.context_pool, self.default_pool):
            everybody = threading.Barrier(len(pool._threads))

            def look(everybody: threading.Barrier = everybody) -> int | None:
                everybody.wait(PATIENCE)
                return active_id(performance.tracer)

            # Not by way of submit() of ours, which would bring the context of this very place.
            found = [ThreadPoolExecutor.submit(pool, look) for _ in range(everybody.parties)]
            assert [future.result(PATIENCE) for future in found] == [None] * everybody.parties

    async def close(self) -> None:
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.stop()
            await server.close_all_connections()
        for pool in (self.plain_pool, self.context_pool, self.default_pool):
            pool.shutdown()


@pytest.fixture
async def stage(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Stage]:
    # Programs fail all the time, and what is logged is kept.
    caplog.set_level(logging.CRITICAL, "tornado.application")
    caplog.set_level(logging.CRITICAL, "opentelemetry.attributes")
    stage = Stage()
    yield stage
    await stage.close()
    remove_tracing()


# The generator.

HANDLERS = ["Async", "Plain", "Decorated", *(["Coroutine"] if tornado.version_info >= (6, 1) else [])]


@functools.cache
def works(depth: int) -> st.SearchStrategy[Work]:
    steps = st.lists(steps_(depth), max_size=3).map(tuple)
    return st.one_of(
        st.builds(Work, steps),
        st.builds(
            Fetch,
            steps,
            handler=st.sampled_from(HANDLERS),
            # Not both at once: simple_httpclient fails where it gives up while it follows a redirect.
            conduct=st.sampled_from(["plain"] * 8 + ["redirected", "impatient"]),
        ),
    )


@functools.cache
def steps_(depth: int) -> st.SearchStrategy[Step]:
    events: st.SearchStrategy[Step] = st.sampled_from(
        [Pause(1), Pause(1), Pause(3), Pause(20), Finish(), Finish(), Raise(), CancelItself()]
    )
    if depth == 0:
        return events
    runs = st.builds(
        Run,
        st.sampled_from(list(WAYS)),
        st.lists(works(depth - 1), min_size=1, max_size=3).map(tuple),
        cancelled_after=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30)),
        catches=st.sampled_from([True, True, False]),
    )
    return st.one_of(runs, runs, events)


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    # Where the number was left alone, the programs are the same each time: a failure then is somebody's doing.
    derandomize="RANDOM_PROGRAMS" not in os.environ,
    print_blob=True,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=works(4), stack=st.sampled_from(list(RECORDERS)))
async def test_the_trace_of_a_program_is_the_program(stage: Stage, program: Work, stack: str) -> None:
    await stage.perform(program, RECORDERS[stack]())
