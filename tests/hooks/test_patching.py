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
from hypothesis import given
from hypothesis import strategies as st
from support import Recorder, Servers
from support.serving import Connection, connection, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_client_tracing, init_tracing, remove_tracing
from tornado_opentracing._hooks.patching import Layer, Patch

# Plain classes


class Greeter:
    """Made anew for each test by :func:`greeter`."""

    def greet(self) -> str:
        """Say hello."""
        return "hello"


def greeter() -> type[Greeter]:
    return type("Greeter", (Greeter,), {"greet": Greeter.greet})


def louder(original: Callable[[Greeter], str], layer: Layer) -> Callable[[Greeter], str]:
    @functools.wraps(original)
    def greet(self: Greeter) -> str:
        return f"{original(self)}!" if layer.enabled else original(self)

    return greet


def wrap_in_brackets(owner: type[Any], name: str = "greet") -> Callable[[], None]:
    """Patch like somebody else; return what undoes it."""
    original = vars(owner)[name]

    @functools.wraps(original)
    def bracketed(self: Greeter) -> str:
        return f"({original(self)})"

    setattr(owner, name, bracketed)
    return lambda: setattr(owner, name, original)


def test_a_patch_that_is_made_does_nothing_before_it_is_applied() -> None:
    owner = greeter()
    Patch(owner, "greet", louder)
    assert vars(owner)["greet"] is Greeter.greet


def test_a_patch_replaces_the_function_for_objects_and_subclasses_that_exist() -> None:
    owner = greeter()
    subclass = type("Subclass", (owner,), {})
    objects = [owner(), subclass()]
    patch = Patch(owner, "greet", louder)
    patch.apply()
    assert [greeter.greet() for greeter in objects] == ["hello!", "hello!"]
    patch.remove()
    assert [greeter.greet() for greeter in objects] == ["hello", "hello"]


def test_a_patch_knows_whether_it_is_at_work_and_on_top() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    applied = [patch.applied]
    for step in (patch.apply, lambda: wrap_in_brackets(owner), patch.apply, patch.remove):
        step()
        applied.append(patch.applied)
    assert applied == [False, True, False, True, False]


def test_applying_twice_wraps_once() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    replacement = vars(owner)["greet"]
    patch.apply()
    assert vars(owner)["greet"] is replacement
    assert owner().greet() == "hello!"


def test_removing_restores_the_very_same_function() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    for _ in range(3):
        patch.apply()
        patch.remove()
        assert vars(owner)["greet"] is Greeter.greet


def test_removing_is_harmless_before_applying_and_any_number_of_times() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.remove()
    patch.apply()
    patch.remove()
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet


def test_beneath_somebody_elses_patch_the_replacement_becomes_a_pass_through() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    wrap_in_brackets(owner)
    theirs = vars(owner)["greet"]
    assert owner().greet() == "(hello!)"
    patch.remove()
    assert vars(owner)["greet"] is theirs
    assert owner().greet() == "(hello)"


def test_applying_over_somebody_elses_patch_leaves_one_replacement_at_work() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    wrap_in_brackets(owner)
    for _ in range(3):
        patch.apply()
        assert owner().greet() == "(hello)!"
    patch.remove()
    assert owner().greet() == "(hello)"


def test_somebody_elses_earlier_patch_is_given_back() -> None:
    owner = greeter()
    wrap_in_brackets(owner)
    theirs = vars(owner)["greet"]
    patch = Patch(owner, "greet", louder)
    patch.apply()
    assert owner().greet() == "(hello)!"
    patch.remove()
    assert vars(owner)["greet"] is theirs


def test_pass_throughs_that_somebody_else_puts_back_do_not_pile_up() -> None:
    """As when a test replaces ``fetch`` for its duration, and tracing is removed meanwhile; a thousand times."""
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    for _ in range(3):
        patch.apply()
        undo = wrap_in_brackets(owner)
        patch.remove()
        undo()
        assert owner().greet() == "hello"
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet


@given(st.lists(st.sampled_from(["apply", "remove", "patch", "undo"]), max_size=12))
def test_whoever_patches_in_whatever_order_the_replacement_is_at_work_once_or_not_at_all(steps: list[str]) -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    undo: list[Callable[[], None]] = []
    for step in steps:
        if step == "apply":
            patch.apply()
        elif step == "remove":
            patch.remove()
        elif step == "patch":
            undo.append(wrap_in_brackets(owner))
        elif undo:
            undo.pop()()
        greeting = owner().greet()
        assert greeting.count("(") == len(undo)
        assert greeting.count("!") <= 1
        if step in ("apply", "remove"):
            assert greeting.count("!") == (step == "apply")
    while undo:
        undo.pop()()
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet


# Tornado


class Leaf(RequestHandler):
    def get(self) -> None:
        self.write("leaf")


class Front(RequestHandler):
    async def get(self) -> None:
        await AsyncHTTPClient().fetch(self.request.headers["X-Leaf"])


