# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What becomes of whole processes: forked by Tornado, or at their end while work is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import MockRecorder, Recorded, Servers
from support.loops import LEAVES, HeldAlone, HeldMessage, HeldUpload, Site, application, check_tree, serving
from support.serving import connection
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.process import fork_processes
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

from tornado_opentracing import init_tracing

PATIENCE = 30


@contextlib.contextmanager
def running(program: Callable[..., None], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A function of this file as a process, which ends here at the latest, with all that it forked."""
    here = pathlib.Path(__file__)
    with subprocess.Popen(
        [sys.executable, "-c", f"import {here.stem}; {here.stem}.{program.__name__}{arguments}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here.parent), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


# Forks.


class Spans(RequestHandler):
    def get(self) -> None:
        self.write(json.dumps([vars(span) for span in self.settings["recorder"].finished], default=str))


class Stop(RequestHandler):
    def get(self) -> None:
        self.settings["stop"].set()


def forks(when: str) -> None:
    """Two processes that serve, and print their URLs."""
    recorder = MockRecorder()

    def make_application() -> Application:
        init_tracing(recorder.tracer, excluded_paths=["/spans", "/stop"])
        made = application(recorder.tracer, recorder=recorder)
        made.add_handlers(".*", [("/spans", Spans), ("/stop", Stop)])
        return made

    async def main(app: Application) -> None:
        app.settings["stop"] = asyncio.Event()
        async with serving(app) as url:
            # One write, for both write to one pipe.
            os.write(sys.stdout.fileno(), f"{url}\n".encode())
            await app.settings["stop"].wait()

    app = make_application() if when == "before" else None
    fork_processes(2, max_restarts=0)
    asyncio.run(main(app or make_application()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_forked_processes_are_traced_each_for_itself(when: str) -> None:
    """Whether tracing was switched on before or after the fork."""
    with running(forks, when) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        urls = [program.stdout.readline().strip() for _ in range(2)]
        for url in urls * 2:
            async with connection(url) as opened:
                assert await opened.get("/tree") == (200, "leaf")
        for url in urls:
            async with connection(url) as opened:
                spans = [Recorded(**span) for span in json.loads((await opened.get("/spans"))[1])]
                assert await opened.get("/stop") == (200, "")
            trees = [span.trace_id for span in spans if span.name == "Tree"]
            assert len(trees) == 2
            assert len(spans) == 2 * (2 + 2 * LEAVES)
            for trace_id in trees:
                trace = [span for span in spans if span.trace_id == trace_id]
                check_tree(trace, trace)
        assert program.wait(PATIENCE) == 0
        assert not re.sub(r".*Starting 2 processes\n|.*exited normally\n", "", program.stderr.read())


# Ends.


class Later(RequestHandler):
    def get(self) -> None:
        self._auto_finish = False
        self.settings["site"].arrived.set()


class Fetching(RequestHandler):
    async def get(self) -> None:
        client: Any = AsyncHTTPClient(force_instance=True)
        await client.fetch(self.settings["url"] + "/heldalone")


async def leave_in_flight(kept: list[object], *, uploads: bool) -> None:
    """Return while a request of each kind, a fetch, an upload and a WebSocket's message are on their way."""
    site = Site()

    async def arrival() -> None:
        await site.arrived.wait()
        site.arrived.clear()

    handlers = [Later, Fetching, HeldAlone, HeldUpload, HeldMessage]
    app = Application([(f"/{handler.__name__.lower()}", handler) for handler in handlers], site=site)
    app.settings["url"] = url = Servers().start(app)
    client: Any = AsyncHTTPClient(force_instance=True)
    kept.append(client)
    for path in ("heldalone", "later", "fetching"):
        kept.append(client.fetch(f"{url}/{path}"))
        await arrival()
    if uploads:
        host, port = url.removeprefix("http://").split(":")
        opened = await asyncio.open_connection(host, port)
        opened[1].write(b"POST /heldupload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhello")
        kept.append(opened)
        await arrival()
    socket = await websocket_connect(url.replace("http", "ws") + "/heldmessage")
    await socket.write_message("hello")
    await arrival()
    kept.append(socket)


def ends(how: str, tracing: str) -> None:
    """An event loop ends, and nobody waits for what is in flight; prints how many spans are finished."""
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
    recorder = MockRecorder()
    if tracing == "traced":
        init_tracing(recorder.tracer, trace_websocket_messages=True)
    kept: list[object] = []
    # What Tornado says of an upload that is collected depends on which of its coroutines happens to be so first.
    leaving = leave_in_flight(kept, uploads=how != "collected")
    if how == "cancelled":
        asyncio.run(leaving)
    else:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leaving)
        if how != "left alone":
            loop.close()
        if how == "collected":
            getattr(IOLoop, "_pending_tasks", set()).clear()  # Tornado keeps them from 6.4 on
            IOLoop._ioloop_for_asyncio.clear()
            del loop
    kept.clear()
    gc.collect()
    ids = [span.span_id for span in recorder.finished]
    sys.stdout.write(f"{len(ids)} {len(set(ids))}")


@pytest.mark.parametrize("how", ["cancelled", "closed", "collected", "left alone"])
def test_a_loop_that_ends_with_work_in_flight_says_what_it_says_without_tracing(how: str) -> None:
    """No exception and no complaint more, and no span is finished twice."""
    with running(ends, how, "untraced") as bare, running(ends, how, "traced") as tracing:
        _, untraced = bare.communicate(timeout=PATIENCE)
        counts, traced = tracing.communicate(timeout=PATIENCE)
    assert [bare.returncode, tracing.returncode] == [0, 0]
    assert complaints(traced) == complaints(untraced)
    finished, distinct = map(int, counts.split())
    assert finished == distinct > 0


def complaints(said: str) -> list[str]:
    """What is logged, and what Python says by itself.

    Without tracebacks and places, which are this package's too, and in no particular order, as tasks are cancelled and
    collected in no particular order.
    """
    lines = [line for line in said.splitlines() if re.match(r"\S+ (WARNING|ERROR|CRITICAL) |Exception ignored", line)]
    return sorted(re.sub(r"[\d.]+ms|0x[0-9a-f]+|\S+\.py:\d+", "", line) for line in lines)
