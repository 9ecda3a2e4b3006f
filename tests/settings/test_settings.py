# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Options, settings, and which of them count."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import opentracing
import pytest
from opentracing import ScopeManager
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from support import RECORDERS, MockRecorder, Recorded, Recorder, Servers
from support.serving import connection, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

import tornado_opentracing
from tornado_opentracing import (
    ContextVarsScopeManager,
    TornadoTracing,
    init_client_tracing,
    init_tracing,
    remove_tracing,
)
from tornado_opentracing._settings.options import Options

if TYPE_CHECKING:
    import logging


class Leaf(RequestHandler):
    def get(self) -> None:
        self.write("leaf")


class Front(RequestHandler):
    async def get(self) -> None:
        await AsyncHTTPClient().fetch(self.request.headers["X-Leaf"])


def application(**settings: Any) -> Application:
    return Application([("/", Front), ("/leaf", Leaf)], **settings)


async def get(url: str, path: str = "/leaf") -> int:
    """Send a request that is itself traced by nobody; return the status."""
    async with connection(url) as opened:
        status, _ = await opened.get(path, f"X-Leaf: {url}/leaf")
        return status


# Wrong ones


def _reject(*_: Any) -> None:
    raise AssertionError("nobody is to call this")


#: By option: values that it refuses, and how.
WRONG: dict[str, list[tuple[Any, type[Exception]]]] = {
    "trace_all": [("yes", TypeError), (1, TypeError), (None, TypeError)],
    "trace_client": [("no", TypeError), (0, TypeError), (None, TypeError)],
    "traced_attributes": [("method", TypeError), (7, TypeError), (["method", 7], TypeError), (None, TypeError)],
    "start_span_cb": [("callback", TypeError), (7, TypeError)],
    "finish_span_cb": [("callback", TypeError), (7, TypeError)],
    "operation_name": [("path", ValueError), (7, ValueError), (None, ValueError)],
    "excluded_paths": [("/health", TypeError), ([7], TypeError), ([re.compile(b"/")], TypeError), (["("], ValueError)],
    "request_filter": [("/health", TypeError), (True, TypeError)],
    "traced_request_headers": [("Accept", TypeError), ([b"Accept"], TypeError)],
    "traced_response_headers": [("Etag", TypeError), ([None], TypeError)],
    "unredacted_headers": [("Cookie", TypeError), (True, TypeError)],
    "redacted_query_params": [("token", TypeError), ([7], TypeError)],
    "inject_response_headers": [("yes", TypeError), (None, TypeError)],
    "trace_websocket_messages": [(1, TypeError), (None, TypeError), ("in", TypeError)],
    "websocket_message_filter": [("ping", TypeError), (False, TypeError)],
    "trace_websocket_connection": [(1, TypeError)],
    "trace_templates": [("yes", TypeError)],
    "background": [("elsewhere", ValueError), (None, ValueError)],
    "accept_parent": [("no", TypeError), (0, TypeError), (None, TypeError)],
    "client_filter": [("http://x", TypeError), (False, TypeError)],
    "propagation_filter": [("http://x", TypeError), (False, TypeError)],
    "server_error_statuses": [
        (500, TypeError),
        ("500", TypeError),
        (b"500", TypeError),
        (["500"], TypeError),
        ([500.0], TypeError),
        ([True], ValueError),
        ([0], ValueError),
        (range(500, 10**12), ValueError),
        (None, TypeError),
    ],
    "client_error_statuses": [
        (404, TypeError),
        ([None], TypeError),
        ({1000}, ValueError),
        (range(99, 500), ValueError),
    ],
    "blocked_after": [("1", TypeError), (True, TypeError), (0, ValueError), (float("nan"), ValueError)],
}
EACH_WRONG = [(name, value, error) for name, values in WRONG.items() for value, error in values]


def test_wrong_values_are_known_for_every_option() -> None:
    assert set(WRONG) == {field.name for field in dataclasses.fields(Options)}


@pytest.mark.parametrize(("name", "value", "error"), EACH_WRONG)
@pytest.mark.parametrize("make", [init_tracing, TornadoTracing])
def test_a_wrong_option_is_refused_at_once_by_name(
    make: Callable[..., Any], name: str, value: Any, error: type[Exception], recorder: Recorder
) -> None:
    with pytest.raises(error, match=rf"^{name} ") as raised:
        make(recorder.tracer, **{name: value})
    assert raised.type is error