def application() -> Application:
    return Application([("/", Front), ("/leaf", Leaf)])


async def get_front(url: str) -> int:
    """Send a request, itself traced by nobody, to a handler that fetches another."""
    async with connection(url) as opened:
        return (await opened.get("/", f"X-Leaf: {url}/leaf"))[0]


#: What one request to the front leaves.
TRACED_ONCE = ["Front", "GET", "Leaf"]


async def names(recorder: Recorder) -> list[str]:
    return sorted(span.name for span in await settled(recorder, 0))


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


# Requests in flight


class Waiting(RequestHandler):
    """Waits in the middle of something."""

    def initialize(self, arrived: asyncio.Event, go_on: asyncio.Event) -> None:
        self.arrived, self.go_on = arrived, go_on

    async def wait(self) -> None:
        self.arrived.set()
        await asyncio.wait_for(self.go_on.wait(), 10)


class WaitsAndAnswers(Waiting):
    async def get(self) -> None:
        await self.wait()
        self.write("done")


class WaitsAndFails(Waiting):
    async def get(self) -> None:
        await self.wait()
        raise ArithmeticError


class WaitsInPrepare(Waiting):
    async def prepare(self) -> None:
        await self.wait()

    def get(self) -> None:
        self.write("done")


class WaitsAfterAFlush(Waiting):
    async def get(self) -> None:
        self.set_header("Content-Length", 4)
        self.write("do")
        await self.flush()
        await self.wait()
        self.write("ne")


class AnswersAfterItsTask(Waiting):
    """The task that runs the handler is over when it finishes."""

    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await self.wait()
        self.finish("done")


class WaitsAndAnswersAfterItsTask(Waiting):
    async def get(self) -> None:
        await self.wait()
        self._auto_finish = False
        asyncio.get_running_loop().call_soon(self.finish, "done")


IN_FLIGHT = [
    (WaitsAndAnswers, 200),
    (WaitsAndFails, 500),
    (WaitsInPrepare, 200),
    (WaitsAfterAFlush, 200),
    (AnswersAfterItsTask, 200),
    (WaitsAndAnswersAfterItsTask, 200),
]


@pytest.mark.parametrize(("handler", "status"), IN_FLIGHT)
async def test_a_request_in_flight_when_tracing_is_removed_is_answered_and_its_span_finished(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answer = await _removing_while_in_flight(opened, arrived, go_on)
        assert answer == (status, "done" if status == 200 else answer[1])
        assert (await opened.get())[0] == status, "the next request, which nobody traces"
    assert await names(each_recorder) == [handler.__name__]
    assert each_recorder.unfinished == 0


async def _removing_while_in_flight(
    opened: Connection, arrived: asyncio.Event, go_on: asyncio.Event
) -> tuple[int, str]:
    answering = asyncio.ensure_future(opened.get())
    await asyncio.wait_for(arrived.wait(), 10)
    await asyncio.sleep(0)  # the handler's task may have to end
    remove_tracing()
    go_on.set()
    return await answering


@pytest.mark.parametrize(("handler", "status"), [case for case in IN_FLIGHT if case[0] is not AnswersAfterItsTask])
async def test_a_request_in_flight_when_tracing_is_initialised_again_has_one_span(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answering = asyncio.ensure_future(opened.get())
        await asyncio.wait_for(arrived.wait(), 10)
        remove_tracing()
        init_tracing(each_recorder.tracer)
        go_on.set()
        assert (await answering)[0] == status
    (span,) = await settled(each_recorder)
    assert (span.name, span.status, span.is_error) == (handler.__name__, status, status == 500)


@pytest.mark.parametrize(("handler", "status"), IN_FLIGHT)
async def test_a_request_in_flight_when_tracing_is_initialised_is_not_broken(
    handler: type[Waiting], status: int, each_recorder: Recorder, servers: Servers
) -> None:
    """It has no span, for it started without."""
    arrived, go_on = asyncio.Event(), asyncio.Event()
    url = servers.start(Application([("/", handler, {"arrived": arrived, "go_on": go_on})]))
    async with connection(url) as opened:
        answering = asyncio.ensure_future(opened.get())
        await asyncio.wait_for(arrived.wait(), 10)
        init_tracing(each_recorder.tracer)
        go_on.set()
        assert (await answering)[0] == status
    assert not await names(each_recorder)


async def test_a_fetch_in_flight_when_tracing_is_removed_gets_its_answer_and_its_span_finished(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()
    init_client_tracing(each_recorder.tracer)
    url = servers.start(Application([("/", WaitsAndAnswers, {"arrived": arrived, "go_on": go_on})]))
    fetching = client.fetch(url)
    await asyncio.wait_for(arrived.wait(), 10)
    remove_tracing()
    go_on.set()
    assert (await fetching).body == b"done"
    (span,) = await settled(each_recorder)
    assert (span.name, span.status) == ("GET", 200)


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
