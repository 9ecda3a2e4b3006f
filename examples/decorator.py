# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace single handlers: those under the decorator and no others. Attributes of the request can be named as tags.

Run ``python examples/decorator.py``. It fetches three pages, two of which are traced, and then prints the spans. There
is no ``init_tracing``.
"""

import asyncio

from opentracing.mocktracer import MockTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing

tracer = MockTracer(scope_manager=ContextVarsScopeManager())  # or any other OpenTracing tracer
tracing = TornadoTracing(tracer)


class Plain(RequestHandler):
    @tracing.trace
    def get(self) -> None:
        self.write("traced")


class WithAttributes(RequestHandler):
    @tracing.trace(["uri", "version"])
    async def get(self) -> None:
        with tracer.start_active_span("work"):
            await asyncio.sleep(0.01)
        self.write("traced, with attributes")


class Untraced(RequestHandler):
    def get(self) -> None:
        self.write("not traced")


async def main() -> None:
    [socket] = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/plain", Plain), ("/attributes", WithAttributes), ("/untraced", Untraced)]))
    server.add_socket(socket)
    for path in ["/plain", "/attributes?a=1", "/untraced"]:
        response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{socket.getsockname()[1]}{path}")
        print(f"{path}: {response.body.decode()}")
    server.stop()

    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of a trace"
        print(f"\nspan {span.context.span_id}, {origin}: {span.operation_name}")
        for name, value in span.tags.items():
            print(f"    {name} = {value}")


if __name__ == "__main__":
    asyncio.run(main())
