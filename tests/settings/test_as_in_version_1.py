# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What version 1 did for callers of ``init_client_tracing`` and for handlers that read ``opentracing_tracing``."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from support import MockRecorder, Recorder, Servers, only
from support.serving import connection, settled
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_client_tracing, init_tracing, remove_tracing, trace
from tornado_opentracing._settings.applications import config_of
from tornado_opentracing._settings.config import process

Callback = Callable[[Any, Any], None]


class Leaf(RequestHandler):
    def get(self) -> None:
        self.write("leaf")


class Front(RequestHandler):
    async def get(self) -> None:
        await AsyncHTTPClient().fetch(self.application.settings["leaf"])


def notes(found: list[Any]) -> Callback:
    return lambda span, request: found.append(request)


async def get(servers: Servers, handler: type[RequestHandler] = Front, **settings: Any) -> None:
    """One request to a handler that fetches from a server without traces."""
    leaf = servers.start(Application([("/", Leaf)], opentracing_trace_all=False, opentracing_tracing=TornadoTracing()))
    async with connection(servers.start(Application([("/", handler)], leaf=leaf, **settings))) as opened:
        assert await opened.get() == (200, "")


# init_client_tracing


async def test_beside_the_decorator_the_callback_for_fetches_is_called_for_fetches_and_no_other(
    each_recorder: Recorder, servers: Servers
) -> None:
    of_server: list[Any] = []
    of_client: list[Any] = []
    tracing = TornadoTracing(each_recorder.tracer, start_span_cb=notes(of_server))

    class Decorated(Front):
        get = tracing.trace(Front.get)

    init_client_tracing(each_recorder.tracer, start_span_cb=notes(of_client))
    await get(servers, Decorated)
    spans = await settled(each_recorder, 2)
    assert [type(request) for request in of_client] == [HTTPRequest]
    assert [type(request) for request in of_server] == [HTTPServerRequest]
    assert only(spans, kind="client").parent_id == only(spans, kind="server").span_id


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"opentracing_traced_attributes": ["uri"]},
        {"opentracing_start_span_cb": None},
        {"opentracing_tracing": TornadoTracing(start_span_cb=lambda span, request: None)},
    ],
    ids=["no settings", "other settings", "no callback", "other callback"],
)
async def test_in_a_request_of_any_application_it_is_called_for_fetches(
    settings: dict[str, Any], recorder: Recorder, servers: Servers
) -> None:
    of_server: list[Any] = []
    of_client: list[Any] = []
    init_tracing(recorder.tracer, start_span_cb=notes(of_server))
    init_client_tracing(recorder.tracer, notes(of_client))
    await get(servers, **settings)
    spans = await settled(recorder, 2)
    assert [type(request) for request in of_client] == [HTTPRequest]
    assert HTTPRequest not in map(type, of_server)
    assert only(spans, kind="client").parent_id == only(spans, kind="server").span_id


async def test_without_a_callback_of_its_own_that_of_the_request_stays(recorder: Recorder, servers: Servers) -> None:
    called: list[Any] = []
    init_tracing(recorder.tracer, start_span_cb=notes(called))
    init_client_tracing(recorder.tracer)
    await get(servers)
    assert [type(request) for request in called] == [HTTPServerRequest, HTTPRequest]


