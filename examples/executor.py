# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Threads: the active span follows a call into a thread pool.

Run ``python examples/executor.py``. One handler uses Tornado's ``run_in_executor``, which needs nothing; another uses
asyncio's, and Tornado's ``run_on_executor``, with this package's pool. It prints every span with its parent.
"""

import asyncio
import threading

from opentracing.mocktracer import MockTracer
from tornado.concurrent import run_on_executor
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextThreadPoolExecutor, ContextVarsScopeManager, init_tracing

tracer = MockTracer(scope_manager=ContextVarsScopeManager())


def work(name: str) -> str:
    with tracer.start_active_span(name, tags={"thread": threading.current_thread().name}):
        return name


class ByTornado(RequestHandler):
    async def get(self) -> None:
        self.write(await IOLoop.current().run_in_executor(None, work, "in Tornado's thread"))


class ByAsyncio(RequestHandler):
    executor = ContextThreadPoolExecutor(max_workers=2)

    async def get(self) -> None:
        self.write(await asyncio.get_running_loop().run_in_executor(self.executor, work, "in asyncio's thread"))
        self.write(await self.decorated())

    @run_on_executor
    def decorated(self) -> str:
        return work("in a decorated method")


async def main() -> None:
    init_tracing(tracer, trace_client=False)
    [socket] = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/tornado", ByTornado), ("/asyncio", ByAsyncio)])).add_socket(socket)
    for path in ("tornado", "asyncio"):
        await AsyncHTTPClient().fetch(f"http://127.0.0.1:{socket.getsockname()[1]}/{path}")
    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of the trace"
        print(f"span {span.context.span_id}, {origin}: {span.operation_name} ({span.tags.get('thread', 'event loop')})")


if __name__ == "__main__":
    asyncio.run(main())
