# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace everything: every request of a Tornado application, and every fetch that it makes.

Run ``python examples/simple.py``. It fetches a page, whose handler fetches two parts at the same time, and then prints
every span with its parent. The handlers contain nothing about tracing.
"""

import asyncio

from opentracing.mocktracer import MockTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_tracing


class Page(RequestHandler):
    async def get(self) -> None:
        client = AsyncHTTPClient()
        url = f"http://{self.request.host}/part"
        head, body = await asyncio.gather(client.fetch(f"{url}/head"), client.fetch(f"{url}/body"))
        self.write(head.body + b" and " + body.body)


class Part(RequestHandler):
    def get(self, name: str) -> None:
        self.write(f"the {name}")


async def main() -> None:
    tracer = MockTracer(scope_manager=ContextVarsScopeManager())  # or any other OpenTracing tracer
    init_tracing(tracer)

    [socket] = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/", Page), ("/part/(.*)", Part)]))
    server.add_socket(socket)
    response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{socket.getsockname()[1]}/")
    server.stop()

    print(f"The page: {response.body.decode()}\n")
    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of the trace"
        print(f"span {span.context.span_id}, {origin}: {span.operation_name}")
        kind, url, status = (span.tags[name] for name in ["span.kind", "http.url", "http.status_code"])
        print(f"    {kind}, {url}, status {status}")


if __name__ == "__main__":
    asyncio.run(main())