async def test_an_application_that_wants_no_spans_of_fetches_gets_none(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    init_client_tracing(recorder.tracer, lambda span, request: None)
    await get(servers, opentracing_trace_client=False)
    assert [span.kind for span in await settled(recorder)] == ["server"]


async def test_beside_a_decorator_without_a_tracer_its_own_counts_for_fetches(
    recorder: Recorder, servers: Servers
) -> None:
    class Decorated(Front):
        get = trace(Front.get)

    init_client_tracing(recorder.tracer)
    await get(servers, Decorated)
    assert [span.kind for span in await settled(recorder)] == ["client"]


@pytest.mark.parametrize("is_own", [False, True])
async def test_it_takes_a_tracing_object_with_its_tracer_and_its_options(
    is_own: bool, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    theirs: list[Any] = []
    own: list[Any] = []
    options: Any = {"traced_request_headers": ["X-One"], "start_span_cb": notes(theirs), "trace_client": False}
    init_client_tracing(TornadoTracing(each_recorder.tracer, **options), notes(own) if is_own else None)
    url = servers.start(Application([("/", Leaf)]))
    await client.fetch(url, headers={"X-One": "1"})
    (span,) = await settled(each_recorder)
    assert "http.request.header.x-one" in span.tags
    assert (len(theirs), len(own)) == (not is_own, is_own)


async def test_it_takes_a_tracing_object_without_a_tracer_as_none(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_client_tracing(TornadoTracing())
    opentracing.set_global_tracer(recorder.tracer)
    await client.fetch(servers.start(Application([("/", Leaf)])))
    assert [span.name for span in await settled(recorder)] == ["GET"]


# application.settings["opentracing_tracing"]


SEEN: list[Any] = []


class Reads(RequestHandler):
    """As handlers of version 1 do."""

    async def get(self) -> None:
        tracing = self.settings["opentracing_tracing"]
        span = tracing.get_span(self)
        SEEN.append((tracing, tracing.tracer))
        if span is not None:
            span.set_tag("read", True)


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


@pytest.mark.parametrize("is_built_before", [False, True])
@pytest.mark.parametrize("settings", [{}, {"opentracing_traced_attributes": ["uri"]}, {"opentracing_tracing": None}])
async def test_the_tracing_in_use_is_in_the_settings_of_every_application(
    settings: dict[str, Any], is_built_before: bool, each_recorder: Recorder, servers: Servers
) -> None:
    if not is_built_before:
        init_tracing(each_recorder.tracer)
    application = Application([("/", Reads)], **settings)
    if is_built_before:
        init_tracing(each_recorder.tracer)
    else:
        assert application.settings["opentracing_tracing"].tracer is each_recorder.tracer
    async with connection(servers.start(application)) as opened:
        assert await opened.get() == (200, "")
    ((tracing, tracer),) = SEEN
    assert isinstance(tracing, TornadoTracing)
    assert tracer is each_recorder.tracer
    assert only(await settled(each_recorder)).tags["read"] is True


def test_a_tracer_that_a_callable_made_is_in_the_tracing_that_is_shown() -> None:
    tracer = MockRecorder().tracer
    init_tracing(MockRecorder().tracer)
    application = Application([], opentracing_tracer_callable=lambda: tracer)
    assert application.settings["opentracing_tracing"].tracer is tracer
    init_tracing(MockRecorder().tracer)
    again = Application([], **application.settings)  # which have both now, and the first is not the application's own
    assert again.settings["opentracing_tracing"].tracer is tracer


def test_an_applications_own_tracing_stays_where_it_is() -> None:
    tracing = TornadoTracing(MockRecorder().tracer)
    init_tracing(MockRecorder().tracer)
    application = Application([], opentracing_tracing=tracing, opentracing_trace_client=False)
    assert application.settings["opentracing_tracing"] is tracing
    remove_tracing()
    assert application.settings["opentracing_tracing"] is tracing


@pytest.mark.parametrize("between", [lambda: None, remove_tracing], ids=["again", "removed"])
@pytest.mark.parametrize("settings", [{}, {"opentracing_traced_attributes": ["uri"]}, {"opentracing_tracing": None}])
async def test_after_a_second_init_tracing_it_is_the_second_tracing(
    settings: dict[str, Any], between: Callable[[], None], recorder: Recorder, servers: Servers
) -> None:
    old = MockRecorder()
    init_tracing(old.tracer)
    application = Application([("/", Reads)], **settings)
    between()
    init_tracing(recorder.tracer)
    async with connection(servers.start(application)) as opened:
        assert await opened.get() == (200, "")
    assert [tracer for _, tracer in SEEN] == [recorder.tracer]
    assert [span.name for span in await settled(recorder)] == ["Reads"]
    assert old.finished == []


@pytest.mark.parametrize("settings", [{}, {"opentracing_trace_client": False}, {"opentracing_tracing": None}])
async def test_when_tracing_is_removed_the_settings_are_what_they_were(
    settings: dict[str, Any], recorder: Recorder, servers: Servers
) -> None:
    given = Application([], **settings).settings
    before = Application([("/", Leaf)], **settings)
    init_tracing(MockRecorder().tracer)
    during = Application([("/", Leaf)], **settings)
    async with connection(servers.start(before)) as opened:
        await opened.get()
    for _ in range(2):
        init_tracing(recorder.tracer)
        async with connection(servers.start(during)) as opened:
            await opened.get()
        assert during.settings != given
        remove_tracing()
        assert during.settings == given
        assert before.settings == given


def test_tracing_that_is_initialised_while_it_is_removed_stays_shown(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_tracing(MockRecorder().tracer)
    application = Application([])

    def initialised_meanwhile() -> None:
        init_tracing(recorder.tracer)
        config_of(application)

    monkeypatch.setattr(process, "shown_to", Interrupted(process.shown_to, initialised_meanwhile))
    remove_tracing()
    assert application.settings["opentracing_tracing"].tracer is recorder.tracer


class Interrupted:
    """Another thread does something when it is to be walked through."""

    def __init__(self, shown_to: Any, something: Callable[[], None]) -> None:
        self._shown_to = shown_to
        self._something = something

    def valuerefs(self) -> Any:
        self._something()
        return self._shown_to.valuerefs()

    def __setitem__(self, key: int, value: Application) -> None:
        self._shown_to[key] = value


async def test_what_was_shown_is_nobodys_tracing_once_it_is_removed(recorder: Recorder, servers: Servers) -> None:
    """Not that of the decorator either, nor where its settings went on to another Application."""

    class Decorated(RequestHandler):
        @trace
        def get(self) -> None:
            pass

    init_tracing(recorder.tracer, trace_all=False)
    copied = dict(Application([("/", Decorated)]).settings)
    remove_tracing()
    async with connection(servers.start(Application([("/", Decorated)], **copied))) as opened:
        assert await opened.get() == (200, "")
    assert recorder.finished == []


class ReadOnly(Application):
    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.settings: Any = types.MappingProxyType(self.settings)


async def test_settings_that_cannot_be_changed_stay_as_they_are(
    recorder: Recorder, servers: Servers, reports: list[Any]
) -> None:
    application = ReadOnly([("/", Leaf)])
    init_tracing(recorder.tracer)
    async with connection(servers.start(application)) as opened:
        assert await opened.get() == (200, "leaf")
    assert "opentracing_tracing" not in application.settings
    assert [span.name for span in await settled(recorder)] == ["Leaf"]
    assert len(reports) == 1
    remove_tracing()
