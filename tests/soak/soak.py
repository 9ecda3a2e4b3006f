# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Hours of traffic in minutes: ``python tests/soak/soak.py --requests 100000 --connections 200``.

One process serves and is traced (``soak_handlers``); a second one asks, over so many connections at a time
(``soak_driver``). After each tenth of the requests all has to come to rest: no span open, no task, handler or scope
left, no more memory in use than after the first tenth but for noise. Prints its figures; exits with 1 if anything is
wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import gc
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import soak_driver
import tornado
from opentracing.mocktracer.span import MockSpan
from soak_driver import PATIENCE
from soak_handlers import ARRIVED, BACKENDS, HANDLERS, LEDGER, Arrived, Echo, Item
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing
from tornado_opentracing._scopes.scope import ContextVarsScope
from tornado_opentracing._spans.lifecycle import SpanLifecycle

#: How much more memory may be in use at the end than after the first tenth. A leak of 100 bytes for each of
#: 90,000 requests is 8.6 MiB.
MAX_GROWTH_MIB = 8
#: The same in objects that the garbage collector knows.
MAX_NEW_OBJECTS = 2000
#: An event loop keeps up to a hundred timers that were cancelled, each with its context.
MAX_NEW_CONTEXTS = 150

#: What has to be gone when all is at rest.
LEFTOVERS: dict[str, type | tuple[type, ...]] = {
    "tasks": asyncio.Task,
    "contexts": contextvars.Context,
    "handlers": RequestHandler,
    "requests": (HTTPServerRequest, HTTPRequest),
    "lifecycles": SpanLifecycle,
    "scopes": ContextVarsScope,
    "spans": MockSpan,
}


def resident_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Soak:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.servers: list[HTTPServer] = []
        self.logged: list[str] = []

    def serve(self, rules: Any, count: int, **settings: Any) -> list[str]:
        """Serve on a few ports, for the closed connections to one port run out of numbers for a minute."""
        server = HTTPServer(Application(rules, log_function=lambda handler: None, **settings))
        self.servers.append(server)
        urls = []
        for _ in range(count):
            socket, port = bind_unused_port()
            server.add_sockets([socket])
            urls.append(f"http://127.0.0.1:{port}")
        return urls

    def on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), asyncio.CancelledError):
            LEDGER.complain(f"the event loop had to say: {context['message']} {context.get('exception')!r}")

    async def rest(self) -> None:
        """Wait until nothing goes on any more."""
        client: Any = AsyncHTTPClient()
        deadline = time.monotonic() + PATIENCE
        while (
            LEDGER.open
            or client.active
            or client.queue
            or any(server._connections for server in self.servers)
            or asyncio.all_tasks() - self.tasks
        ):
            if time.monotonic() > deadline:
                open_ = Counter(name.split("?")[0].rstrip("0123456789") for name in LEDGER.open.values())
                LEDGER.complain(f"never came to rest: {open_} {list(asyncio.all_tasks() - self.tasks)[:5]}")
                return
            await asyncio.sleep(0.01)
        LEDGER.expect(not ARRIVED, "somebody still waits for an arrival")
        # Fetches that were cancelled before they were sent.
        LEDGER.sent.clear()

    def left_over(self) -> dict[str, int]:
        for _ in range(3):
            gc.collect()
        objects = gc.get_objects()
        return {"objects": len(objects)} | {
            name: sum(isinstance(found, kind) for found in objects) for name, kind in LEFTOVERS.items()
        }

    async def run(self) -> bool:
        requests = self.options.requests
        self.tasks = asyncio.all_tasks()
        asyncio.get_running_loop().set_exception_handler(self.on_exception)
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: LEDGER.complain(handler.format(record))  # type: ignore[method-assign]
        logging.getLogger("tornado_opentracing").addHandler(handler)
        init_tracing(LEDGER, excluded_paths=["/health/.*", "/arrived/.*"])
        BACKENDS.extend(self.serve([("/item", Item), ("/echo", Echo)], 8))
        rules: list[Any] = [(f"/{name}/([0-9]+)", handler) for name, handler in HANDLERS.items()]
        rules.append(("/arrived/([0-9]+)", Arrived))
        urls = self.serve(rules, 4, opentracing_trace_websocket_messages=True)
        AsyncHTTPClient.configure(None, max_clients=200)

        print(f"{requests} requests over {self.options.connections} connections, Tornado {tornado.version}")
        print("requests  per second    spans      MiB  objects", *LEFTOVERS)
        first: dict[str, float] = {}
        figures: dict[str, float] = {}
        done, began = 0, time.monotonic()
        async with self.driver(urls) as drive:
            for tenth in range(10):
                started, count = time.monotonic(), requests * (tenth + 1) // 10 - done
                for what, times in (await drive(done, count)).items():
                    LEDGER.wrong[what] += times
                await self.rest()
                done += count
                rate = count / (time.monotonic() - started)
                figures = {**self.left_over(), "MiB": resident_mib()}
                first = first or figures
                print(
                    f"{done:8} {rate:11.0f} {LEDGER.count.total():8} {figures['MiB']:8.1f} {figures['objects']:8}",
                    *(f"{figures[name]:{len(name)}}" for name in LEFTOVERS),
                    flush=True,
                )
                if LEDGER.wrong:
                    break
        seconds = time.monotonic() - began
        growth, new = figures["MiB"] - first["MiB"], figures["objects"] - first["objects"]
        kinds = ", ".join(f"{count} {kind}" for kind, count in LEDGER.count.most_common())
        parents = sum(times for what, times in LEDGER.wrong.items() if "wrong parent" in what)
        print(f"{done} requests in {seconds:.0f} seconds, {done / seconds:.0f} per second")
        print(f"{LEDGER.count.total()} spans: {kinds}; {len(LEDGER.open)} unfinished, {parents} with a wrong parent")
        print(f"resident: {first['MiB']:.1f} MiB after the first tenth, {figures['MiB']:.1f} at the end, {growth:+.1f}")
        print(f"left: {figures['tasks']} tasks, {figures['contexts']} contexts, {new:+} objects since the first tenth")
        LEDGER.expect(growth <= MAX_GROWTH_MIB, f"{growth:.1f} MiB more")
        LEDGER.expect(new <= MAX_NEW_OBJECTS, f"{new} objects more")
        for name in LEFTOVERS:
            more = MAX_NEW_CONTEXTS if name == "contexts" else 0
            LEDGER.expect(figures[name] <= first[name] + more, f"{name}: {first[name]} left, later {figures[name]}")
        for what, times in LEDGER.wrong.items():
            print(f"WRONG, {times} times: {what}")
        print("FAILED" if LEDGER.wrong else "ok")
        for server in self.servers:
            server.stop()
        return not LEDGER.wrong

    @contextlib.asynccontextmanager
    async def driver(self, urls: list[str]) -> AsyncIterator[Callable[[int, int], Awaitable[dict[str, int]]]]:
        """The process that asks: call it with the first number and how many requests; it says what was wrong."""
        command = [sys.executable, soak_driver.__file__, str(self.options.connections), *urls]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        async def drive(first: int, count: int) -> dict[str, int]:
            stdin.write(f"{first} {count}\n".encode())
            # Each request has its own deadline; this is for a driver that is broken.
            answer = await asyncio.wait_for(stdout.readline(), PATIENCE + count / 10)
            found: dict[str, int] = json.loads(answer)
            return found

        try:
            yield drive
        finally:
            stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=3600, help="give up after so long")
    options = parser.parse_args()
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    return 0 if asyncio.run(asyncio.wait_for(Soak(options).run(), options.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
