# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How Tornado's functions are replaced and given back."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable
from typing import Any

import pytest
import tornado
import wrapt
from support import Recorder, Servers
from support.patched import TRACED_ONCE, Leaf, application, get_front, names
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_client_tracing, init_tracing, remove_tracing


def _tornados_classes() -> set[type]:
    modules = [
        importlib.import_module(f"tornado.{module.name}")
        for module in pkgutil.iter_modules(tornado.__path__)
        if module.name
        in {"web", "httpclient", "simple_httpclient", "httpserver", "http1connection", "httputil", "ioloop"}
        or module.name in {"routing", "websocket", "tcpserver", "concurrent", "gen", "wsgi", "queues", "locks"}
    ]
    found = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    return {cls for cls in found if cls.__module__.startswith("tornado.")}


def functions_in_place() -> dict[tuple[type, str], Any]:
    """Every attribute of Tornado's classes that is a function of some kind."""
    return {
        (cls, name): value
        for cls in _tornados_classes()
        for name, value in vars(cls).items()
        if isinstance(value, (types.FunctionType, classmethod, staticmethod, property))
    }


@pytest.fixture
def own() -> dict[tuple[type, str], Any]:
    """Tornado's very own functions. Decorators that ran on import may have put hooks in place."""
    remove_tracing()
    return functions_in_place()


def replaced(own: dict[tuple[type, str], Any]) -> list[tuple[type, str]]:
    now = functions_in_place()
    assert now.keys() == own.keys()
    return [place for place, function in own.items() if now[place] is not function]


def test_before_tracing_tornado_has_its_own_functions(own: dict[tuple[type, str], Any]) -> None:
    functions = [function for function in own.values() if isinstance(function, types.FunctionType)]
    assert not [f for f in functions if f.__globals__["__name__"].startswith("tornado_opentracing")]


@pytest.mark.parametrize("times", [1, 3])
def test_removing_tracing_gives_tornado_its_very_own_functions_back(
    times: int, own: dict[tuple[type, str], Any], recorder: Recorder
) -> None:
    for _ in range(times):
        init_tracing(recorder.tracer)
        init_client_tracing(recorder.tracer)
    assert {(RequestHandler, "_execute"), (AsyncHTTPClient, "fetch"), (Application, "__init__")} <= set(replaced(own))
    for _ in range(times):
        remove_tracing()
        assert not replaced(own)


def test_removing_gives_back_what_a_decorator_replaced(own: dict[tuple[type, str], Any], recorder: Recorder) -> None:
    TornadoTracing(recorder.tracer).trace(Leaf.get)
    assert (AsyncHTTPClient, "fetch") not in replaced(own)
    remove_tracing()
    assert not replaced(own)


