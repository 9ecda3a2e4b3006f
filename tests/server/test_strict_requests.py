# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A class of requests of the application's own, which refuses attributes that it does not know, is served as ever."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import ask, settled
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, RequestStartLine
from tornado.routing import Router
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


class Strict(HTTPServerRequest):
    def __setattr__(self, name: str, value: Any) -> None:
        if "opentracing" in name:
            raise AttributeError(name)
        super().__setattr__(name, value)


class Routing(HTTPMessageDelegate):
    """Tornado's own, with a request of that class."""

    def __init__(self, application: Application, connection: Any) -> None:
        self.application, self.connection = application, connection

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Any:
        assert isinstance(start_line, RequestStartLine)
        request = Strict(connection=self.connection, start_line=start_line, headers=headers)
        self.delegate = self.application.find_handler(request)
        return self.delegate.headers_received(start_line, headers)

    def finish(self) -> None:
        self.delegate.finish()


class Front(Router):
    def __init__(self, application: Application) -> None:
        self.application = application

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        return Routing(self.application, request_conn)


class Working(RequestHandler):
    def get(self, number: str) -> None:
        with self.settings["tracer"].start_active_span("work"):
            self.write(number)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"operation_name": "route"}, {"work", "GET /{0}"}),
        ({"request_filter": lambda _: True}, {"work", "Working"}),
        ({"excluded_paths": ["/7"]}, {"work"}),
    ],
    ids=["traced", "filtered", "excluded"],
)
async def test_a_request_that_refuses_attributes_is_served_and_has_its_span(
    each_recorder: Recorder, servers: Servers, options: dict[str, Any], names: set[str]
) -> None:
    init_tracing(each_recorder.tracer, **options)
    front: Any = Front(Application([(r"/(\d)", Working)], tracer=each_recorder.tracer))
    assert await ask(servers.start(front), "/7") == (200, "7")
    spans = await settled(each_recorder, len(names))
    assert {span.name for span in spans} == names
    assert len({span.trace_id for span in spans}) == 1
