# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Several processes behind one socket: each traces the requests that it serves."""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.serving import ask, connection

SCRIPT = """
import asyncio, json, os, pathlib, signal, sys, time

from opentracing.mocktracer import MockTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.process import fork_processes
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_tracing


def tell(**what):
    os.write(1, (json.dumps({"process": os.getpid(), **what}) + "\\n").encode())


class Tracer(MockTracer):
    def _append_finished_span(self, span):
        tags, context = span.tags, span.context
        tell(span=span.operation_name, status=tags["http.status_code"], id=context.span_id, parent=span.parent_id)


class Front(RequestHandler):
    async def get(self):
        await asyncio.gather(*(AsyncHTTPClient().fetch(f"http://127.0.0.1:{own_port}/behind") for _ in range(2)))
        self.write(str(os.getpid()))


class Behind(RequestHandler):
    def get(self):
        pass


class Blocks(RequestHandler):
    def get(self):
        # The whole process, so that the other one has to take the next connection.
        tell(blocks=True)
        while not pathlib.Path(sys.argv[1]).exists():
            time.sleep(0.001)
        self.write(str(os.getpid()))


init_tracing(Tracer(ContextVarsScopeManager()))
application = Application([("/", Front), ("/blocks", Blocks), ("/behind", Behind)])
sockets = bind_sockets(0, "127.0.0.1")
tell(port=sockets[0].getsockname()[1])
signal.alarm(60)
fork_processes(2, max_restarts=0)
signal.alarm(60)


async def main():
    global own_port
    own_sockets = bind_sockets(0, "127.0.0.1")
    own_port = own_sockets[0].getsockname()[1]
    server = HTTPServer(application)
    server.add_sockets([*sockets, *own_sockets])
    tell(serves=True)
    await asyncio.Event().wait()


asyncio.run(main())
"""


class Processes:
    """The running script, and what its processes tell."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._lines = process.stdout

    async def told(self, what: str) -> dict[str, Any]:
        """The next thing of that kind that is told; what is told before it is forgotten."""
        while True:
            line = await asyncio.wait_for(self._lines.readline(), 30)
            assert line, f"the processes ended without telling {what}"
            told: dict[str, Any] = json.loads(line)
            if what in told:
                return told


@pytest.fixture
async def processes(tmp_path: pathlib.Path) -> AsyncIterator[Processes]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tmp_path / "flag"), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield Processes(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
async def test_each_of_several_processes_traces_the_requests_that_it_serves(
    processes: Processes, tmp_path: pathlib.Path
) -> None:
    """``init_tracing`` came before ``fork_processes``."""
    url = f"http://127.0.0.1:{(await processes.told('port'))['port']}"
    both = {(await processes.told("serves"))["process"] for _ in range(2)}
    async with connection(url) as blocked:
        blocked.send("GET /blocks HTTP/1.1\nHost: localhost\n\n")
        first = (await processes.told("blocks"))["process"]
        (second,) = both - {first}
        assert await ask(url, "/") == (200, str(second))
        spans = [await processes.told("span") for _ in range(5)]
        (tmp_path / "flag").touch()
        assert await blocked.answer() == (200, str(first))
        spans.append(await processes.told("span"))

    def found(name: str) -> list[dict[str, Any]]:
        return [span for span in spans if span["span"] == name]

    assert {span["status"] for span in spans} == {200}
    (front,) = found("Front")
    (blocks,) = found("Blocks")
    assert (front["process"], front["parent"]) == (second, None)
    assert (blocks["process"], blocks["parent"]) == (first, None)
    assert [fetch["parent"] for fetch in found("GET")] == [front["id"]] * 2
    assert {request["parent"] for request in found("Behind")} == {fetch["id"] for fetch in found("GET")}
    assert {span["process"] for span in spans if span is not blocks} == {second}
