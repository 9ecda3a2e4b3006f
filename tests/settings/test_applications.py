# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Several Applications in one process, each with its own tracer and settings: they never mix."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from support import RECORDERS, MockRecorder, Recorder, Servers, active_id, children, only
from support.applications import Front, Leaf, Meeting, application, kinds, tracing_of, unlike
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing, remove_tracing


@pytest.fixture(params=list(RECORDERS))
def three(request: pytest.FixtureRequest) -> list[Recorder]:
    """Three tracers of the same stack: the default one, and two for Applications."""
    return [unlike(RECORDERS[request.param](), number) for number in range(3)]


# Within a request.


async def test_requests_and_their_fetches_are_traced_by_their_own_application(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    default, first, second = three
    init_tracing(default.tracer)
    one = servers.start(application(client, **tracing_of(first)))
    two = servers.start(application(client, **tracing_of(second)))
    await client.fetch(f"{one}/front?url={two}/leaf&url={two}/leaf")
    assert kinds(first) == ["client", "client", "server"]
    assert kinds(second) == ["server", "server"]
    assert kinds(default) == ["client"]

    # And the trace goes through all of them.
    outer = only(default.finished)
    request = only(first.finished, kind="server")
    assert request.parent_id == outer.span_id
    fetches = children(first.finished, request)
    assert {span.parent_id for span in second.finished} == {fetch.span_id for fetch in fetches}
    everything = [*default.finished, *first.finished, *second.finished]
    assert {span.trace_id for span in everything} == {outer.trace_id}


async def test_an_application_without_settings_has_the_default_tracer(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    default, first, _ = three
    init_tracing(default.tracer)
    plain = servers.start(application(client))
    own = servers.start(application(client, **tracing_of(first)))
    await client.fetch(f"{plain}/front?url={own}/front")
    assert kinds(default) == ["client", "client", "server"]
    assert kinds(first) == ["server"]


async def test_intertwined_requests_of_two_applications_do_not_mix(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    default, first, second = three
    init_tracing(default.tracer, trace_client=False)
    leaf = servers.start(application(client))
    meeting = Meeting(6)
    fronts = {
        name: servers.start(
            application(client, own=recorder, meeting=meeting, leaf=leaf, **tracing_of(recorder, trace_client=True))
        )
        for name, recorder in (("a", first), ("b", second))
    }
    urls = [f"{front}/meet?name={name}{i}" for i in range(3) for name, front in fronts.items()]
    await asyncio.gather(*(client.fetch(url) for url in urls))
    leaves = default.finished
    for recorder, name in ((first, "a"), (second, "b")):
        assert kinds(recorder) == ["client"] * 9 + ["server"] * 3
        for i in range(3):
            request = only(recorder.finished, path=f"/meet?name={name}{i}")
            fetches = children(recorder.finished, request)
            assert [fetch.path for fetch in fetches] == [f"/{name}{i}"] * 3
            for fetch in fetches:
                assert only(leaves, parent_id=fetch.span_id, trace_id=fetch.trace_id).path == f"/{name}{i}"
    assert len(leaves) == 18


async def test_a_fetch_queued_behind_another_applications_is_traced_by_its_own(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    """A queued fetch is started in the context of whichever fetch ends."""
    default, first, second = three
    init_tracing(default.tracer)
    make: Any = AsyncHTTPClient
    narrow = make(force_instance=True, max_clients=1)
    leaf = servers.start(application(client))
    fronts = [servers.start(application(narrow, **tracing_of(recorder))) for recorder in (first, second)]
    urls = "&".join(f"url={leaf}/leaf" for _ in range(5))
    await asyncio.gather(*(client.fetch(f"{front}/front?{urls}") for front in fronts))
    for recorder in (first, second):
        assert kinds(recorder) == ["client"] * 5 + ["server"]
        request = only(recorder.finished, kind="server")
        assert len(children(recorder.finished, request)) == 5
    narrow.close()


@pytest.mark.parametrize("how", ["setting", "TornadoTracing"])
async def test_one_application_may_leave_its_fetches_untraced(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient, how: str
) -> None:
    default, first, second = three
    init_tracing(default.tracer)
    seen: list[str | None] = []

    class Look(RequestHandler):
        def get(self) -> None:
            seen.extend(name for name in self.request.headers if "trace" in name.lower())

    look = servers.start(Application([(r"/.*", Look)], opentracing_trace_all=False))
    without: dict[str, Any] = (
        tracing_of(first, trace_client=False)
        if how == "TornadoTracing"
        else {**tracing_of(first), "opentracing_trace_client": False}
    )
    one = servers.start(application(client, **without))
    two = servers.start(application(client, **tracing_of(second)))
    await client.fetch(f"{one}/front?url={look}/")
    assert kinds(first) == ["server"]
    assert seen == []
    await client.fetch(f"{two}/front?url={look}/")
    assert kinds(second) == ["client", "server"]
    assert seen != []
    assert kinds(default) == ["client", "client"]


@pytest.mark.parametrize("how", ["setting", "TornadoTracing"])
async def test_one_application_may_leave_its_requests_untraced_but_not_its_fetches(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient, how: str
) -> None:
    default, first, second = three
    init_tracing(default.tracer)
    without: dict[str, Any] = (
        tracing_of(first, trace_all=False)
        if how == "TornadoTracing"
        else {**tracing_of(first), "opentracing_trace_all": False}
    )
    one = servers.start(application(client, **without))
    two = servers.start(application(client, **tracing_of(second)))
    await client.fetch(f"{one}/front?url={two}/leaf&url={one}/leaf")
    assert kinds(first) == ["client", "client"]
    assert {span.parent_id for span in first.finished} == {None}
    assert only(second.finished).parent_id in {span.span_id for span in first.finished}


async def test_an_application_may_trace_its_requests_where_the_default_is_not_to(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    default, first, _ = three
    init_tracing(default.tracer, trace_all=False, trace_client=False)
    plain = servers.start(application(client))
    own = servers.start(
        application(client, **tracing_of(first), opentracing_trace_all=True, opentracing_trace_client=True)
    )
    await client.fetch(f"{own}/front?url={plain}/front")
    assert kinds(first) == ["client", "server"]
    assert kinds(default) == []


async def test_callbacks_and_attributes_are_each_applications_own(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """With one tracer for both."""
    calls: list[tuple[str, str]] = []

    def callback(name: str) -> Callable[[Any, Any], None]:
        def call(span: Any, request: Any) -> None:
            calls.append((name, "fetch" if isinstance(request, HTTPRequest) else "request"))
            span.set_tag("owner", name)

        return call

    init_tracing(recorder.tracer, start_span_cb=callback("default"))
    one = servers.start(
        application(client, opentracing_start_span_cb=callback("one"), opentracing_traced_attributes=["version"])
    )
    two = servers.start(
        application(client, **tracing_of(recorder, start_span_cb=callback("two"), traced_attributes=["host"]))
    )
    await client.fetch(f"{one}/front?url={two}/front")
    assert calls == [("default", "fetch"), ("one", "request"), ("one", "fetch"), ("two", "request")]
    tags = {span.tags["owner"]: span.tags for span in recorder.finished if span.kind == "server"}
    assert ("version" in tags["one"], "host" in tags["one"]) == (True, False)
    assert ("version" in tags["two"], "host" in tags["two"]) == (False, True)


async def test_each_application_makes_its_own_tracer(servers: Servers, client: AsyncHTTPClient) -> None:
    made: dict[str, MockRecorder] = {}

    def make(name: str) -> Any:
        made[name] = MockRecorder()
        return made[name].tracer

    init_tracing()
    one, two = (
        servers.start(
            application(client, opentracing_tracer_callable=make, opentracing_tracer_parameters={"name": name})
        )
        for name in ("one", "two")
    )
    await client.fetch(f"{one}/front?url={two}/leaf")
    await client.fetch(f"{one}/leaf")
    assert made.keys() == {"one", "two"}
    # The newest Application's tracer counts outside of requests.
    assert kinds(made["one"]) == ["client", "server", "server"]
    assert kinds(made["two"]) == ["client", "client", "server"]


async def test_one_handler_class_in_two_applications_is_traced_by_each(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    default, first, second = three
    init_tracing(default.tracer)
    for recorder in (first, second):
        await client.fetch(servers.start(Application([(r"/", Leaf)], **tracing_of(recorder))) + "/")
        assert only(recorder.finished).name == "Leaf"


async def test_one_connection_may_reach_several_applications(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient
) -> None:
    """An Application inside another handles the request, so it is its settings that count."""
    default, first, second = three
    init_tracing(default.tracer)
    leaf = servers.start(application(client, opentracing_trace_all=False))
    inner = Application([(r"/inner/front", Front)], client=client, **tracing_of(second))
    rules: list[Any] = [(r"/inner/.*", inner), (r"/front", Front)]
    outer = servers.start(Application(rules, client=client, **tracing_of(first)))
    host = outer.partition("://")[2]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    for path in ("/front", "/inner/front", "/front"):
        writer.write(f"GET {path}?url={leaf}/leaf HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert kinds(first) == ["client", "client", "server", "server"]
    assert kinds(second) == ["client", "server"]
    for recorder in (first, second):
        for request in recorder.finished:
            if request.kind == "server":
                assert request.parent_id is None
                assert len(children(recorder.finished, request)) == 1


@pytest.mark.parametrize("spawn", ["create_task", "call_soon", "add_callback"])
async def test_work_that_outlives_its_request_is_traced_by_that_requests_application(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient, spawn: str
) -> None:
    default, first, _ = three
    init_tracing(default.tracer)
    leaf = servers.start(application(client, opentracing_trace_all=False))
    go_on, done = asyncio.Event(), asyncio.Event()
    tasks: list[Any] = []

    async def later() -> None:
        await go_on.wait()
        await client.fetch(f"{leaf}/leaf")
        done.set()

    class Spawn(RequestHandler):
        def get(self) -> None:
            if spawn == "create_task":
                tasks.append(asyncio.ensure_future(later()))
            elif spawn == "call_soon":
                asyncio.get_running_loop().call_soon(lambda: tasks.append(asyncio.ensure_future(later())))
            else:
                IOLoop.current().add_callback(later)

    own = servers.start(Application([(r"/", Spawn)], **tracing_of(first)))
    await client.fetch(f"{own}/")
    assert kinds(first) == ["server"]
    go_on.set()
    await done.wait()
    assert kinds(first) == ["client", "server"]
    request = only(first.finished, kind="server")
    assert len(children(first.finished, request)) == 1


async def test_what_is_active_is_the_own_applications_span(servers: Servers, client: AsyncHTTPClient) -> None:
    """Under this package's scope manager no tracer sees what another one's Application has active."""
    default, first, second = (unlike(MockRecorder(), number) for number in range(3))
    init_tracing(default.tracer)
    seen: list[list[Any]] = []

    class Look(RequestHandler):
        def get(self) -> None:
            seen.append([active_id(recorder.tracer) for recorder in (default, first, second)])

    for recorder in (first, second):
        await client.fetch(servers.start(Application([(r"/", Look)], **tracing_of(recorder))) + "/")
    assert seen == [
        [None, only(first.finished).span_id, None],
        [None, None, only(second.finished).span_id],
    ]


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_server_that_was_started_within_a_request_is_not_that_requests(
    three: list[Recorder], servers: Servers, client: AsyncHTTPClient, is_traced: bool
) -> None:
    """Its connections inherit the context in which it was started."""
    default, first, second = three
    init_tracing(default.tracer, trace_all=False)
    leaf = servers.start(application(client))
    started: list[str] = []

    class Start(RequestHandler):
        def get(self) -> None:
            started.append(servers.start(application(client)))
            started.append(servers.start(application(client, **tracing_of(second, trace_all=True))))

    own = servers.start(Application([(r"/", Start)], **tracing_of(first, trace_all=is_traced)))
    await client.fetch(f"{own}/")
    plain, other = started
    await client.fetch(f"{plain}/front?url={leaf}/leaf")
    await client.fetch(f"{other}/front?url={leaf}/leaf")
    assert kinds(first) == ["server"] * is_traced
    assert kinds(second) == ["client", "server"]
    assert only(second.finished, kind="server").parent_id in {span.span_id for span in default.finished}
    assert kinds(default) == ["client"] * 4


# Later changes.


async def test_an_application_keeps_its_tracer_when_the_default_changes(
    recorders: dict[str, Recorder], servers: Servers, client: AsyncHTTPClient, untraced: str
) -> None:
    init_tracing(recorders["init"].tracer)
    own = servers.start(application(client, **tracing_of(recorders["one"])))
    plain = servers.start(application(client))
    init_tracing(recorders["two"].tracer)
    await client.fetch(f"{own}/front?url={plain}/front")
    assert kinds(recorders["one"]) == ["client", "server"]
    assert kinds(recorders["two"]) == ["client", "server"]
    assert kinds(recorders["init"]) == []


async def test_an_application_may_have_every_attribute_that_it_is_asked_for(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Lenient(Application):
        def __getattr__(self, name: str) -> None:
            return None

    url = servers.start(Lenient([("/", RequestHandler)]))
    init_tracing(recorder.tracer, trace_client=False)
    assert (await client.fetch(url, raise_error=False)).code == 405
    assert only(recorder.finished).status == 405


async def test_a_tracer_is_not_asked_whether_it_is_true(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Undecided(type(recorder.tracer)):  # type: ignore[misc]
        def __bool__(self) -> bool:
            raise ValueError("neither true nor false")

    recorder.tracer.__class__ = Undecided
    init_tracing(recorder.tracer)
    assert (await client.fetch(servers.start(Application([("/", RequestHandler)])), raise_error=False)).code == 405
    assert [span.status for span in recorder.finished] == [405, 405]


async def test_after_removal_no_application_is_traced(
    recorders: dict[str, Recorder], servers: Servers, client: AsyncHTTPClient, untraced: str
) -> None:
    opentracing.set_global_tracer(recorders["global"].tracer)
    init_tracing()
    own = servers.start(application(client, **tracing_of(recorders["one"])))
    remove_tracing()
    await client.fetch(f"{own}/front?url={untraced}/leaf")
    assert [recorder.finished for recorder in recorders.values()] == [[]] * 5


async def test_a_request_under_way_when_tracing_is_removed_finishes_its_spans(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, untraced: str
) -> None:
    init_tracing(MockRecorder().tracer)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    class Wait(RequestHandler):
        async def get(self) -> None:
            fetch = client.fetch(f"{untraced}/leaf")
            arrived.set()
            await go_on.wait()
            await fetch
            await client.fetch(f"{untraced}/leaf")

    own = servers.start(Application([(r"/", Wait)], **tracing_of(recorder)))
    response = asyncio.ensure_future(client.fetch(f"{own}/"))
    await arrived.wait()
    remove_tracing()
    go_on.set()
    await response
    assert kinds(recorder) == ["client", "server"]
