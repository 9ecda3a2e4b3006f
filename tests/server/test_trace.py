# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``@trace``: single handlers, without ``init_tracing``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from support import MockRecorder, Recorder, Servers, active_id
from support.decorated import Plain, decorated
from support.outcomes import OUTCOMES, Outcome
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_tracing, remove_tracing, trace

TRACED_OUTCOMES = {name: outcome for name, outcome in OUTCOMES.items() if outcome.reaches_method}


@pytest.mark.parametrize("outcome", TRACED_OUTCOMES.values(), ids=TRACED_OUTCOMES)
async def test_a_traced_handler_has_one_finished_span_that_tells_its_outcome(
    outcome: Outcome,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracing = TornadoTracing(each_recorder.tracer)
    handler = decorated(outcome.handler, tracing.trace, outcome.method.lower())
    span = await outcome.of(outcome.application(handler), each_recorder, servers, client)
    outcome.check(span)
    assert span.parent_id is None
    assert "ended span" not in caplog.text


@pytest.mark.parametrize("outcome", TRACED_OUTCOMES.values(), ids=TRACED_OUTCOMES)
async def test_a_traced_handler_has_no_second_span_where_every_request_is_traced(
    outcome: Outcome, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    handler = decorated(outcome.handler, TornadoTracing(recorder.tracer).trace, outcome.method.lower())
    outcome.check(await outcome.of(outcome.application(handler), recorder, servers, client))


async def test_a_handler_that_is_not_decorated_has_no_span(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)
    routes = [("/traced", decorated(Plain, tracing.trace)), ("/plain", Plain)]
    url = servers.start(Application(routes))
    await client.fetch(url + "/plain")
    await client.fetch(url + "/traced")
    assert (await only_span(recorder)).path == "/traced"


async def test_decorated_methods_that_call_each_other_share_one_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(each_recorder.tracer)

    class Nested(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            await self.post()
            assert active_id(each_recorder.tracer) is not None

        @tracing.trace("path")
        async def post(self) -> None:
            await asyncio.sleep(0)

    await client.fetch(servers.start(Application([("/", Nested)])))
    span = await only_span(each_recorder)
    assert (span.name, span.tags["path"]) == ("Nested", "/")


# The tags it is told to set.


@pytest.mark.parametrize(
    ("decorator", "expected"),
    [
        (lambda tracing: tracing.trace, {}),
        (lambda tracing: tracing.trace(), {}),
        (lambda tracing: tracing.trace("uri"), {"uri": "/"}),
        (lambda tracing: tracing.trace("uri", "method"), {"uri": "/", "method": "GET"}),
        (lambda tracing: tracing.trace(["uri", "method"]), {"uri": "/", "method": "GET"}),
        (lambda tracing: tracing.trace(("uri", "query")), {"uri": "/"}),
        (lambda tracing: tracing.trace([]), {}),
        (lambda tracing: trace, {}),
        (lambda tracing: trace("uri", "method"), {"uri": "/", "method": "GET"}),
        (lambda tracing: trace(["uri"]), {"uri": "/"}),
    ],
    ids=["bare", "called", "name", "names", "list", "tuple", "empty list", "module", "module names", "module list"],
)
@pytest.mark.parametrize("trace_all", [False, True], ids=["alone", "under trace-all"])
async def test_trace_takes_names_of_attributes_to_set_as_tags(
    decorator: Callable[[TornadoTracing], Any],
    expected: dict[str, str],
    trace_all: bool,
    recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    """Where every request is traced there is one span all the same, and it has the tags."""
    opentracing.set_global_tracer(recorder.tracer)
    if trace_all:
        init_tracing(recorder.tracer, trace_client=False)
    handler = decorated(Plain, decorator(TornadoTracing(recorder.tracer)))
    await client.fetch(servers.start(Application([("/", handler)])))
    span = await only_span(recorder)
    assert {name: span.tags[name] for name in ("uri", "method", "query") if name in span.tags} == expected
    assert span.tags.keys() >= {"component", "span.kind", "http.method", "http.url", "http.status_code"}


@pytest.mark.parametrize("arguments", [(1,), ("uri", 1), (["uri", 1],), (["uri"], "method"), (None,)])
def test_what_is_no_name_is_refused_when_decorating(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="@trace"):
        TornadoTracing().trace(*arguments)
    with pytest.raises(TypeError, match="@trace"):
        trace(*arguments)


async def test_trace_uses_the_options_of_its_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    calls: list[tuple[Any, Any]] = []

    def name_it(span: Any, request: Any) -> None:
        calls.append((span, request))
        span.set_operation_name("renamed")

    tracing = TornadoTracing(recorder.tracer, name_it, traced_attributes=["path"])
    await client.fetch(servers.start(Application([("/", decorated(Plain, tracing.trace("method")))])))
    span = await only_span(recorder)
    assert (span.name, span.tags["path"], span.tags["method"]) == ("renamed", "/", "GET")
    assert len(calls) == 1
    assert TornadoTracing.get_span(calls[0][1]) is calls[0][0]


# Misuse.


def _plain_function(*args: Any) -> None:
    raise AssertionError


async def _plain_coroutine_function(*args: Any) -> None:
    raise AssertionError


@pytest.mark.parametrize("function", [_plain_function, _plain_coroutine_function])
@pytest.mark.parametrize("decorator", [lambda: trace, lambda: trace("uri"), lambda: TornadoTracing().trace])
@pytest.mark.parametrize("argument", ["a string", object(), None])
async def test_trace_on_something_else_than_a_handler_method_is_a_type_error_when_called(
    function: Any, decorator: Callable[[], Any], argument: object
) -> None:
    traced = decorator()(function)
    with pytest.raises(TypeError, match=rf"@trace is for methods of .*RequestHandler.*{function.__name__}"):
        await traced(argument)


@pytest.mark.parametrize("function", [_plain_function, _plain_coroutine_function])
async def test_a_function_called_without_arguments_is_a_type_error_too(function: Any) -> None:
    with pytest.raises(TypeError):
        await trace(function)()


# Which tracer.


async def served_by(handler: type[RequestHandler], servers: Servers, client: AsyncHTTPClient, **settings: Any) -> None:
    await client.fetch(servers.start(Application([("/", handler)], **settings)))


class ByModule(RequestHandler):
    @trace
    async def get(self) -> None:
        await asyncio.sleep(0)


async def test_the_modules_trace_uses_the_global_tracer_without_init_tracing(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    opentracing.set_global_tracer(each_recorder.tracer)
    await served_by(ByModule, servers, client)
    assert (await only_span(each_recorder)).name == "ByModule"


async def test_the_modules_trace_uses_the_tracer_of_init_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    opentracing.set_global_tracer(MockRecorder().tracer)
    init_tracing(recorder.tracer, trace_all=False, trace_client=False)
    await served_by(ByModule, servers, client)
    assert (await only_span(recorder)).name == "ByModule"


@pytest.mark.parametrize("initialised", [True, False], ids=["init_tracing", "without init_tracing"])
async def test_the_modules_trace_uses_the_tracer_of_the_application(
    initialised: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    others = MockRecorder()
    opentracing.set_global_tracer(others.tracer)
    if initialised:
        init_tracing(others.tracer, trace_all=False, trace_client=False)
    await served_by(ByModule, servers, client, opentracing_tracing=TornadoTracing(recorder.tracer, trace_client=False))
    assert (await only_span(recorder)).name == "ByModule"
    assert others.finished == []


async def test_a_tracing_without_a_tracer_uses_the_global_one_of_the_time(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    handler = decorated(Plain, TornadoTracing().trace)
    opentracing.set_global_tracer(recorder.tracer)
    await served_by(handler, servers, client)
    assert (await only_span(recorder)).name == "Plain"


async def test_a_traced_handler_keeps_its_tracer_where_all_are_not_traced(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    others = MockRecorder()
    init_tracing(others.tracer, trace_all=False, trace_client=False)
    await served_by(decorated(Plain, TornadoTracing(recorder.tracer).trace), servers, client)
    assert (await only_span(recorder)).name == "Plain"
    assert others.finished == []


# Where ``init_tracing`` comes and goes.


@pytest.mark.parametrize("outcome", ["FinishedByTask-GET-200", "AsyncRaises-GET-500", "Coroutine-GET-200"])
async def test_a_traced_handler_is_still_traced_after_remove_tracing(
    outcome: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    expected = OUTCOMES[outcome]
    handler = decorated(expected.handler, TornadoTracing(each_recorder.tracer).trace)
    init_tracing(each_recorder.tracer, trace_client=False)
    remove_tracing()
    expected.check(await expected.of(expected.application(handler), each_recorder, servers, client))


async def test_a_traced_request_that_runs_during_remove_tracing_still_has_one_finished_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Removing(RequestHandler):
        @TornadoTracing(each_recorder.tracer).trace
        async def get(self) -> None:
            remove_tracing()
            await asyncio.sleep(0)

    assert (await client.fetch(servers.start(Application([("/", Removing)])))).code == 200
    assert (await only_span(each_recorder)).status == 200
