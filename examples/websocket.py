# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""WebSockets: a span for the handshake on both ends, and one for each message.

Run ``python examples/websocket.py``. It connects to an echo server, sends two messages, and prints every span. The
spans of the messages follow from the handshake; what a message does itself is beneath its span.
"""

import asyncio

from opentracing.mocktracer import MockTracer
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import ContextVarsScopeManager, init_tracing

tracer = MockTracer(scope_manager=ContextVarsScopeManager())


class Echo(WebSocketHandler):
    closed: asyncio.Event

    async def on_message(self, message: str | bytes) -> None:
        with tracer.start_active_span("think"):
            await asyncio.sleep(0.01)
        await self.write_message(message)

    def on_close(self) -> None:
        self.closed.set()


async def main() -> None:
    init_tracing(tracer, trace_websocket_messages=True)
    Echo.closed = asyncio.Event()
    [socket] = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/", Echo)]))
    server.add_socket(socket)

    connection = await websocket_connect(f"ws://127.0.0.1:{socket.getsockname()[1]}/")
    for message in ("hello", b"world"):
        await connection.write_message(message, binary=isinstance(message, bytes))
        print(f"The server says {await connection.read_message()!r}")
    connection.close()
    await Echo.closed.wait()
    server.stop()

    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of the trace"
        print(f"span {span.context.span_id}, {origin}: {span.operation_name}")
        if "websocket.message.type" in span.tags:
            print(f"    {span.tags['websocket.message.type']}, {span.tags['websocket.message.size']} bytes")


if __name__ == "__main__":
    asyncio.run(main())
