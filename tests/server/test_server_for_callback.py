"""README's recipe for a server without an Application."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from support import Recorder, only
from support.serving import connection, settled
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.testing import bind_unused_port

from tornado_opentracing import init_tracing

README = Path(__file__).parents[2] / "README.md"


async def test_requests_to_a_callback_have_a_span_each(each_recorder: Recorder) -> None:
    (recipe,) = re.findall(
        r"```python\n(from tornado.httpserver .*?)```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    namespace: dict[str, Any] = {}
    exec("from tornado.web import Application\n" + recipe, namespace)

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
