# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``start_span_cb`` and ``finish_span_cb`` of requests: when exactly they are called, with what, what they may do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import MockRecorder, Recorder, Servers, only
from support.callbacks import Calls, Outcome, Site, application, connected
from support.serving import connection, only_span, settled, until
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, WebSocketMessage, init_tracing


async def answered(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        await opened.get(path)


async def dropped(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        with contextlib.suppress(asyncio.IncompleteReadError):
            await opened.answer()


async def cancelled(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)
        handler: Any = site.handlers[0]
        handler.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await handler.task


async def left(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)


async def left_in_the_body(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"POST {path} HTTP/1.1\nHost: h\nContent-Length: 10\n\nhalf")
        await asyncio.wait_for(site.started.wait(), 20)


async def released(path: str, site: Site, url: str) -> None:
    async with connection(url) as opened:
        opened.send(f"GET {path} HTTP/1.1\nHost: h\n\n")
        await asyncio.wait_for(site.started.wait(), 20)
        site.release.set()
        await opened.answer()


REQUESTS: list[Any] = [
    # path, how it is requested, status
    ("/ok", answered, 200),
    ("/finish", answered, 200),
    ("/redirect", answered, 302),
    ("/missing", answered, 404),
    ("/nowhere", answered, 404),
    ("/raising", answered, 500),
    ("/unavailable", answered, 503),
    ("/socket", answered, 400),
    ("/socket", connected, 101),
    ("/wsgi", answered, 200),
    ("/late", released, 200),
    ("/late", left, None),
    ("/waiting", released, 200),
    ("/waiting", left, None),
    ("/upload", left_in_the_body, None),
]


@pytest.mark.parametrize(("path", "how", "status"), REQUESTS)
async def test_both_are_called_once_for_a_request(
    path: str,
    how: Callable[[str, Site, str], Awaitable[None]],
    status: int | None,
    each_recorder: Recorder,
    servers: Servers,
) -> None:
    """The one with the request when the span started; the other with the handler when everything is known."""
    site = Site()
    started, finished = Calls(HTTPServerRequest), Calls(RequestHandler)
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished, trace_client=False)
    await how(path, site, servers.start(application(site, opentracing_trace_websocket_messages=False)))
    span = await only_span(each_recorder)
    # Whether a WSGI application has answered by then depends on Tornado's version.
    assert span.status == status or (path == "/wsgi" and span.status is None)
    ((started_span, request),) = started
    ((finished_span, handler),) = finished
    assert handler.request is request
    assert finished_span is started_span
    if site.handlers:
        assert handler is site.handlers[0]


async def test_both_are_called_once_for_a_request_that_is_cancelled(each_recorder: Recorder, servers: Servers) -> None:
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    await cancelled("/waiting", site, servers.start(application(site)))
    assert (await only_span(each_recorder)).is_error
    assert len(started) == 1
    assert finished.subjects == site.handlers


async def test_only_the_first_is_called_for_a_request_whose_handler_cannot_be_constructed(
    each_recorder: Recorder, servers: Servers
) -> None:
    """There is no handler that the other could be given."""
    site = Site()
    started, finished = Calls(), Calls()
    init_tracing(each_recorder.tracer, start_span_cb=started, finish_span_cb=finished)
    await dropped("/refused", site, servers.start(application(site)))
    await only_span(each_recorder)
    assert [type(subject) for subject in started.subjects] == [HTTPServerRequest]
    assert finished == []


async def test_finish_span_cb_comes_after_on_finish_and_before_the_span_is_finished(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    site = Site()

    def finishing(span: Any, handler: RequestHandler) -> None:
        site.events.append(f"finish_span_cb {len(recorder.finished)} {span.tags['http.status_code']}")

    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    await client.fetch(servers.start(application(site)) + "/ok")
    await only_span(recorder)
    assert site.events == ["on_finish", "finish_span_cb 0 200"]


@pytest.mark.parametrize(("path", "status"), [("/ok", 200), ("/raising", 500), ("/late", 200)])
async def test_finish_span_cb_sees_the_outcome_and_may_add_to_it(
    path: str, status: int, each_recorder: Recorder, servers: Servers
) -> None:
    def finishing(span: Any, handler: RequestHandler) -> None:
        assert TornadoTracing.get_span(handler) == span
        span.set_tag("seen", handler.get_status())
        span.set_operation_name("renamed")
        span.log_kv({"event": "finishing"})

    site = Site()
    site.release.set()
    init_tracing(each_recorder.tracer, finish_span_cb=finishing)
    await answered(path, site, servers.start(application(site)))
    span = await only_span(each_recorder)
    assert (span.name, span.tags["seen"], span.status) == ("renamed", status, status)
    assert span.logs[-1].get("event", "finishing") == "finishing"


async def test_finish_span_cb_sees_the_tags_and_logs_of_an_error(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    seen: list[Any] = []

    def finishing(span: Any, handler: RequestHandler) -> None:
        seen.append((span.tags["error"], span.tags["http.status_code"], span.logs[0].key_values["error.kind"]))

    site = Site()
    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    await client.fetch(servers.start(application(site)) + "/raising", raise_error=False)
    await only_span(recorder)
    assert seen == [(True, 500, "UnhandledError")]


async def test_callbacks_of_a_decorators_tracing_are_called(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    started, finished = Calls(), Calls()
    tracing = TornadoTracing(recorder.tracer, started, finish_span_cb=finished)

    class Decorated(RequestHandler):
        @tracing.trace
        async def get(self) -> None:
            self.other()

        @tracing.trace
        def other(self) -> None:
            pass

    await client.fetch(servers.start(Application([("/", Decorated)])))
    await only_span(recorder)
    assert [type(subject) for subject in started.subjects] == [HTTPServerRequest]
    assert [type(subject) for subject in finished.subjects] == [Decorated]


async def test_for_the_messages_of_a_websocket_both_are_given_what_happened(
    recorder: Recorder, servers: Servers
) -> None:
    site = Site()
    started, finished = Calls(), Calls()
    options: Any = {"start_span_cb": started, "finish_span_cb": finished, "trace_websocket_messages": True}
    init_tracing(recorder.tracer, trace_client=False, **options)
    await connected("/socket", site, servers.start(application(site)))
    await settled(recorder, 4)
    request, *messages = started.subjects
    assert type(request) is HTTPServerRequest
    assert {type(subject) for subject in messages} == {WebSocketMessage}
    assert [subject for subject in finished.subjects if isinstance(subject, WebSocketMessage)] == messages
    assert [subject for subject in finished.subjects if not isinstance(subject, WebSocketMessage)] == site.handlers


async def test_a_callback_that_fetches_is_traced_like_any_other_code(
    recorder: MockRecorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """What ``finish_span_cb`` starts belongs to the request; it must not call itself for ever, though."""
    tasks: list[asyncio.Future[Any]] = []

    def reporting(span: Any, subject: Any) -> None:
        if isinstance(subject, Outcome):
            tasks.append(asyncio.ensure_future(client.fetch(other)))

    init_tracing(recorder.tracer, finish_span_cb=reporting)
    other = servers.start(application(Site(), opentracing_trace_all=False)) + "/ok"
    await answered("/ok", Site(), servers.start(application(Site())))
    await until(lambda: tasks)
    await tasks[0]
    spans = await settled(recorder, 2)
    assert only(spans, kind="client").parent_id == only(spans, kind="server").span_id


# Two Applications.


async def test_each_application_has_its_own_callbacks(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    default, own = Calls(), Calls()
    init_tracing(recorder.tracer, start_span_cb=default, finish_span_cb=default, trace_client=False)
    await client.fetch(servers.start(application(Site())) + "/ok")
    settings: Any = {"opentracing_start_span_cb": own, "opentracing_finish_span_cb": own}
    await client.fetch(servers.start(application(Site(), **settings)) + "/ok")
    none: Any = {"opentracing_start_span_cb": None, "opentracing_finish_span_cb": None}
    await client.fetch(servers.start(application(Site(), **none)) + "/ok")
    await settled(recorder, 3)
    assert len(default) == len(own) == 2
    assert default[0][0] is default[1][0] is not own[0][0]
