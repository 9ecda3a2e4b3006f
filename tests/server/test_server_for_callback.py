# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The recipe for a server without an Application."""

from __future__ import annotations

from typing import Any

from support import Recorder, only
from support.pages import run_page
from support.serving import connection, settled
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.testing import bind_unused_port

from tornado_opentracing import init_tracing


async def test_requests_to_a_callback_have_a_span_each(each_recorder: Recorder) -> None:
    namespace = run_page("spans.md")

    def callback(request: HTTPServerRequest) -> None:
        answering: Any = request.connection
        headers = HTTPHeaders({"Content-Length": "5"})
        answering.write_headers(ResponseStartLine("HTTP/1.1", 203, "Hello"), headers, b"hello")
        answering.finish()

    init_tracing(each_recorder.tracer)
    server = namespace["server_for"](callback)
    socket, port = bind_unused_port()
    server.add_sockets([socket])
    async with connection(f"http://127.0.0.1:{port}") as opened:
        for _ in range(2):
            assert await opened.get("/somewhere") == (203, "hello")
    server.stop()
    spans = await settled(each_recorder, 2)
    assert [(span.path, span.status) for span in spans] == [("/somewhere", 203)] * 2
    assert only(spans[:1]).parent_id is None