@pytest.mark.parametrize(("name", "value", "error"), EACH_WRONG)
def test_a_wrong_setting_is_refused_at_construction_by_name(
    name: str, value: Any, error: type[Exception], recorder: Recorder
) -> None:
    init_tracing(recorder.tracer)
    with pytest.raises(error, match=rf"^opentracing_{name} ") as raised:
        application(**{f"opentracing_{name}": value})
    assert raised.type is error


@pytest.mark.parametrize("make", [init_tracing, TornadoTracing])
def test_an_unknown_option_is_refused_with_the_names_that_there_are(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"^trace_al is not an option.*, trace_all, "):
        make(trace_al=False)


def test_an_unknown_setting_is_refused_with_the_names_that_there_are() -> None:
    init_tracing()
    with pytest.raises(TypeError, match=r"^opentracing_trace_al is not an option.*, opentracing_trace_all, "):
        application(opentracing_trace_al=False)


@pytest.mark.parametrize("make", [init_tracing, init_client_tracing, TornadoTracing])
@pytest.mark.parametrize(
    "not_a_tracer", ["tracer", 7, MockTracer, object()], ids=["string", "number", "class", "object"]
)
def test_what_is_no_tracer_is_refused(make: Callable[[Any], object], not_a_tracer: Any) -> None:
    with pytest.raises(TypeError, match=r"^tracer must be an OpenTracing tracer"):
        make(not_a_tracer)