def test_tracing_of_fetches_alone_leaves_the_server_alone(own: dict[tuple[type, str], Any], recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    assert (AsyncHTTPClient, "fetch") in replaced(own)
    assert not [place for place in replaced(own) if place[0] in (Application, RequestHandler)]
    remove_tracing()
    assert not replaced(own)


def test_removing_tracing_that_was_never_there_does_nothing(own: dict[tuple[type, str], Any]) -> None:
    remove_tracing()
    remove_tracing()
    assert not replaced(own)


def test_replaced_functions_keep_their_names_and_signatures(
    own: dict[tuple[type, str], Any], recorder: Recorder
) -> None:
    init_tracing(recorder.tracer)
    for owner, name in replaced(own):
        original, now = own[owner, name], vars(owner)[name]
        assert (now.__name__, now.__qualname__, now.__doc__) == (name, original.__qualname__, original.__doc__)
        assert inspect.signature(now) == inspect.signature(original)


async def test_an_application_built_before_init_tracing_is_traced(each_recorder: Recorder, servers: Servers) -> None:
    url = servers.start(application())
    init_tracing(each_recorder.tracer)
    assert await get_front(url) == 200
    assert await names(each_recorder) == TRACED_ONCE


@pytest.mark.parametrize(
    "inits",
    [
        [init_tracing, init_tracing],
        [init_tracing, init_client_tracing],
        [init_client_tracing, init_tracing],
        [init_tracing, init_client_tracing, init_tracing, init_client_tracing],
    ],
    ids=len,
)
async def test_initialising_twice_traces_once(
    inits: list[Callable[[Any], None]], each_recorder: Recorder, servers: Servers
) -> None:
    for init in inits:
        init(each_recorder.tracer)
    url = servers.start(application())
    assert await get_front(url) == 200
    for init in inits:
        init(each_recorder.tracer)
    assert await get_front(url) == 200
    assert await names(each_recorder) == sorted(TRACED_ONCE * 2)


async def test_removing_tracing_stops_it_and_initialising_again_goes_on(
    each_recorder: Recorder, servers: Servers
) -> None:
    url = servers.start(application())
    for count in range(3):
        init_tracing(each_recorder.tracer)
        await get_front(url)
        remove_tracing()
        await get_front(url)
        assert await names(each_recorder) == sorted(TRACED_ONCE * (count + 1))


class SomebodyElse:
    """Patches on top of every function that tracing replaced."""

    def __init__(self, own: dict[tuple[type, str], Any]) -> None:
        self.found = {(owner, name): vars(owner)[name] for owner, name in replaced(own)}
        self.put = {place: self._wrap(place[1], function) for place, function in self.found.items()}
        self.called: set[str] = set()
        for (owner, name), function in self.put.items():
            setattr(owner, name, function)

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.called.add(name)
            return original(*args, **kwargs)

        return wrapper

    @property
    def is_in_place(self) -> bool:
        return all(vars(owner)[name] is function for (owner, name), function in self.put.items())

    def undo(self) -> None:
        for (owner, name), function in self.found.items():
            setattr(owner, name, function)


@pytest.fixture
def restored(own: dict[tuple[type, str], Any]) -> Any:
    """Puts Tornado's own functions back, whatever was done to them."""
    yield own
    remove_tracing()
    for owner, name in replaced(own):
        setattr(owner, name, own[owner, name])


async def test_beneath_somebody_elses_patches_removed_tracing_is_a_pass_through(
    restored: dict[tuple[type, str], Any], each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    somebody_else = SomebodyElse(restored)
    remove_tracing()
    assert somebody_else.is_in_place
    assert await get_front(servers.start(application())) == 200
    assert {"__init__", "_execute", "finish", "fetch"} <= somebody_else.called
    assert not await names(each_recorder)


@pytest.mark.parametrize("remove_first", [False, True])
async def test_initialising_again_over_somebody_elses_patches_traces_once(
    remove_first: bool, restored: dict[tuple[type, str], Any], each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    somebody_else = SomebodyElse(restored)
    if remove_first:
        remove_tracing()
    init_tracing(each_recorder.tracer)
    assert await get_front(servers.start(application())) == 200
    assert await names(each_recorder) == TRACED_ONCE
    remove_tracing()
    assert somebody_else.is_in_place


async def test_when_somebody_else_goes_away_tracing_is_as_it_was(
    restored: dict[tuple[type, str], Any], each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer)
    url = servers.start(application())
    SomebodyElse(restored).undo()
    await get_front(url)
    assert await names(each_recorder) == TRACED_ONCE

    somebody_else = SomebodyElse(restored)
    remove_tracing()
    somebody_else.undo()
    await get_front(url)
    assert await names(each_recorder) == TRACED_ONCE

    init_tracing(each_recorder.tracer)
    await get_front(url)
    assert await names(each_recorder) == sorted(TRACED_ONCE * 2)
    remove_tracing()
    assert not replaced(restored)


class Answers(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("answer")


@pytest.mark.parametrize(
    ("owner", "name"), [(RequestHandler, "_execute"), (RequestHandler, "finish"), (AsyncHTTPClient, "fetch")]
)
async def test_what_wrapt_put_there_before_is_called_as_it_was(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, owner: Any, name: str
) -> None:
    """Other instrumentations patch with it; it takes what is called by way of ``__dict__`` for a plain function."""
    seen: list[object] = []

    def around(wrapped: Any, instance: object, args: Any, kwargs: Any) -> Any:
        seen.append(instance)
        return wrapped(*args, **kwargs)

    original = owner.__dict__[name]
    wrapt.wrap_function_wrapper(owner, name, around)
    theirs = owner.__dict__[name]
    try:
        init_tracing(recorder.tracer)
        response = await client.fetch(servers.start(Application([("/", Answers)])))
        assert response.body == b"answer"
        assert len(await settled(recorder, 2)) == 2
        remove_tracing()
        assert owner.__dict__[name] is theirs
    finally:
        setattr(owner, name, original)
    assert seen
    assert all(isinstance(instance, owner) for instance in seen)
