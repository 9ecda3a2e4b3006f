# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A plain request pays nothing for features that are off, counted in Python calls of this package."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import opentracing
import pytest
import tornado
from opentracing.mocktracer import MockTracer
from support import Servers
from support.serving import Connection, connection
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

import tornado_opentracing
from tornado_opentracing import ContextVarsScopeManager, init_tracing

PACKAGE = str(pathlib.Path(tornado_opentracing.__file__).parent)

#: How many functions of the package a plain request and a plain fetch call. Whoever makes these numbers grow makes
#: everybody pay: the core alone, without any of the features below, needed 36 and 13.
REQUEST_CALLS = 27
FETCH_CALLS = 16
if tornado.version_info < (6, 2):
    # Names are looked up by way of IOLoop.run_in_executor, which carries the active span.
    FETCH_CALLS += 9


class Hello(RequestHandler):
    def get(self, *args: str) -> None:
        self.write("hello")


async def calls_of(action: Callable[[], Awaitable[object]]) -> Counter[str]:
    """The functions of the package that an action calls, with how often; in its steady state, not the first time."""
    found: Counter[str] = Counter()

    def profile(frame: Any, event: str, arg: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            module = pathlib.Path(code.co_filename).relative_to(PACKAGE).with_suffix("")
            found[f"{'.'.join(module.parts)}.{code.co_name}"] += 1

    before = sys.getprofile()
    for is_counted in (False, False, True):
        if is_counted:
            sys.setprofile(profile)
        try:
            await action()
            # What the server still does when the client has its answer.
            for _ in range(10):
                await asyncio.sleep(0)
        finally:
            sys.setprofile(before)
    return found


async def get(opened: Connection, path: str) -> None:
    assert await opened.get(path) == (200, "hello")


async def calls_of_request(
    servers: Servers, make_tracer: Callable[..., Any] = MockTracer, **options: Any
) -> Counter[str]:
    """Of a plain request, by a client that is no part of it."""
    init_tracing(make_tracer(ContextVarsScopeManager()), **options)
    async with connection(servers.start(Application([(r"/story/(\d+)", Hello)]))) as opened:
        return await calls_of(lambda: get(opened, "/story/1"))


async def calls_of_fetch(
    client: AsyncHTTPClient, make_tracer: Callable[..., Any] = MockTracer, **options: Any
) -> Counter[str]:
    """Of a plain fetch, from a server that is none of Tornado's."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    init_tracing(make_tracer(ContextVarsScopeManager()), **options)
    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        return await calls_of(lambda: client.fetch(url))
    finally:
        server.close()
        await server.wait_closed()


def callback(*args: object) -> None:
    pass


#: By option: a value, and a function of the package that a request calls for its sake.
SERVER_FEATURES: dict[str, tuple[Any, str]] = {
    "traced_attributes": (["method"], "_spans.tags.attribute_tags"),
    "operation_name": ("route", "_spans.routes.operation_by_route"),
    "excluded_paths": (["/health"], "_hooks.exclusion.excludes"),
    "request_filter": (callback, "_hooks.exclusion.excludes"),
    "start_span_cb": (callback, "_guard.call_back"),
    "finish_span_cb": (callback, "_guard.call_back"),
    "traced_request_headers": (["Host"], "_spans.tags.header_tags"),
    "traced_response_headers": (["Server"], "_spans.tags.header_tags"),
    "inject_response_headers": (True, "_hooks.response.watch_headers"),
}
#: The same for a fetch.
CLIENT_FEATURES: dict[str, tuple[Any, str]] = {
    "client_filter": (callback, "_guard.ask"),
    "propagation_filter": (callback, "_guard.ask"),
    "start_span_cb": (callback, "_guard.call_back"),
    "finish_span_cb": (callback, "_guard.call_back"),
    "traced_request_headers": (["Host"], "_spans.tags.header_tags"),
    "traced_response_headers": (["Server"], "_spans.tags.header_tags"),
}


async def test_a_plain_request_calls_few_functions_and_none_of_a_feature_that_is_off(servers: Servers) -> None:
    plain = await calls_of_request(servers)
    assert plain
    assert plain.total() <= REQUEST_CALLS, plain
    assert plain.keys().isdisjoint(function for _, function in SERVER_FEATURES.values())
    # Nothing of what concerns WebSockets, disconnects, streamed bodies, fetches, threads or secrets.
    others = {f"_hooks.{name}" for name in ("websocket", "connection", "client", "executor")}
    assert not [name for name in plain if name.rpartition(".")[0] in others]
    assert {name for name in plain if name.startswith("_redaction.")} == {"_redaction.texts.redact_url"}


async def test_a_plain_fetch_calls_few_functions_and_none_of_a_feature_that_is_off(
    client: AsyncHTTPClient,
) -> None:
    plain = await calls_of_fetch(client)
    assert plain
    assert plain.total() <= FETCH_CALLS, plain
    assert plain.keys().isdisjoint(function for _, function in CLIENT_FEATURES.values())
    assert {name for name in plain if name.startswith("_redaction.")} == {"_redaction.texts.redact_url"}


@pytest.mark.parametrize("option", SERVER_FEATURES)
async def test_a_feature_costs_a_request_calls_only_where_it_is_on(option: str, servers: Servers) -> None:
    value, function = SERVER_FEATURES[option]
    off = await calls_of_request(servers)
    on = await calls_of_request(servers, **{option: value})
    assert on.total() > off.total()
    assert on[function] >= 1
    assert await calls_of_request(servers) == off


@pytest.mark.parametrize("option", CLIENT_FEATURES)
async def test_a_feature_costs_a_fetch_calls_only_where_it_is_on(option: str, client: AsyncHTTPClient) -> None:
    value, function = CLIENT_FEATURES[option]
    off = await calls_of_fetch(client)
    on = await calls_of_fetch(client, **{option: value})
    assert on.total() > off.total()
    assert on[function] >= 1
    assert await calls_of_fetch(client) == off


@pytest.mark.parametrize(
    "options",
    [
        {"trace_websocket_messages": True},
        {"redacted_query_params": [f"param{number}" for number in range(100)]},
        {"unredacted_headers": ["Cookie"]},
    ],
)
async def test_what_concerns_others_costs_a_plain_request_nothing(options: dict[str, Any], servers: Servers) -> None:
    assert await calls_of_request(servers, **options) == await calls_of_request(servers)


async def test_how_many_rules_there_are_costs_no_calls(servers: Servers) -> None:
    async def calls(count: int) -> Counter[str]:
        init_tracing(MockTracer(ContextVarsScopeManager()))
        rules: Any = [(rf"/{number}/(\d+)", Hello) for number in range(count)]
        async with connection(servers.start(Application(rules))) as opened:
            return await calls_of(lambda: get(opened, f"/{count - 1}/1"))

    assert await calls(1) == await calls(100)


async def test_a_request_that_is_excluded_costs_less_than_one_that_is_traced(servers: Servers) -> None:
    traced = await calls_of_request(servers, excluded_paths=["/health"])
    excluded = await calls_of_request(servers, excluded_paths=["/story/.*"])
    assert excluded.total() < traced.total() * 2 / 3
    assert (
        excluded.keys() & {"_spans.tags.server_tags", "_spans.lifecycle.start", "_spans.propagation.extract"} == set()
    )


async def test_a_request_that_is_not_traced_costs_hardly_anything(servers: Servers) -> None:
    untraced = await calls_of_request(servers, trace_all=False)
    assert untraced.total() <= 7, untraced


async def test_nothing_is_described_to_a_tracer_that_keeps_nothing(servers: Servers, client: AsyncHTTPClient) -> None:
    """Which is what ``opentracing.global_tracer()`` is by default; its spans, and the callbacks, are there as ever."""
    started: list[Any] = []
    finished: list[Any] = []
    options: Any = {
        "start_span_cb": lambda span, subject: started.append(subject),
        "finish_span_cb": lambda span, outcome: finished.append(outcome),
    }
    own = {"make_tracer": opentracing.Tracer, **options}
    calls = await calls_of_request(servers, **own) + await calls_of_fetch(client, **own)
    assert not calls.keys() & {
        "_spans.tags.server_tags",
        "_spans.tags.client_tags",
        "_spans.propagation.extract",
        "_spans.propagation.inject",
    }
    described = await calls_of_request(servers, **options) + await calls_of_fetch(client, **options)
    assert described.keys() >= {
        "_spans.tags.server_tags",
        "_spans.tags.client_tags",
        "_spans.propagation.extract",
        "_spans.propagation.inject",
    }
    assert len(started) == len(finished) == 12
