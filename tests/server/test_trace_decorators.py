# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``@trace`` among other decorators, and on all kinds of methods."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, Servers, active_id
from support.decorated import coroutine_keeps_context, decorated
from support.serving import connection, settled
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler, authenticated

from tornado_opentracing import TornadoTracing, trace


def passing_on(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as they are often written: a plain function, whatever it decorates."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return wrapper


def awaiting(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await method(*args, **kwargs)

    return wrapper


def scheduling(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.ensure_future(method(*args, **kwargs))

    return wrapper


def stacks(trace: Callable[[Any], Any], seen: list[Any], tracer: Any) -> dict[str, Any]:
    """``@trace`` above and below what else may decorate a method."""

    def sync(self: RequestHandler) -> None:
        seen.append(active_id(tracer))

    async def native(self: RequestHandler) -> None:
        seen.append(active_id(tracer))
        await asyncio.sleep(0)
        seen.append(active_id(tracer))

    def generator(self: RequestHandler) -> Any:
        seen.append(active_id(tracer))
        yield gen.moment
        seen.append(active_id(tracer))

    return {
        "sync": trace(sync),
        "async": trace(native),
        "trace above coroutine": trace(gen.coroutine(generator)),
        "trace below coroutine": gen.coroutine(trace(generator)),
        "trace above authenticated sync": trace(authenticated(sync)),
        "trace below authenticated sync": authenticated(trace(sync)),
        "trace above authenticated async": trace(authenticated(native)),
        "trace below authenticated async": authenticated(trace(native)),
        "trace above authenticated coroutine": trace(authenticated(gen.coroutine(generator))),
        "trace below authenticated coroutine": authenticated(trace(gen.coroutine(generator))),
        "trace above wrapper of sync": trace(passing_on(sync)),
        "trace below wrapper of sync": passing_on(trace(sync)),
        "trace above wrapper of async": trace(passing_on(native)),
        "trace below wrapper of async": passing_on(trace(native)),
        "trace above async wrapper of async": trace(awaiting(native)),
        "trace below async wrapper of async": awaiting(trace(native)),
        "trace above async wrapper of coroutine": trace(awaiting(gen.coroutine(generator))),
        "trace above task of async": trace(scheduling(native)),
        "trace below task of async": scheduling(trace(native)),
        "trace below coroutine of wrapper": gen.coroutine(trace(passing_on(generator))),
        "trace between": authenticated(trace(passing_on(gen.coroutine(generator)))),
        "trace twice": trace(trace(native)),
    }


STACKS = list(stacks(lambda method: method, [], None))


@pytest.mark.parametrize(
    "stack", [pytest.param(name, marks=coroutine_keeps_context if "coroutine" in name else ()) for name in STACKS]
)
async def test_trace_may_stand_above_and_below_other_decorators(
    stack: str, each_recorder: Recorder, servers: Servers
) -> None:
    """The span is active in the method from its start to its end, and not in what comes next."""
    tracer = each_recorder.tracer
    seen: list[int | None] = []
    before: list[int | None] = []

    class Decorated(RequestHandler):
        get = stacks(TornadoTracing(tracer).trace, seen, tracer)[stack]

        def initialize(self) -> None:
            before.append(active_id(tracer))

        def get_current_user(self) -> str:
            return "ada"

    async with connection(servers.start(Application([("/", Decorated)]))) as opened:
        assert (await opened.get())[0] == 200
        assert (await opened.get())[0] == 200
    first, second = await settled(each_recorder, 2)
    half = len(seen) // 2
    assert half >= 1
    assert seen == [first.span_id] * half + [second.span_id] * half
    assert before == [None, None]
    assert (first.name, first.status, first.is_error) == ("Decorated", 200, False)


@pytest.mark.parametrize("above", [True, False])
async def test_what_authenticated_refuses_is_traced_if_trace_stands_above_it(
    above: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)

    class Members(RequestHandler):
        async def post(self) -> None:
            raise AssertionError

    def decorator(method: Any) -> Any:
        return tracing.trace(authenticated(method)) if above else authenticated(tracing.trace(method))

    url = servers.start(Application([("/", decorated(Members, decorator, "post"))]))
    response = await client.fetch(url, method="POST", body="", raise_error=False)
    assert response.code == 403
    spans = await settled(recorder, int(above))
    assert [(span.status, span.is_error) for span in spans] == ([(403, False)] if above else [])


async def _native(self: RequestHandler, name: str = "x", *, flag: bool = False) -> None:
    """What it does."""


def _sync(self: RequestHandler, name: str = "x", *, flag: bool = False) -> None:
    """What it does."""


@pytest.mark.parametrize("method", [_native, _sync, gen.coroutine(_sync)])
@pytest.mark.parametrize("how", ["bare", "with names", "module"])
def test_a_decorated_method_looks_like_the_method(method: Any, how: str) -> None:
    tracing = TornadoTracing()
    decorator: Any = {"bare": tracing.trace, "with names": tracing.trace("uri"), "module": trace}[how]
    traced = decorator(method)
    assert traced is not method
    assert inspect.iscoroutinefunction(traced) == inspect.iscoroutinefunction(method)
    assert gen.is_coroutine_function(traced) == gen.is_coroutine_function(method)
    assert inspect.signature(traced) == inspect.signature(method)
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__", "__annotations__"):
        assert getattr(traced, attribute) == getattr(method, attribute)
    assert traced.__wrapped__ is method


async def test_path_arguments_and_the_result_pass_through(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracing = TornadoTracing(recorder.tracer)
    results: list[Any] = []

    class Passing(RequestHandler):
        @tracing.trace
        async def get(self, number: str, *, word: str) -> None:
            results.extend([await self.double(int(number)), self.shout(word)])

        @tracing.trace
        async def double(self, number: int) -> int:
            return 2 * number

        @tracing.trace
        def shout(self, word: str) -> str:
            return word.upper()

    class Positional(RequestHandler):
        @tracing.trace
        def get(self, *words: str) -> None:
            results.extend(words)

    url = servers.start(Application([(r"/(?P<number>\d)/(?P<word>.)", Passing), (r"/(.)(.)", Positional)]))
    url = url.rstrip("/")
    await client.fetch(url + "/ab")
    assert results == ["a", "b"]
    await settled(recorder)
