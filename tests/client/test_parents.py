# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Fetches are children of what is active where ``fetch`` is called."""

from __future__ import annotations

import asyncio

import pytest
from support import Recorder, Servers, active_id, children, only, span_id
from support.fetching import MakeClient, Site, echoed_id, the_span
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_client_tracing, init_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


async def test_a_fetch_outside_of_any_span_is_a_root(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    await each_client.fetch(f"{site.url}/")
    assert the_span(each_recorder).parent_id is None


async def test_the_parent_is_what_is_active_when_fetch_is_called_not_when_it_is_awaited(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    tracer = each_recorder.tracer
    init_client_tracing(tracer)
    with tracer.start_active_span("calling"):
        future = each_client.fetch(f"{site.url}/")
    with tracer.start_active_span("awaiting"):
        await future
    span = only(each_recorder.finished, kind="client")
    assert span.parent_id == only(each_recorder.finished, name="calling").span_id


async def test_what_is_active_in_the_caller_stays_as_it_was(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, refused_url: str
) -> None:
    """Between the call and the await, after the response, after a failure, and after a call that raised."""
    tracer = each_recorder.tracer
    init_client_tracing(tracer)
    with tracer.start_active_span("caller") as scope:
        caller = span_id(scope.span)
        future = each_client.fetch(f"{site.url}/")
        assert active_id(tracer) == caller
        await future
        assert active_id(tracer) == caller
        with pytest.raises((OSError, HTTPClientError)):
            await each_client.fetch(refused_url)
        assert active_id(tracer) == caller
        with pytest.raises(TypeError):
            await each_client.fetch(f"{site.url}/", unheard_of=1)
        assert active_id(tracer) == caller
    assert active_id(tracer) is None
    await each_client.fetch(f"{site.url}/")
    assert active_id(tracer) is None


async def test_gathered_fetches_are_siblings_and_each_server_span_hangs_under_its_own(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    client = make_client(max_clients=20)
    with tracer.start_active_span("caller"):
        responses = await asyncio.gather(*(client.fetch(f"{site.url}/{i}") for i in range(20)))
    spans = each_recorder.finished
    caller = only(spans, name="caller")
    fetches = {span.path: span for span in children(spans, caller)}
    assert fetches.keys() == {f"/{i}" for i in range(20)}
    for i, response in enumerate(responses):
        fetch = fetches[f"/{i}"]
        assert echoed_id(each_recorder, response) == fetch.span_id
        assert only(children(spans, fetch), kind="server").path == f"/{i}"
    assert len(spans) == 41
    assert each_recorder.unfinished == 0


async def test_fetches_gathered_in_a_handler_hang_under_the_request(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient, site: Site
) -> None:
    class Front(RequestHandler):
        async def get(self) -> None:
            await asyncio.gather(*(client.fetch(f"{site.url}/{i}") for i in range(5)))

    front = servers.start(Application([(r"/front", Front)]))
    init_tracing(each_recorder.tracer)
    await client.fetch(f"{front}/front")
    spans = each_recorder.finished
    request = only(spans, name="Front")
    assert sorted(span.path for span in children(spans, request)) == [f"/{i}" for i in range(5)]
    for fetch in children(spans, request):
        assert only(children(spans, fetch)).path == fetch.path


async def test_fetches_queued_behind_max_clients_have_their_own_parents(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    """A queued fetch is started by whichever fetch ends, but belongs to the one who asked for it."""
    tracer = each_recorder.tracer
    init_tracing(tracer)
    client = make_client(max_clients=2)

    async def task(i: int) -> HTTPResponse:
        with tracer.start_active_span(f"task {i}"):
            return await client.fetch(f"{site.url}/{i}")

    responses = await asyncio.gather(*(task(i) for i in range(30)))
    spans = each_recorder.finished
    for i, response in enumerate(responses):
        fetch = only(children(spans, only(spans, name=f"task {i}")))
        assert (fetch.kind, fetch.path) == ("client", f"/{i}")
        assert echoed_id(each_recorder, response) == fetch.span_id
        assert only(children(spans, fetch)).path == f"/{i}"
    assert len(spans) == 90
    assert each_recorder.unfinished == 0


async def test_a_span_is_open_as_long_as_its_fetch(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    future = each_client.fetch(f"{site.url}/wait")
    await until(lambda: site.waiting)
    assert (each_recorder.unfinished, each_recorder.finished) == (1, [])
    site.release.set()
    await future
    assert the_span(each_recorder).status == 200
