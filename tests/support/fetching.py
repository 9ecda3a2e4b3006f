# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The other end of fetches, clients of special kinds, and the spans of both ends."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from opentracing import Format
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.web import Application, RequestHandler

from support import Recorded, Recorder, only, span_id

Reports = list[logging.LogRecord]
MakeClient = Callable[..., AsyncHTTPClient]


# The other end.


class Echo(RequestHandler):
    """Answers with the headers that it received."""

    def answer(self) -> None:
        self.write(dict(self.request.headers.get_all()))

    get = post = put = delete = patch = head = options = answer


class Lines(RequestHandler):
    """Answers with the values of one header, line by line."""

    def get(self) -> None:
        self.write(json.dumps(self.request.headers.get_list("X-Mine")))


class Status(RequestHandler):
    def get(self, status: str) -> None:
        self.set_status(int(status))
        if status != "304":
            self.write(f"status {status}")


class Redirect(RequestHandler):
    """Redirects as many times as the URL says, then answers with the headers that it received last."""

    def get(self, times: str) -> None:
        if int(times):
            self.redirect(f"/redirect/{int(times) - 1}")
        else:
            self.write(dict(self.request.headers.get_all()))


class RedirectTo(RequestHandler):
    def get(self) -> None:
        self.redirect(self.get_query_argument("url"))


class Wait(RequestHandler):
    """Answers when the test says so."""

    async def get(self) -> None:
        site: Site = self.settings["site"]
        site.waiting += 1
        try:
            await site.release.wait()
            self.write("released")
        finally:
            site.waiting -= 1


class Site:
    """A live server."""

    def __init__(self) -> None:
        self.url = ""
        self.release = asyncio.Event()
        self.waiting = 0

    @property
    def application(self) -> Application:
        routes = [
            (r"/status/(\d+)", Status),
            (r"/redirect/(\d+)", Redirect),
            (r"/redirect-to", RedirectTo),
            (r"/wait", Wait),
            (r"/lines", Lines),
            (r"/.*", Echo),
        ]
        return Application(routes, site=self, log_function=lambda handler: None)


# This end.


def client_class(name: str) -> type[AsyncHTTPClient]:
    if name == "simple":
        return SimpleAsyncHTTPClient
    try:
        from tornado.curl_httpclient import CurlAsyncHTTPClient
    except ImportError as error:
        pytest.skip(f"curl_httpclient cannot be imported: {error}")
    return CurlAsyncHTTPClient


def new_client(implementation: type[AsyncHTTPClient], **kwargs: Any) -> Any:
    untyped: Any = implementation
    return untyped(force_instance=True, **kwargs)


class Held(AsyncHTTPClient):
    """A client whose responses the test gives."""

    def initialize(self, defaults: dict[str, Any] | None = None) -> None:
        super().initialize(defaults)
        self.fetches: list[Callable[[int], None]] = []

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        self.fetches.append(lambda code: callback(HTTPResponse(request, code)))


class Immediate(AsyncHTTPClient):
    """A client that has the response at hand, as a cache has."""

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        callback(HTTPResponse(request, 200))


class Pairs(AsyncHTTPClient):
    """A client whose responses have headers of its own kind."""

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        headers: Any = [("Server", "mine")]
        callback(HTTPResponse(request, 200, headers))


def received_id(recorder: Recorder, headers: Any) -> int:
    """The span id in the headers that a server received."""
    context = recorder.tracer.extract(Format.HTTP_HEADERS, {name.lower(): value for name, value in headers.items()})
    assert context is not None
    return span_id(dataclasses.make_dataclass("Remote", ["context"])(context))


def echoed_id(recorder: Recorder, response: HTTPResponse) -> int:
    return received_id(recorder, json.loads(response.body))


def client_spans(recorder: Recorder) -> list[Recorded]:
    return [span for span in recorder.finished if span.kind == "client"]


def server_spans(recorder: Recorder) -> list[Recorded]:
    return [span for span in recorder.finished if span.kind == "server"]


def the_span(recorder: Recorder) -> Recorded:
    """The only span there is, finished once."""
    assert recorder.unfinished == 0
    return only(recorder.finished)


def values_of(request: HTTPRequest) -> tuple[dict[str, Any], Any]:
    """Every attribute, and what the headers hold."""
    headers: Any = request.headers
    return dict(vars(request)), list(headers.get_all()) if isinstance(headers, HTTPHeaders) else dict(headers)


def assert_untouched(request: HTTPRequest, before: tuple[dict[str, Any], Any]) -> None:
    """But for ``request.headers``, which a fetch replaces, traced or not; what was there before is as it was."""
    attributes = dict(vars(request))
    assert attributes.keys() == before[0].keys()
    for name, value in attributes.items():
        assert name == "_headers" or value is before[0][name], name
    request.headers = before[0]["_headers"]
    assert values_of(request)[1] == before[1]
    vars(request).update(attributes)


def set_header(span: Any, request: Any) -> None:
    request.headers["X-Callback"] = "set"


def some_headers(kind: str) -> Any:
    if kind == "HTTPHeaders":
        headers = HTTPHeaders({"X-Mine": "1"})
        headers.add("X-Mine", "2")
        return headers
    return {"x-mine": "1"} if kind == "dict" else None


def as_seen(value: Any) -> Any:
    """What can be compared of a response or an exception; curl tells how long it took."""
    if isinstance(value, HTTPResponse):
        return value.code, value.reason, value.body, value.effective_url, type(value.request), as_seen(value.error)
    if isinstance(value, BaseException):
        # An error and its response hold each other.
        args = [(arg.code, arg.body) if isinstance(arg, HTTPResponse) else as_seen(arg) for arg in value.args]
        return type(value), args, as_seen(str(value)), getattr(value, "code", None), as_seen(value.__cause__)
    if not isinstance(value, str):
        return value
    # On a busy machine curl may not even have been connected by then.
    value = re.sub(r"\w+ timed out after \d+ (ms|milliseconds).*", "timed out", value)
    return re.sub(r"after \d+ ms", "after some time", value)