def test_a_wrong_callback_for_fetches_is_refused_by_name(recorder: Recorder) -> None:
    with pytest.raises(TypeError, match=r"^start_span_cb "):
        init_client_tracing(recorder.tracer, start_span_cb="callback")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"tracing": MockTracer(ContextVarsScopeManager())}, TypeError, "opentracing_tracing must be a TornadoTracing"),
        ({"tracing": "tracing"}, TypeError, "opentracing_tracing must be a TornadoTracing"),
        ({"tracing": TornadoTracing}, TypeError, "opentracing_tracing must be a TornadoTracing"),
        (
            {"tracing": TornadoTracing(), "tracer_callable": _reject},
            ValueError,
            "opentracing_tracing and opentracing_tracer_callable",
        ),
        ({"tracer_parameters": {"name": "x"}}, ValueError, "opentracing_tracer_parameters"),
        ({"tracer_callable": _reject, "tracer_parameters": "name"}, TypeError, "opentracing_tracer_parameters"),
        ({"tracer_callable": _reject, "tracer_parameters": ["name"]}, TypeError, "opentracing_tracer_parameters"),
        ({"tracer_callable": 7}, TypeError, "opentracing_tracer_callable"),
        ({"tracer_callable": "os.path.sep"}, TypeError, "opentracing_tracer_callable"),
        ({"tracer_callable": "os.path"}, TypeError, "opentracing_tracer_callable"),
        ({"tracer_callable": lambda: "tracer"}, TypeError, "opentracing_tracer_callable"),
        ({"tracer_callable": lambda: MockTracer}, TypeError, "opentracing_tracer_callable"),
        ({"tracer_callable": "no_such_module"}, ImportError, "opentracing_tracer_callable"),
        ({"tracer_callable": "no_such_module.make"}, ImportError, "opentracing_tracer_callable"),
        ({"tracer_callable": "os.no_such_name"}, ImportError, "opentracing_tracer_callable"),
        ({"tracer_callable": ""}, ImportError, "opentracing_tracer_callable"),
        ({"tracer_callable": ".make"}, ImportError, "opentracing_tracer_callable"),
        ({"tracer_callable": "os."}, ImportError, "opentracing_tracer_callable"),
    ],
)
def test_a_wrong_tracer_setting_is_refused_at_construction_by_name(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    init_tracing()
    with pytest.raises(error, match=message):
        application(**{f"opentracing_{name}": value for name, value in settings.items()})


def test_a_dotted_name_whose_module_is_broken_is_refused_by_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_on_purpose.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    init_tracing()
    with pytest.raises(ImportError, match="opentracing_tracer_callable") as raised:
        application(opentracing_tracer_callable="broken_on_purpose.make")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_what_a_tracer_callable_raises_is_raised_at_construction() -> None:
    def make() -> None:
        raise ArithmeticError("no tracer today")

    init_tracing()
    with pytest.raises(ArithmeticError, match="no tracer today"):
        application(opentracing_tracer_callable=make)


def test_a_call_that_is_refused_changes_nothing(recorder: Recorder) -> None:
    execute, fetch = RequestHandler._execute, AsyncHTTPClient.fetch
    with pytest.raises(TypeError):
        init_tracing(recorder.tracer, trace_all="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        init_client_tracing("tracer")  # type: ignore[arg-type]
    assert RequestHandler._execute is execute
    assert AsyncHTTPClient.fetch is fetch


async def test_a_call_that_is_refused_leaves_the_tracing_that_there_is(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    with pytest.raises(TypeError):
        init_tracing(MockRecorder().tracer, trace_all="yes")  # type: ignore[arg-type]
    await get(servers.start(application()))
    assert [span.name for span in await settled(recorder)] == ["Leaf"]


def test_settings_are_nobodys_business_without_init_tracing() -> None:
    application(opentracing_trace_all="yes", opentracing_tracer_callable=_reject, opentracing_no_such_thing=1)


@pytest.mark.parametrize(
    "wrong", [{"opentracing_trace_all": "yes"}, {"opentracing_tracer_callable": "no_such_module.make"}]
)
async def test_an_application_built_before_init_tracing_with_wrong_settings_is_served_untraced_and_reported(
    wrong: dict[str, Any], recorder: Recorder, servers: Servers, reports: list[logging.LogRecord]
) -> None:
    """It is too late for an exception."""
    url = servers.start(application(**wrong))
    init_tracing(recorder.tracer)
    for _ in range(2):
        assert await get(url) == 200
    (report,) = reports
    assert report.exc_info is not None
    assert str(report.exc_info[1]).startswith(next(iter(wrong)))
    assert await get(servers.start(application())) == 200
    assert [span.name for span in await settled(recorder)] == ["Leaf"]


async def test_a_tracer_callable_that_raises_too_late_for_an_exception_is_called_once(
    servers: Servers, reports: list[logging.LogRecord]
) -> None:
    calls: list[None] = []

    def make() -> None:
        calls.append(None)
        raise ArithmeticError("no tracer today")

    url = servers.start(application(opentracing_tracer_callable=make))
    init_tracing()
    for _ in range(2):
        assert await get(url) == 200
    assert len(calls) == len(reports) == 1


# Precedence


def tags_by(name: str) -> Callable[..., None]:
    def callback(span: Any, request: Any) -> None:
        span.set_tag("by", name)

    return callback


def server_spans(spans: list[Recorded]) -> list[Recorded]:
    return [span for span in spans if span.kind == "server"]


def client_spans(spans: list[Recorded]) -> list[Recorded]:
    return [span for span in spans if span.kind == "client"]


#: By option: two values and its default, each with how it shows in the spans of a request to the front; and where.
EFFECTS: dict[str, tuple[list[tuple[Any, Any]], Callable[[list[Recorded]], Any]]] = {
    "trace_all": ([(False, 0), (True, 2), (True, 2)], lambda spans: len(server_spans(spans))),
    "trace_client": ([(False, 0), (True, 1), (True, 1)], lambda spans: len(client_spans(spans))),
    "traced_attributes": (
        [(["method"], {"method"}), (["path", "version"], {"path", "version"}), ([], set())],
        lambda spans: {"method", "path", "version"} & set(server_spans(spans)[0].tags),
    ),
    "start_span_cb": (
        [(tags_by("one"), {"one"}), (tags_by("other"), {"other"}), (None, {None})],
        lambda spans: {span.tags.get("by") for span in spans},
    ),
}
LEVELS = ["init", "tracing", "setting"]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(
    "given", [given for count in range(4) for given in itertools.combinations(LEVELS, count)], ids="+".join
)
@pytest.mark.parametrize("option", EFFECTS)
async def test_a_setting_counts_more_than_the_tracing_object_than_the_argument_than_the_default(
    option: str, given: tuple[str, ...], swap: bool, recorder: Recorder, servers: Servers
) -> None:
    (one, other, default), effect = EFFECTS[option]
    winning, losing = (other, one) if swap else (one, other)
    arguments: dict[str, dict[str, Any]] = {level: {option: losing[0]} for level in given}
    if given:
        arguments[given[-1]] = {option: winning[0]}

    init_tracing(recorder.tracer, **arguments.get("init", {}))
    settings = {f"opentracing_{name}": value for name, value in arguments.get("setting", {}).items()}
    tracing = TornadoTracing(**arguments.get("tracing", {}))
    assert await get(servers.start(application(opentracing_tracing=tracing, **settings)), "/") == 200
    assert effect(await settled(recorder)) == (winning if given else default)[1]


async def test_the_tracing_objects_tracer_counts_more_than_the_one_given_to_init_tracing(
    recorder: Recorder, servers: Servers
) -> None:
    unused = MockRecorder()
    init_tracing(unused.tracer)
    await get(servers.start(application(opentracing_tracing=TornadoTracing(recorder.tracer))), "/")
    assert sorted(span.name for span in await settled(recorder)) == ["Front", "GET", "Leaf"]
    assert not unused.finished


async def test_a_setting_may_be_none_to_have_no_callback_in_one_application(
    recorder: Recorder, servers: Servers
) -> None:
    init_tracing(recorder.tracer, start_span_cb=tags_by("all"))
    await get(servers.start(application(opentracing_start_span_cb=None)))
    await get(servers.start(application()))
    assert ["by" in span.tags for span in await settled(recorder)] == [False, True]


async def test_attributes_may_come_from_an_iterator(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    url = servers.start(application(opentracing_traced_attributes=iter(["method", "version"])))
    await get(url)
    await get(url)
    assert [(s.tags["method"], s.tags["version"]) for s in await settled(recorder)] == [("GET", "HTTP/1.1")] * 2


# Where the tracer comes from


MADE: list[MockRecorder] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    MADE.clear()


def make_tracer(**parameters: Any) -> Any:
    recorder = MockRecorder()
    recorder.tracer.parameters = parameters
    MADE.append(recorder)
    return recorder.tracer


@pytest.mark.parametrize("parameters", [None, {}, {"service": "shop", "port": 1}])
@pytest.mark.parametrize("make", [make_tracer, f"{__name__}.make_tracer"])
async def test_a_tracer_callable_makes_the_applications_tracer(
    make: Any, parameters: dict[str, Any] | None, recorder: Recorder, servers: Servers
) -> None:
    init_tracing(recorder.tracer)
    url = servers.start(application(opentracing_tracer_callable=make, opentracing_tracer_parameters=parameters))
    await get(url, "/")
    (made,) = MADE
    assert made.tracer.parameters == (parameters or {})
    assert sorted(span.name for span in await settled(made)) == ["Front", "GET", "Leaf"]
    assert not recorder.finished


async def test_a_tracer_callable_is_called_once_however_often_tracing_is_initialised(servers: Servers) -> None:
    init_tracing()
    init_tracing()
    url = servers.start(application(opentracing_tracer_callable=make_tracer))
    assert len(MADE) == 1
    for _ in range(2):
        init_tracing(trace_client=False)
        await get(url)
        await get(url)
    (made,) = MADE
    assert [span.name for span in await settled(made)] == ["Leaf"] * 4


async def test_a_tracer_callable_is_called_once_after_tracing_was_removed_too(servers: Servers) -> None:
    init_tracing()
    url = servers.start(application(opentracing_tracer_callable=make_tracer))
    remove_tracing()
    await get(url)
    init_tracing()
    await get(url)
    (made,) = MADE
    assert [span.name for span in await settled(made)] == ["Leaf"]


async def test_a_tracer_callable_of_an_application_built_before_init_tracing_is_called_once(servers: Servers) -> None:
    url = servers.start(application(opentracing_tracer_callable=make_tracer))
    assert not MADE
    init_tracing()
    assert list(await asyncio.gather(*(get(url) for _ in range(3)))) == [200] * 3
    (made,) = MADE
    assert [span.name for span in await settled(made)] == ["Leaf"] * 3


async def test_without_a_tracer_the_global_one_is_looked_up_for_each_request(servers: Servers) -> None:
    init_tracing()
    url = servers.start(application())
    await get(url, "/")
    for recorder in [MockRecorder(), MockRecorder()]:
        opentracing.set_global_tracer(recorder.tracer)
        await get(url, "/")
        assert sorted(span.name for span in await settled(recorder, 3)) == ["Front", "GET", "Leaf"]


async def test_without_a_tracer_the_global_one_is_looked_up_for_each_fetch(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    init_client_tracing()
    url = servers.start(application())
    await client.fetch(f"{url}/leaf")
    for recorder in [MockRecorder(), MockRecorder()]:
        opentracing.set_global_tracer(recorder.tracer)
        await client.fetch(f"{url}/leaf")
        assert [span.name for span in await settled(recorder)] == ["GET"]


# Scope managers that are not fit for asyncio


class OwnThreadLocalScopeManager(ThreadLocalScopeManager):
    """A subclass, as tracers bring."""


def stand_in(path: str) -> Callable[[], ScopeManager]:
    """A scope manager that looks like one that cannot be imported here."""
    module, _, name = path.rpartition(".")
    return type(name, (ScopeManager,), {"__module__": module, "__qualname__": name})


UNFIT = [
    (ThreadLocalScopeManager, "ThreadLocalScopeManager"),
    (OwnThreadLocalScopeManager, "ThreadLocalScopeManager"),
    (AsyncioScopeManager, "AsyncioScopeManager"),
    (stand_in("opentracing.scope_managers.gevent.GeventScopeManager"), "GeventScopeManager"),
    (stand_in("opentracing.scope_managers.tornado.TornadoScopeManager"), "TornadoScopeManager"),
]
ENABLE: list[Callable[..., object]] = [init_tracing, init_client_tracing, TornadoTracing]


@pytest.mark.parametrize("enable", ENABLE)
@pytest.mark.parametrize(("manager", "name"), UNFIT)
def test_an_unfit_scope_manager_is_warned_of_once_with_the_remedy(
    manager: Callable[[], ScopeManager], name: str, enable: Callable[..., object]
) -> None:
    tracer = MockTracer(manager())
    with pytest.warns(RuntimeWarning) as warned:
        enable(tracer)
    (warning,) = warned
    assert str(warning.message).startswith(name)
    assert "scope_manager=tornado_opentracing.ContextVarsScopeManager()" in str(warning.message)
    assert warning.filename == __file__, "the warning points at the caller"
    for again in ENABLE:  # another warning would be an error
        again(tracer)
        again(MockTracer(tracer.scope_manager))


def test_each_unfit_scope_manager_is_warned_of() -> None:
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="ContextVarsScopeManager"):
            init_tracing(MockTracer())


def test_an_unfit_scope_manager_of_a_made_tracer_is_warned_of_at_construction() -> None:
    init_tracing()
    with pytest.warns(RuntimeWarning, match="ContextVarsScopeManager") as warned:
        application(opentracing_tracer_callable=MockTracer)
    assert len(warned) == 1


@pytest.mark.parametrize("enable", ENABLE)
def test_an_unfit_scope_manager_of_the_global_tracer_is_warned_of(enable: Callable[..., object]) -> None:
    opentracing.set_global_tracer(MockTracer())
    with pytest.warns(RuntimeWarning, match="ContextVarsScopeManager") as warned:
        enable()
    assert len(warned) == 1


@pytest.mark.parametrize("enable", ENABLE)
@pytest.mark.parametrize("stack", RECORDERS)
def test_nobody_is_warned_of_a_fit_scope_manager(
    stack: str, enable: Callable[..., object], recwarn: pytest.WarningsRecorder
) -> None:
    enable(RECORDERS[stack]().tracer)
    assert not recwarn.list


# Imports


def run(program: str, directory: pathlib.Path) -> None:
    """Run a program in a Python of its own, with the package that is tested here."""
    package = pathlib.Path(tornado_opentracing.__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    subprocess.run([sys.executable, "-c", program], cwd=directory, env=environment, check=True)


def test_nothing_of_tornados_old_stack_context_is_ever_imported(tmp_path: pathlib.Path) -> None:
    """Not on import, nor where scope managers are looked at; and no attempt is made."""
    program = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("tornado.stack_context", "opentracing.scope_managers.tornado"):
            sys.exit(f"{name} was asked for")

sys.meta_path.insert(0, Refuse())
import warnings
import tornado_opentracing
from opentracing.mocktracer import MockTracer
from tornado.web import Application

warnings.simplefilter("ignore")
tornado_opentracing.init_tracing(MockTracer())
tornado_opentracing.init_client_tracing(MockTracer())
tornado_opentracing.TornadoTracing(MockTracer())
Application([], opentracing_tracer_callable=MockTracer)
with tornado_opentracing.no_parent_scope():
    pass
"""
    run(program, tmp_path)


def test_other_scope_managers_are_imported_by_the_application_only(tmp_path: pathlib.Path) -> None:
    """``no_parent_scope`` looks after those that it finds imported."""
    program = """
import sys
import tornado_opentracing
with tornado_opentracing.no_parent_scope():
    pass
assert not {"opentracing.scope_managers.contextvars", "opentelemetry", "gevent"} & set(sys.modules)
"""
    run(program, tmp_path)
