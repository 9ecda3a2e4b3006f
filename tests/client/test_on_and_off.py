# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tracing of fetches is switched on and off, alone or with the server's."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import opentracing
import pytest
from support import MockRecorder, Recorder, children, only
from support.fetching import Site, client_spans, server_spans, the_span
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClient, HTTPRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


async def test_client_tracing_alone_traces_no_server(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    execute, init = RequestHandler._execute, Application.__init__
    init_client_tracing(recorder.tracer)
    assert RequestHandler._execute is execute
    assert Application.__init__ is init
    await each_client.fetch(f"{site.url}/")
    assert the_span(recorder).kind == "client"


async def test_without_a_tracer_the_global_one_is_looked_up_at_each_fetch(
    recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing()
    await client.fetch(f"{site.url}/early")
    opentracing.set_global_tracer(recorder.tracer)
    await client.fetch(f"{site.url}/late")
    assert the_span(recorder).path == "/late"


async def test_trace_client_false_traces_no_fetch_and_adds_no_header(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    without = json.loads((await each_client.fetch(f"{site.url}/")).body)
    init_tracing(recorder.tracer, trace_client=False)
    with recorder.tracer.start_active_span("caller"):
        assert json.loads((await each_client.fetch(f"{site.url}/")).body) == without
    assert client_spans(recorder) == []
    assert only(server_spans(recorder)).parent_id is None


async def test_a_fetch_is_traced_once_however_often_tracing_is_initialised(
    recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    init_client_tracing(recorder.tracer)
    init_tracing(recorder.tracer)
    init_tracing(recorder.tracer)
    await client.fetch(f"{site.url}/")
    assert len(client_spans(recorder)) == 1


async def test_initialising_again_replaces_the_tracer(client: AsyncHTTPClient, site: Site) -> None:
    first, second = MockRecorder(), MockRecorder()
    init_client_tracing(first.tracer)
    init_client_tracing(second.tracer)
    await client.fetch(f"{site.url}/")
    assert first.finished == []
    assert the_span(second).status == 200


@pytest.mark.parametrize("init", [init_client_tracing, init_tracing])
async def test_removing_tracing_gives_tornado_its_own_fetch_back(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, init: Any
) -> None:
    own = AsyncHTTPClient.__dict__["fetch"]
    init(recorder.tracer)
    assert AsyncHTTPClient.__dict__["fetch"] is not own
    remove_tracing()
    assert AsyncHTTPClient.__dict__["fetch"] is own
    await each_client.fetch(f"{site.url}/")
    assert recorder.finished == []


async def test_a_fetch_under_way_when_tracing_is_removed_still_finishes_its_span(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    request = HTTPRequest(f"{site.url}/wait")
    future = each_client.fetch(request)
    await until(lambda: site.waiting)
    remove_tracing()
    site.release.set()
    assert (await future).request is request
    assert the_span(each_recorder).status == 200


async def test_fetches_of_several_threads_do_not_mix(recorder: Recorder, site: Site) -> None:
    init_client_tracing(recorder.tracer)
    together = threading.Barrier(3)

    def job(name: str) -> None:
        client = HTTPClient()
        try:
            with recorder.tracer.start_active_span(name):
                together.wait(5)
                for _ in range(3):
                    client.fetch(f"{site.url}/{name}")
        finally:
            client.close()

    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, job, f"job{i}") for i in range(3)))
    for i in range(3):
        job_span = only(recorder.finished, name=f"job{i}")
        assert [span.path for span in children(recorder.finished, job_span)] == [f"/job{i}"] * 3


def test_the_hook_keeps_name_and_documentation(recorder: Recorder) -> None:
    original = AsyncHTTPClient.fetch
    init_client_tracing(recorder.tracer)
    assert AsyncHTTPClient.fetch is not original
    assert AsyncHTTPClient.fetch.__name__ == "fetch"
    assert AsyncHTTPClient.fetch.__doc__ == original.__doc__
