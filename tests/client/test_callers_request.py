# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The caller's request is the caller's: the fetch changes none of its attributes, and the response names it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, children, only
from support.fetching import (
    Held,
    Immediate,
    MakeClient,
    Site,
    assert_untouched,
    echoed_id,
    new_client,
    set_header,
    some_headers,
    the_span,
    values_of,
)
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tornado_opentracing import init_client_tracing, init_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


@pytest.mark.parametrize("path", ["/", "/redirect/2", "/status/500"])
@pytest.mark.parametrize("headers", ["none", "dict", "HTTPHeaders"])
async def test_the_callers_headers_are_never_changed(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, path: str, headers: str
) -> None:
    """Nor is the request, but that it has other headers afterwards, as Tornado alone would set them."""
    init_client_tracing(recorder.tracer, set_header)
    request = HTTPRequest(f"{site.url}{path}", headers=some_headers(headers), user_agent="me")
    before = values_of(request)
    await each_client.fetch(request, raise_error=False)
    assert_untouched(request, before)
    assert the_span(recorder).kind == "client"


async def test_the_callers_request_is_not_changed_by_a_fetch_that_fails_or_is_refused(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, refused_url: str
) -> None:
    init_client_tracing(recorder.tracer)
    request = HTTPRequest(refused_url, headers={"X-Mine": "1"})
    before = values_of(request)
    with pytest.raises((OSError, HTTPClientError)):
        await each_client.fetch(request)
    assert_untouched(request, before)
    with pytest.raises(ValueError, match="kwargs can't be used"):
        await each_client.fetch(request, method="GET")
    assert_untouched(request, before)
    each_client.close()
    with pytest.raises(RuntimeError):
        await each_client.fetch(request)
    assert_untouched(request, before)


async def test_a_header_of_several_values_arrives_as_several_lines(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    headers = some_headers("HTTPHeaders")
    for fetch in (
        each_client.fetch(f"{site.url}/lines", headers=headers),
        each_client.fetch(HTTPRequest(f"{site.url}/lines", headers=headers)),
    ):
        assert json.loads((await fetch).body) == ["1", "2"]


@pytest.mark.parametrize("kind", ["dict", "HTTPHeaders"])
async def test_headers_given_as_an_argument_are_never_changed(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, kind: str
) -> None:
    init_client_tracing(recorder.tracer)
    headers = some_headers(kind)
    before = list(headers.get_all()) if kind == "HTTPHeaders" else dict(headers)
    response = await each_client.fetch(f"{site.url}/", headers=headers)
    assert (list(headers.get_all()) if kind == "HTTPHeaders" else headers) == before
    assert json.loads(response.body)["X-Mine"] in ("1", "1,2", "2")
    assert echoed_id(recorder, response) == the_span(recorder).span_id


async def test_one_request_fetched_many_times_at_once_gives_each_fetch_its_own_header(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    client = make_client(max_clients=4)
    request = HTTPRequest(f"{site.url}/shared", headers={"X-Mine": "1"})
    before = values_of(request)

    async def task(i: int) -> HTTPResponse:
        with tracer.start_active_span(f"task {i}"):
            return await client.fetch(request)

    responses = await asyncio.gather(*(task(i) for i in range(12)))
    spans = each_recorder.finished
    for i, response in enumerate(responses):
        fetch = only(children(spans, only(spans, name=f"task {i}")))
        assert echoed_id(each_recorder, response) == fetch.span_id
        assert only(children(spans, fetch)).kind == "server"
        assert response.request is request
    assert_untouched(request, before)


class MyRequest(HTTPRequest):
    def __init__(self, url: str, purpose: str) -> None:
        super().__init__(url)
        self.purpose = purpose


async def test_a_request_of_a_subclass_stays_one(recorder: Recorder, site: Site) -> None:
    seen: list[Any] = []

    class Client(SimpleAsyncHTTPClient):
        def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
            seen.append(request)
            super().fetch_impl(request, callback)

    init_client_tracing(recorder.tracer)
    client = new_client(Client)
    request = MyRequest(f"{site.url}/", "testing")
    response = await client.fetch(request)
    client.close()
    assert response.request is request
    assert (type(seen[0].request), seen[0].purpose) == (MyRequest, "testing")


@pytest.mark.parametrize("path", ["/", "/redirect/2", "/status/304", "/status/404", "/status/503"])
async def test_the_response_names_the_callers_own_request(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, path: str
) -> None:
    init_client_tracing(recorder.tracer)
    request = HTTPRequest(f"{site.url}{path}")
    response = await each_client.fetch(request, raise_error=False)
    assert response.request is request
    if response.error is not None:
        assert isinstance(response.error, HTTPClientError)
        assert response.error.response is response


@pytest.mark.parametrize("path", ["/status/304", "/status/404", "/status/503", "/redirect-to?url=/status/404"])
async def test_the_response_of_an_error_names_the_callers_own_request(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, path: str
) -> None:
    init_client_tracing(recorder.tracer)
    request = HTTPRequest(f"{site.url}{path}")
    with pytest.raises(HTTPClientError) as caught:
        await each_client.fetch(request)
    assert caught.value.response is not None
    assert caught.value.response.request is request


async def test_a_response_that_is_there_at_once_names_the_callers_own_request(recorder: Recorder) -> None:
    """A client may answer before ``fetch`` returns; awaiting its future then takes no turn of the loop."""
    init_client_tracing(recorder.tracer)
    client = new_client(Immediate)
    request = HTTPRequest("http://nowhere.invalid/")
    future = client.fetch(request)
    assert future.done()
    assert future.result().request is request
    await asyncio.sleep(0)
    assert the_span(recorder).status == 200
    client.close()


async def test_responses_that_arrive_together_name_the_callers_own_requests(recorder: Recorder) -> None:
    """Who awaits one of them finds the other done already, before any of its callbacks could run."""
    init_client_tracing(recorder.tracer)
    client = new_client(Held)
    first, second = HTTPRequest("http://nowhere.invalid/1"), HTTPRequest("http://nowhere.invalid/2")

    async def caller() -> tuple[Any, Any]:
        one, two = client.fetch(first), client.fetch(second)
        response = await two
        return response.request, (await one).request

    task = asyncio.ensure_future(caller())
    await until(lambda: len(client.fetches) == 2)
    client.fetches[1](200)
    client.fetches[0](200)
    requests = await task
    assert requests[0] is second
    assert requests[1] is first
    client.close()
