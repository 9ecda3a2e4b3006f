# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An upload that is answered before all of it has come: Tornado closes the connection, and says so to the handler."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Servers, only
from support.serving import connection, settled
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

from tornado_opentracing import init_tracing


@stream_request_body
class Refusing(RequestHandler):
    def initialize(self, tracer: Any, closed: list[bool]) -> None:
        self.tracer, self.closed = tracer, closed

    def prepare(self) -> None:
        raise HTTPError(403)

    def data_received(self, chunk: bytes) -> None:
        raise AssertionError("it is refused")

    def on_connection_close(self) -> None:
        self.closed.append(True)
        with self.tracer.start_active_span("clean up"):
            pass


@stream_request_body
class Failing(Refusing):
    def on_connection_close(self) -> None:
        super().on_connection_close()
        raise OSError("too late for the span, and in Tornado's log")


@pytest.mark.parametrize("handler", [Refusing, Failing])
async def test_on_connection_close_belongs_to_the_request_after_its_response_too(
    each_recorder: Recorder, servers: Servers, handler: type[RequestHandler]
) -> None:
    init_tracing(each_recorder.tracer)
    closed: list[bool] = []
    arguments = {"tracer": each_recorder.tracer, "closed": closed}
    async with connection(servers.start(Application([("/", handler, arguments)]))) as opened:
        opened.send("POST / HTTP/1.1\nHost: localhost\nContent-Length: 100\n\n")
        assert (await opened.answer())[0] == 403
        spans = await settled(each_recorder, 2)
    server = only(spans, kind="server")
    assert (server.status, server.is_error, closed) == (403, False, [True])
    assert only(spans, name="clean up").parent_id == server.span_id
