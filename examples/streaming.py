# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Streamed bodies, both ways: an upload that is stored chunk by chunk, and a response read as it arrives.

Run ``python examples/streaming.py``. The request's span is active for every chunk that the server receives, and the
span of the code that called ``fetch`` is active for every chunk that the client sends or receives.
"""

import asyncio
from collections.abc import Awaitable, Callable

from opentracing.mocktracer import MockTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from tornado_opentracing import ContextVarsScopeManager, init_tracing

tracer = MockTracer(scope_manager=ContextVarsScopeManager())


@stream_request_body
class Upload(RequestHandler):
    async def data_received(self, chunk: bytes) -> None:
        with tracer.start_active_span("store chunk", tags={"size": len(chunk)}):
            await asyncio.sleep(0.01)

    async def put(self) -> None:
        for part in ("stored, ", "thank you"):
            self.write(part)
            await self.flush()
            await asyncio.sleep(0.01)


async def body_producer(write: Callable[[bytes], Awaitable[None]]) -> None:
    for chunk in (b"one", b"two", b"three"):
        await write(chunk)
        await asyncio.sleep(0.02)


async def main() -> None:
    init_tracing(tracer)
    [socket] = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/", Upload)])).add_socket(socket)
    url = f"http://127.0.0.1:{socket.getsockname()[1]}/"
    with tracer.start_active_span("upload"):
        await AsyncHTTPClient().fetch(url, method="PUT", body_producer=body_producer, streaming_callback=receive)
    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of the trace"
        print(f"span {span.context.span_id}, {origin}: {span.operation_name}")


def receive(chunk: bytes) -> None:
    print(f"The client received {chunk!r} in {'the' if tracer.active_span else 'no'} span")


if __name__ == "__main__":
    asyncio.run(main())
