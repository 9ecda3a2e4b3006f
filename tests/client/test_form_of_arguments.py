# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What lies beneath our hook gets what the caller gave, in the form in which it was given."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from support import Recorder, only
from support.fetching import Site, client_spans, echoed_id, the_span
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from tornado_opentracing import init_client_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

Call = Callable[[Any, str], Any]
Seen = list[tuple[tuple[Any, ...], dict[str, Any]]]

#: How a caller can give the arguments, and what of it is positional.
CALLS: dict[str, Call] = {
    "URL": lambda client, url: client.fetch(url),
    "URL by keyword": lambda client, url: client.fetch(request=url),
    "URL and keywords": lambda client, url: client.fetch(url, method="GET", headers={"X-Mine": "1"}),
    "URL and positional raise_error": lambda client, url: client.fetch(url, False),
    "URL and raise_error by keyword": lambda client, url: client.fetch(url, raise_error=True),
    "HTTPRequest": lambda client, url: client.fetch(HTTPRequest(url)),
    "HTTPRequest by keyword": lambda client, url: client.fetch(request=HTTPRequest(url)),
    "HTTPRequest and positional raise_error": lambda client, url: client.fetch(HTTPRequest(url), True),
    "HTTPRequest and raise_error by keyword": lambda client, url: client.fetch(HTTPRequest(url), raise_error=False),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


def form(seen: tuple[tuple[Any, ...], dict[str, Any]]) -> object:
    """How arguments were given; of headers, which carry the trace, and of requests only the kind."""
    args, kwargs = seen
    kwargs = {name: value for name, value in kwargs.items() if name != "headers"}
    return [a if isinstance(a, (str, bool)) else type(a) for a in args], {
        name: type(value) if isinstance(value, HTTPRequest) else value for name, value in kwargs.items()
    }


def wrap(monkeypatch: pytest.MonkeyPatch, wrapper: Callable[[Any, Seen], Any]) -> Seen:
    seen: Seen = []
    monkeypatch.setattr(AsyncHTTPClient, "fetch", wrapper(AsyncHTTPClient.fetch, seen))
    return seen


def by_name(original: Any, seen: Seen) -> Any:
    def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        seen.append(((request,), kwargs))
        return original(self, request, **kwargs)

    return fetch


def by_star(original: Any, seen: Seen) -> Any:
    @functools.wraps(original)
    def fetch(self: AsyncHTTPClient, *args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return original(self, *args, **kwargs)

    return fetch


def by_coroutine(original: Any, seen: Seen) -> Any:
    async def fetch(self: AsyncHTTPClient, *args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return await original(self, *args, **kwargs)

    return fetch


class Wrapper:
    """Takes itself for a function, as those of the library wrapt do."""

    def __init__(self, original: Any, seen: Seen) -> None:
        self.original = original
        self.seen = seen

    def __get__(self, client: Any, owner: Any) -> Any:
        return self if client is None else functools.partial(self, client)

    def __call__(self, client: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append((args, kwargs))
        return self.original(client, *args, **kwargs)


@pytest.mark.parametrize("wrapper", [by_star, by_coroutine, Wrapper])
@each_call
async def test_a_wrapper_installed_before_sees_the_form_that_the_caller_chose(
    each_recorder: Recorder,
    each_client: AsyncHTTPClient,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    call: Call,
    wrapper: Any,
) -> None:
    url = f"{site.url}/echo"
    seen = wrap(monkeypatch, wrapper)
    await call(each_client, url)
    init_client_tracing(each_recorder.tracer)
    response = await call(each_client, url)
    untraced, traced = seen
    assert form(traced) == form(untraced)
    span = the_span(each_recorder)
    assert (span.path, span.status, span.is_error) == ("/echo", 200, False)
    assert echoed_id(each_recorder, response) == span.span_id


@pytest.mark.parametrize("name", [name for name in CALLS if "positional" not in name])
async def test_a_wrapper_that_takes_a_request_and_keywords_alone_keeps_working(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wrap(monkeypatch, by_name)
    init_client_tracing(recorder.tracer)
    response = await CALLS[name](each_client, f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id


async def test_a_wrapper_sees_a_urls_own_headers_and_all_other_arguments(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = wrap(monkeypatch, by_star)
    init_client_tracing(recorder.tracer)
    headers = {"X-Mine": "mine"}
    response = await each_client.fetch(f"{site.url}/", method="POST", body=b"12345", headers=headers, user_agent="me")
    [(args, kwargs)] = seen
    assert args == (f"{site.url}/",)
    assert kwargs.pop("headers").items() >= headers.items()
    assert kwargs == {"method": "POST", "body": b"12345", "user_agent": "me"}
    assert headers == {"X-Mine": "mine"}
    assert json.loads(response.body)["X-Mine"] == "mine"


async def test_a_wrapper_may_take_arguments_that_tornado_does_not_know(
    recorder: Recorder, client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = AsyncHTTPClient.fetch
    retries: list[int] = []

    def fetch(self: AsyncHTTPClient, request: Any, retry: int = 0, **kwargs: Any) -> Any:
        retries.append(retry)
        return original(self, request, **kwargs)

    monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
    init_client_tracing(recorder.tracer)
    untyped: Any = client
    for request in (f"{site.url}/", HTTPRequest(f"{site.url}/")):
        response = await untyped.fetch(request, retry=3)
        assert echoed_id(recorder, response) == client_spans(recorder)[-1].span_id
    assert retries == [3, 3]


async def test_a_wrapper_of_a_chain_of_redirects_makes_one_span(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrap(monkeypatch, by_star)
    init_client_tracing(each_recorder.tracer)
    request = HTTPRequest(f"{site.url}/redirect/2")
    assert (await each_client.fetch(request)).request is request
    assert only(client_spans(each_recorder)).status == 200
    await each_client.fetch(f"{site.url}/redirect/2")
    assert [span.status for span in client_spans(each_recorder)] == [200, 200]


async def test_what_is_no_function_is_called_as_it_would_be_without_tracing(
    recorder: Recorder, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock or a static method is not given the client."""
    response = HTTPResponse(HTTPRequest("http://nowhere.invalid/"), 200)
    done: asyncio.Future[HTTPResponse] = asyncio.Future()
    done.set_result(response)
    mocked = mock.Mock(return_value=done)
    for fetch in (mocked, staticmethod(mocked)):
        monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
        init_client_tracing(recorder.tracer)
        assert await client.fetch("http://nowhere.invalid/", method="GET") is response
        args, kwargs = mocked.call_args
        assert args == ("http://nowhere.invalid/",)
        assert kwargs.keys() <= {"method", "headers"}
    assert [span.status for span in recorder.finished] == [200, 200]


async def test_tornados_own_response_keeps_the_form_of_its_arguments(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = HTTPResponse.__init__
    seen: Seen = []

    def init(self: HTTPResponse, *args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))
        original(self, *args, **kwargs)

    monkeypatch.setattr(HTTPResponse, "__init__", init)
    init_client_tracing(recorder.tracer)
    request = HTTPRequest("http://nowhere.invalid/")
    assert HTTPResponse(request=request, code=200).request is request
    assert HTTPResponse(request, 200).request is request
    assert seen == [((), {"request": request, "code": 200}), ((request, 200), {})]
