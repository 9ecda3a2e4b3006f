# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace the HTTP client alone, in a program that has no ``tornado.web`` application.

Run ``python examples/client.py``. Two fetches run at the same time, within a span of the program's own; the server, a
plain callback, answers with the trace headers that it got. A third fetch finds no server any more.
"""

import asyncio
from typing import cast

from opentracing.mocktracer import MockTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

from tornado_opentracing import ContextVarsScopeManager, init_client_tracing


def answer(request: HTTPServerRequest) -> None:
    body = "".join(f"    {name}: {value}\n" for name, value in request.headers.get_all() if name.startswith("Ot-"))
    connection = cast(HTTPConnection, request.connection)
    headers = HTTPHeaders({"Content-Length": str(len(body))})
    connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, body.encode())
    connection.finish()


async def main() -> None:
    tracer = MockTracer(scope_manager=ContextVarsScopeManager())  # or any other OpenTracing tracer
    init_client_tracing(tracer)

    [socket] = bind_sockets(0, "127.0.0.1")
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    server = HTTPServer(answer)
    server.add_socket(socket)
    client = AsyncHTTPClient()
    with tracer.start_active_span("compare"):
        for response in await asyncio.gather(client.fetch(f"{url}/one"), client.fetch(f"{url}/two")):
            print(f"{response.effective_url} received\n{response.body.decode()}")
    server.stop()
    try:
        await client.fetch(f"{url}/three")
    except ConnectionRefusedError as error:
        print(f"{url}/three failed: {error}\n")

    for span in sorted(tracer.finished_spans(), key=lambda span: span.start_time):
        origin = f"child of span {span.parent_id}" if span.parent_id else "root of a trace"
        print(f"span {span.context.span_id}, {origin}: {span.operation_name}")
        for name, value in span.tags.items():
            print(f"    {name} = {value}")


if __name__ == "__main__":
    asyncio.run(main())
