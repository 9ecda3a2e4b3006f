# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the random programs are run on: live servers, clients, and threads."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import tornado
from random_programs.performance import PATIENCE, Job, Performance, for_gen
from random_programs.programs import Fetch, Work, fetches
from support import Recorder, active_id
from support.serving import connection, until
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextThreadPoolExecutor, init_tracing, trace


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
            if tornado.version_info < (6, 6) and not self._finished:
                # Tornado answers nothing and leaves the client waiting.
                self.send_error(503)
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

            def log_exception(self, *exc_info: Any) -> None:
                # What is over is not made active again, but where it need not be closed it is so to the task's end.
                self.performance.see(self.server_span, *([] if self.finished_under is None else [None]))

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
            if not pool._threads:
                continue
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
