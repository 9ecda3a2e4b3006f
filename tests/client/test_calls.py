# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One span for each logical fetch, however it is called, through whatever client."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Recorder, children, only
from support.fetching import Site, client_class, client_spans, echoed_id, new_client, the_span
from tornado.httpclient import AsyncHTTPClient, HTTPClient, HTTPClientError, HTTPRequest, HTTPResponse, _RequestProxy
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from tornado_opentracing import init_client_tracing, init_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


CALLS: dict[str, Callable[[AsyncHTTPClient, str], Awaitable[HTTPResponse]]] = {
    "string": lambda client, url: client.fetch(url),
    "string by keyword": lambda client, url: client.fetch(request=url),
    "string with arguments": lambda client, url: client.fetch(url, method="GET", headers={"X-Mine": "1"}),
    "string by keyword with arguments": lambda client, url: client.fetch(method="GET", request=url, raise_error=True),
    "HTTPRequest": lambda client, url: client.fetch(HTTPRequest(url)),
    "HTTPRequest by keyword": lambda client, url: client.fetch(request=HTTPRequest(url)),
    "HTTPRequest and positional raise_error": lambda client, url: client.fetch(HTTPRequest(url), False),
    "string and positional raise_error": lambda client, url: client.fetch(url, False, method="GET"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
async def test_every_way_to_call_fetch_has_one_span_that_the_server_hears_of(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, call: Any
) -> None:
    init_client_tracing(each_recorder.tracer)
    response = await call(each_client, f"{site.url}/echo")
    span = the_span(each_recorder)
    assert (span.name, span.path, span.status, span.is_error) == ("GET", "/echo", 200, False)
    assert echoed_id(each_recorder, response) == span.span_id


async def test_the_arguments_of_fetch_reach_the_server(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    response = await each_client.fetch(f"{site.url}/", method="POST", body="12345", headers={"X-Mine": "mine"})
    received = json.loads(response.body)
    assert (received["X-Mine"], received["Content-Length"]) == ("mine", "5")


async def test_a_chain_of_redirects_is_one_span_and_the_parent_of_every_hop(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_tracing(each_recorder.tracer)
    response = await each_client.fetch(f"{site.url}/redirect/3")
    assert response.effective_url == f"{site.url}/redirect/0"
    fetch = only(client_spans(each_recorder))
    assert (fetch.status, fetch.is_error) == (200, False)
    hops = children(each_recorder.finished, fetch)
    assert [(hop.path, hop.status) for hop in hops] == [
        ("/redirect/3", 302),
        ("/redirect/2", 302),
        ("/redirect/1", 302),
        ("/redirect/0", 200),
    ]
    assert each_recorder.unfinished == 0


async def test_a_chain_of_redirects_that_fails_at_its_end_is_one_span(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    with pytest.raises(HTTPClientError):
        await each_client.fetch(f"{site.url}/redirect-to?url=/status/503")
    span = the_span(recorder)
    assert (span.status, span.is_error) == (503, True)


async def test_a_response_whose_request_is_fetched_again_has_a_second_span(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    """Whatever is left on a request by a fetch that was redirected does not hide the next one."""
    init_client_tracing(recorder.tracer)
    first = await each_client.fetch(f"{site.url}/redirect/1")
    await each_client.fetch(first.request)
    assert [span.status for span in client_spans(recorder)] == [200, 200]


async def test_the_request_of_a_response_keeps_nothing_of_the_span(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    """It is the caller's to copy, to pickle and to keep."""
    init_client_tracing(recorder.tracer)
    response = await each_client.fetch(f"{site.url}/")
    assert the_span(recorder).status == 200
    assert not [name for name in vars(response.request) if "opentracing" in name]


class Unchangeable(HTTPRequest):
    def __delattr__(self, name: str) -> None:
        raise RuntimeError(name)


class AnswersForAnother(AsyncHTTPClient):
    """A client whose response is of a request that it made itself."""

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        asyncio.get_running_loop().call_soon(callback, HTTPResponse(Unchangeable(request.url), 200))


async def test_a_fetch_whose_responses_request_lets_nothing_be_deleted_is_finished(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    with contextlib.closing(new_client(AnswersForAnother)) as client:
        assert (await client.fetch("http://example.com/")).code == 200
    assert the_span(recorder).status == 200


class Plain(SimpleAsyncHTTPClient):
    pass


class OwnFetch(SimpleAsyncHTTPClient):
    def fetch(self, request: str | HTTPRequest, raise_error: bool = True, **kwargs: Any) -> Any:
        return super().fetch(request, raise_error=raise_error, **kwargs)


class OwnFetchImpl(SimpleAsyncHTTPClient):
    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        super().fetch_impl(request, callback)


@pytest.mark.parametrize("implementation", [Plain, OwnFetch, OwnFetchImpl])
async def test_a_client_of_a_subclass_is_traced_once(
    each_recorder: Recorder, site: Site, implementation: type[AsyncHTTPClient]
) -> None:
    init_client_tracing(each_recorder.tracer)
    client = new_client(implementation)
    response = await client.fetch(f"{site.url}/redirect/1")
    assert echoed_id(each_recorder, response) == the_span(each_recorder).span_id
    client.close()


class OwnDefaults(SimpleAsyncHTTPClient):
    def fetch_impl(self, request: Any, callback: Callable[[HTTPResponse], None]) -> None:
        super().fetch_impl(_RequestProxy(request, {"user_agent": "mine"}), callback)  # type: ignore[arg-type]


async def test_a_client_that_makes_something_else_of_the_request_is_traced(recorder: Recorder, site: Site) -> None:
    init_client_tracing(recorder.tracer)
    client = new_client(OwnDefaults)
    response = await client.fetch(f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    client.close()


async def test_a_configured_client_is_traced_once(recorder: Recorder, site: Site) -> None:
    init_client_tracing(recorder.tracer)
    AsyncHTTPClient.configure(Plain, max_clients=3)
    try:
        client = AsyncHTTPClient()
        assert isinstance(client, Plain)
        await client.fetch(f"{site.url}/")
        client.close()
    finally:
        AsyncHTTPClient.configure(None)
    assert the_span(recorder).status == 200


@pytest.mark.parametrize("by_keyword", [False, True])
@pytest.mark.parametrize("name", ["simple", "curl"])
async def test_a_blocking_client_is_traced_in_its_own_thread(
    each_recorder: Recorder, site: Site, name: str, by_keyword: bool
) -> None:
    init_client_tracing(each_recorder.tracer)
    implementation = client_class(name)

    def job() -> HTTPResponse:
        client = HTTPClient(implementation)
        try:
            with each_recorder.tracer.start_active_span("job"):
                if by_keyword:
                    return client.fetch(request=HTTPRequest(f"{site.url}/redirect/1"))
                return client.fetch(f"{site.url}/redirect/1", method="GET")
        finally:
            client.close()

    response = await asyncio.get_running_loop().run_in_executor(None, job)
    span = only(client_spans(each_recorder))
    assert echoed_id(each_recorder, response) == span.span_id
    assert span.parent_id == only(each_recorder.finished, name="job").span_id
    assert each_recorder.unfinished == 0


async def test_a_blocking_client_raises_what_it_would_have_raised(recorder: Recorder, site: Site) -> None:
    init_client_tracing(recorder.tracer)

    def job() -> None:
        client = HTTPClient()
        try:
            with pytest.raises(HTTPClientError, match="HTTP 404"):
                client.fetch(f"{site.url}/status/404")
            with pytest.raises(TypeError, match="unheard_of"):
                client.fetch(f"{site.url}/status/404", unheard_of=1)
        finally:
            client.close()

    await asyncio.get_running_loop().run_in_executor(None, job)
    assert [span.status for span in client_spans(recorder)] == [404, None]
    assert recorder.unfinished == 0
