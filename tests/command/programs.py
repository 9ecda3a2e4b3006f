# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Programs as real processes, run by Python itself or by the command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient

import tornado_opentracing

ROOT = Path(tornado_opentracing.__file__).parents[1]
COMMAND = ["-m", "tornado_opentracing", "--port", "0"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

#: Two workers behind one socket, each of which says once that it is there.
FORKS = """
import asyncio, os, sys
from tornado.httpserver import HTTPServer
from tornado.process import fork_processes
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler


class Page(RequestHandler):
    def get(self):
        self.write(str(os.getpid()))
        asyncio.get_event_loop().call_soon(server.stop)  # the next one is for the other worker


socket, port = bind_unused_port()
fork_processes(2, max_restarts=0)


async def main():
    global server
    server = HTTPServer(Application([("/", Page)]))
    server.add_sockets([socket])
    os.write(1, f"{port} {os.getpid()}\\n".encode())
    await asyncio.Event().wait()


asyncio.run(main())
"""

#: Serves on a free port, says which, and ends at SIGTERM as a program without a handler for it does.
SERVER = """
import asyncio, sys, time
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler


class Page(RequestHandler):
    def get(self):
        self.write("a page")


class Blocks(RequestHandler):
    def get(self):
        print("blocked", flush=True)
        sys.stdin.readline()


async def main():
    socket, port = bind_unused_port()
    HTTPServer(Application([("/page", Page), ("/blocks", Blocks), ("/left-out", Page)])).add_sockets([socket])
    print(port, flush=True)
    await asyncio.Event().wait()
"""


def run(folder: Path, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What a program wrote to its outputs, which ended with this status."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, re.sub(r"tornado_opentracing: the traces are at .*\n", "", done.stderr)


class Running:
    """A program that runs, with its viewer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.viewer = ""

    async def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode().strip()

    async def where_the_viewer_is(self) -> None:
        assert self.process.stderr is not None
        found = await asyncio.wait_for(self.process.stderr.readuntil(b"/-/traces\n"), 60)
        self.viewer = found.decode().split()[-1]

    async def operations(self) -> list[str]:
        """What the list of its viewer has, the newest first."""
        return [row["operation"] for row in await self._rows()]

    async def spans(self) -> list[Any]:
        """The spans of all traces in its viewer."""
        found: list[Any] = []
        for row in await self._rows():
            response = await AsyncHTTPClient().fetch(f"{self.viewer}/{row['trace_id']}.json")
            found += json.loads(response.body)["spans"]
        return found

    async def _rows(self) -> list[Any]:
        listed = json.loads((await AsyncHTTPClient().fetch(f"{self.viewer}/list.json")).body)
        return [listed["rows"][trace_id] for trace_id in listed["order"]]

    async def end(self) -> int:
        """Have SIGTERM end it; the status with which it did."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 60)


@contextlib.asynccontextmanager
async def running(folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Running]:
    """Run a program under the command, until the end of the block at most."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *COMMAND, *arguments, cwd=folder, env={**ENVIRONMENT, **variables},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    program = Running(process)
    try:
        await program.where_the_viewer_is()
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def until(there: Callable[[], Awaitable[object]]) -> None:
    async def poll() -> None:
        while not await there():
            await asyncio.sleep(0.05)

    await asyncio.wait_for(poll(), 60)
