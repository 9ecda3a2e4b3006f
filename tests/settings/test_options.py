# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What an operator sets is checked early, and a mistake is named."""

from __future__ import annotations

import dataclasses
import http
import re
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing
from tornado_opentracing._redaction import DEFAULT_QUERY_PARAMS
from tornado_opentracing._settings.options import Options, OptionValues


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


def function(*args: object) -> None:
    pass


@pytest.mark.parametrize("pattern", ["/health(", "*", "a{99999999999999999999}"])
def test_a_wrong_regular_expression_is_named_with_its_option(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^excluded_paths ") as raised:
        TornadoTracing(MockRecorder().tracer, excluded_paths=["/a", pattern])
    assert repr(pattern) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("excluded_paths", re.compile("/health")),
        ("excluded_paths", b"/health"),
        ("excluded_paths", None),
        ("traced_request_headers", None),
        ("redacted_query_params", None),
    ],
)
def test_what_is_no_list_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a list of "):
        TornadoTracing(MockRecorder().tracer, **{name: value})


RIGHT: list[Any] = [
    ("operation_name", "handler", "handler"),
    ("operation_name", "route", "route"),
    ("operation_name", function, function),
    ("excluded_paths", [], ()),
    ("excluded_paths", ["/a"], (re.compile("/a"),)),
    ("excluded_paths", (re.compile("/a", re.IGNORECASE),), (re.compile("/a", re.IGNORECASE),)),
    ("excluded_paths", {"/a": 1}, (re.compile("/a"),)),
    ("request_filter", None, None),
    ("request_filter", function, function),
    ("start_span_cb", None, None),
    ("finish_span_cb", None, None),
    ("finish_span_cb", function, function),
    ("traced_request_headers", ("X-One", "x-two"), ("X-One", "x-two")),
    ("traced_response_headers", [], ()),
    ("unredacted_headers", {"X-One"}, frozenset({"x-one"})),
    ("redacted_query_params", ["Token"], frozenset({"Token"})),
    ("redacted_query_params", [], frozenset()),
    ("inject_response_headers", True, True),
    ("trace_websocket_messages", True, True),
    ("trace_websocket_messages", "both", "both"),
    ("websocket_message_filter", function, function),
    ("trace_websocket_connection", True, True),
    ("trace_templates", True, True),
    ("background", "link", "link"),
    ("accept_parent", False, False),
    ("accept_parent", function, function),
    ("client_filter", function, function),
    ("propagation_filter", None, None),
    ("server_error_statuses", [], frozenset()),
    ("server_error_statuses", range(0), frozenset()),
    ("server_error_statuses", [500, http.HTTPStatus.BAD_GATEWAY], frozenset({500, 502})),
    ("client_error_statuses", range(400, 403), frozenset({400, 401, 402, 599})),
    ("client_error_statuses", {404: "n"}, frozenset({404, 599})),
    ("blocked_after", None, None),
    ("blocked_after", 1, 1.0),
]


@pytest.mark.parametrize(("name", "value", "expected"), RIGHT)
def test_a_right_value_is_taken(name: str, value: Any, expected: Any) -> None:
    assert getattr(TornadoTracing(MockRecorder().tracer, **{name: value}).options, name) == expected
    settings: Any = {f"opentracing_{name}": value}
    init_tracing(MockRecorder().tracer)
    Application([("/", Hello)], **settings)


def test_a_value_is_read_once() -> None:
    """What becomes of a list afterwards does not matter, and a generator will do."""
    names = ["X-One"]
    options: Any = {
        "traced_request_headers": names,
        "traced_response_headers": (name for name in names),
        "excluded_paths": iter(["/a"]),
    }
    tracing = TornadoTracing(MockRecorder().tracer, **options)
    names.append("X-Two")
    assert tracing.options.traced_request_headers == tracing.options.traced_response_headers == ("X-One",)
    assert tracing.options.excluded_paths == (re.compile("/a"),)


def test_options_do_not_change() -> None:
    options: Any = TornadoTracing(MockRecorder().tracer).options
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.inject_response_headers = True


def test_everything_is_off_by_default() -> None:
    assert Options() == TornadoTracing(MockRecorder().tracer).options
    assert dataclasses.asdict(Options()) == {
        "start_span_cb": None,
        "trace_all": True,
        "trace_client": True,
        "traced_attributes": (),
        "operation_name": None,
        "excluded_paths": (),
        "request_filter": None,
        "finish_span_cb": None,
        "traced_request_headers": (),
        "traced_response_headers": (),
        "unredacted_headers": frozenset(),
        "redacted_query_params": DEFAULT_QUERY_PARAMS,
        "inject_response_headers": False,
        "trace_websocket_messages": False,
        "websocket_message_filter": None,
        "trace_websocket_connection": False,
        "trace_templates": False,
        "background": "detached",
        "accept_parent": True,
        "client_filter": None,
        "propagation_filter": None,
        "server_error_statuses": frozenset(range(500, 1000)),
        "client_error_statuses": frozenset(range(500, 1000)),
        "blocked_after": None,
    }


def test_every_option_is_a_keyword_with_a_type() -> None:
    keywords = {*OptionValues.__annotations__, "start_span_cb"}
    assert keywords == {field.name for field in dataclasses.fields(Options)}


async def test_an_applications_settings_win_one_by_one(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """The others stay as ``init_tracing`` or the Application's ``TornadoTracing`` have them."""
    init_tracing(
        MockRecorder().tracer,
        operation_name="route",
        trace_client=False,
        traced_request_headers=["X-One"],
        traced_response_headers=["X-None"],
    )
    tracing = TornadoTracing(recorder.tracer, traced_response_headers=["Content-Type"], operation_name="handler")
    settings: Any = {"opentracing_tracing": tracing, "opentracing_operation_name": lambda _: "own"}
    await client.fetch(servers.start(Application([("/", Hello)], **settings)), headers={"X-One": "1"})
    span = await only_span(recorder)
    assert span.name == "own"
    assert span.tags["http.request.header.x-one"] == "1"
    assert span.tags["http.response.header.content-type"] == "text/html; charset=UTF-8"
