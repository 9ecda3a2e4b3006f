# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""After a fetch the caller's request is what it would be untraced, plus the injected headers; until then, as it was."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from support import Recorder, Servers, ShimRecorder, only, span_id
from support.fetching import Held, Immediate, Site, client_spans, echoed_id, new_client, some_headers, the_span
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

TRACE_HEADERS = ("Ot-Tracer-Traceid", "Ot-Tracer-Spanid", "Ot-Tracer-Sampled", "Traceparent", "Tracestate", "Baggage")


def is_injected(name: str) -> bool:
    return name.title() in TRACE_HEADERS or name.title().startswith(("X-B3", "Ot-", "Ot_"))


def seen_of(request: HTTPRequest) -> tuple[type, dict[str, str], dict[str, Any]]:
    """What a caller can see of it, but for what is injected and what differs each time."""
    headers = {name: value for name, value in request.headers.items() if not is_injected(name)}
    headers.pop("Sec-Websocket-Key", None)
    attributes = {name: value for name, value in vars(request).items() if name not in ("_headers", "start_time")}
    return type(request.headers), headers, attributes


@pytest.mark.parametrize("path", ["/", "/redirect/2", "/status/304", "/status/404", "/status/503"])
@pytest.mark.parametrize("kind", ["none", "dict", "HTTPHeaders"])
async def test_the_callers_request_is_afterwards_what_it_would_be_untraced(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, path: str, kind: str
) -> None:
    async def fetched() -> HTTPRequest:
        request = HTTPRequest(f"{site.url}{path}", method="POST", body="body", headers=some_headers(kind))
        response = await each_client.fetch(request, raise_error=False)
        assert response.request is request
        return request

    untraced = seen_of(await fetched())
    init_client_tracing(recorder.tracer)
    request = await fetched()
    assert seen_of(request) == untraced
    assert kind == "none" or request.headers["X-Mine"]
    assert int(request.headers["ot-tracer-spanid"], 16) == the_span(recorder).span_id


async def test_the_request_of_a_url_has_the_callbacks_that_the_caller_gave(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    def does_nothing(data: Any) -> None: ...

    callback: Any = does_nothing
    init_client_tracing(recorder.tracer)
    response = await each_client.fetch(f"{site.url}/", header_callback=callback, streaming_callback=callback)
    assert response.request.header_callback is callback
    assert response.request.streaming_callback is callback
    assert not [name for name in vars(response.request) if "opentracing" in name]


async def test_lookups_of_headers_given_as_a_dict_work(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    request = HTTPRequest(f"{site.url}/status/404", headers={"x-mine": "1"})
    with pytest.raises(HTTPClientError) as caught:
        await each_client.fetch(request)
    assert caught.value.response is not None
    headers = caught.value.response.request.headers
    assert (headers["X-Mine"], headers.get("X-MINE")) == ("1", "1")
    assert isinstance(headers, HTTPHeaders)


async def test_during_the_fetch_the_callers_request_is_not_touched(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    client = new_client(Held)
    headers = {"X-Mine": "1"}
    request = HTTPRequest("http://nowhere.invalid/", headers=headers)
    before = dict(vars(request))
    future = client.fetch(request)
    await until(lambda: client.fetches)
    assert dict(vars(request)) == before
    assert vars(request)["_headers"] is headers
    client.fetches[0](200)
    await future
    assert headers == {"X-Mine": "1"}
    assert request.headers is not headers
    client.close()


async def test_the_request_is_handed_back_where_the_response_is_there_at_once(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    client = new_client(Immediate)
    request = HTTPRequest("http://nowhere.invalid/", headers={"X-Mine": "1"})
    assert client.fetch(request).result().request is request
    assert int(request.headers["Ot-Tracer-Spanid"], 16) == the_span(recorder).span_id
    client.close()


async def test_a_fetch_that_is_cancelled_hands_the_request_back(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    request = HTTPRequest(f"{site.url}/wait", headers={"X-Mine": "1"})
    future: Any = each_client.fetch(request)
    await until(lambda: site.waiting)
    future.cancel()
    await asyncio.sleep(0)
    assert request.headers["x-mine"] == "1"
    assert request.headers["Ot-Tracer-Spanid"]


async def test_what_the_caller_changes_after_the_response_stays(recorder: Recorder) -> None:
    """Also where the callbacks of the fetch's future come later."""
    init_client_tracing(recorder.tracer)
    client = new_client(Held)
    first, second = HTTPRequest("http://nowhere.invalid/1"), HTTPRequest("http://nowhere.invalid/2")

    async def caller() -> None:
        one, two = client.fetch(first), client.fetch(second)
        await two
        assert (await one).request is first
        first.headers = HTTPHeaders({"X-New": "1"})

    task = asyncio.ensure_future(caller())
    await until(lambda: len(client.fetches) == 2)
    client.fetches[1](200)
    client.fetches[0](200)
    await task
    await asyncio.sleep(0)
    assert dict(first.headers) == {"X-New": "1"}
    client.close()


# Fetching the same request again.


async def test_a_request_fetched_again_carries_nothing_of_the_fetch_before(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    """Neither its span, nor the baggage that there was then; be it the caller's, or that of a response."""

    def start_span_cb(span: Any, request: Any) -> None:
        if not client_spans(each_recorder):
            span.set_baggage_item("colour", "blue")

    init_client_tracing(each_recorder.tracer, start_span_cb)
    request = HTTPRequest(f"{site.url}/", headers={"X-Mine": "1"})
    first = await each_client.fetch(request)
    # OpenTelemetry's shim sends no baggage.
    assert "blue" in str(json.loads(first.body)) or type(each_recorder) is ShimRecorder
    second = await each_client.fetch(request)
    third = await each_client.fetch((await each_client.fetch(f"{site.url}/")).request)
    for number, response in ((1, second), (3, third)):
        assert echoed_id(each_recorder, response) == each_recorder.finished[number].span_id
        assert "blue" not in str(json.loads(response.body))
    assert json.loads(second.body)["X-Mine"] == "1"


async def test_a_request_fetched_again_by_code_that_is_not_traced_carries_no_span(
    recorder: Recorder, servers: Servers, each_client: AsyncHTTPClient, site: Site
) -> None:
    own = {"X-Mine": "1", "Ot-Tracer-Spanid": "17"}
    shared = HTTPRequest(f"{site.url}/", headers=own)
    received: list[dict[str, str]] = []

    class Front(RequestHandler):
        async def get(self) -> None:
            response = await each_client.fetch(shared)
            assert response.request is shared
            received.append(json.loads(response.body))

    front = servers.start(Application([("/.*", Front)], opentracing_excluded_paths=["/excluded"]))
    remove_tracing()
    init_tracing(recorder.tracer)
    outside = new_client(AsyncHTTPClient)
    await outside.fetch(f"{front}/traced")
    await outside.fetch(f"{front}/excluded")
    outside.close()
    traced, excluded = received
    assert traced["Ot-Tracer-Spanid"] != "17"
    assert {name: value for name, value in excluded.items() if is_injected(name)} == {"Ot-Tracer-Spanid": "17"}
    assert excluded["X-Mine"] == "1"


async def test_a_request_fetched_again_that_the_filter_leaves_out_carries_no_span(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_tracing(recorder.tracer, trace_all=False, client_filter=lambda request: not client_spans(recorder))
    request = HTTPRequest(f"{site.url}/", headers={"X-Mine": "1"})
    for is_traced in (True, False):
        received = json.loads((await each_client.fetch(request)).body)
        assert any(map(is_injected, received)) == is_traced
        assert received["X-Mine"] == "1"


async def test_trace_headers_that_are_not_sent_on_are_still_the_callers(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_tracing(recorder.tracer, trace_all=False, propagation_filter=lambda request: False)
    given = {"Traceparent": "00-00000000000000000000000000000001-0000000000000001-01", "X-Mine": "1"}
    request = HTTPRequest(f"{site.url}/", headers=given)
    received = json.loads((await each_client.fetch(request)).body)
    assert "Traceparent" not in received
    assert {name: request.headers[name] for name in given} == given


# Requests of somebody's own class.


class Strict(HTTPRequest):
    """Refuses attributes that it does not know."""

    __slots__ = ("purpose",)

    def __setattr__(self, name: str, value: object) -> None:
        if "opentracing" in name:
            raise AttributeError(name)
        super().__setattr__(name, value)


class Secretive(HTTPRequest):
    """Answers a question for what it has not in its own way, but where Tornado asks."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name == "original_request" else KeyError(name)


class Obliging(HTTPRequest):
    """Has every attribute, but where Tornado or Python asks."""

    def __getattr__(self, name: str) -> Any:
        if name == "original_request" or name.startswith("__"):
            raise AttributeError(name)
        return mock.Mock()


class Equal(HTTPRequest):
    """Is equal to every other, and so cannot be a key."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Single(HTTPRequest):
    """Cannot be copied."""

    def __copy__(self) -> Any:
        raise TypeError("there is only one")


class Same(HTTPRequest):
    """Is its own copy."""

    def __copy__(self) -> Any:
        return self


@pytest.mark.parametrize("kind", [Strict, Secretive, Obliging, Equal, Single, Same])
async def test_a_request_of_any_class_is_fetched_and_named_by_its_response(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, kind: type[HTTPRequest]
) -> None:
    init_client_tracing(each_recorder.tracer)
    request = kind(f"{site.url}/", headers={"X-Mine": "1"})
    response = await each_client.fetch(request)
    assert response.request is request
    span = the_span(each_recorder)
    assert (span.status, span.is_error) == (200, False)
    assert echoed_id(each_recorder, response) == span.span_id
    assert (json.loads(response.body)["X-Mine"], request.headers["x-mine"]) == ("1", "1")


def test_a_response_of_a_mock_is_that_mocks_own(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    for request in (mock.Mock(), mock.MagicMock(), mock.Mock(spec=HTTPRequest, url="http://nowhere.invalid/"), object):
        before = dict(vars(request))
        untyped: Any = request
        assert HTTPResponse(untyped, 200, effective_url="http://nowhere.invalid/").request is request
        assert vars(request).keys() == before.keys()


async def test_a_response_with_its_request_can_be_copied_and_pickled(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    for request in (f"{site.url}/", HTTPRequest(f"{site.url}/")):
        response = await each_client.fetch(request)
        for copied in (copy.deepcopy(response.request), pickle.loads(pickle.dumps(response.request))):
            assert dict(copied.headers) == dict(response.request.headers)


# What somebody else does to the request beneath our hook.


Wrapper = Callable[[Any], Any]


def stamps(original: Any) -> Any:
    def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        request.stamped = "yes"
        request.request_timeout = 17
        request.headers["X-Stamped"] = "yes"
        return original(self, request, **kwargs)

    return fetch


def retries(original: Any) -> Any:
    async def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        await original(self, request, **kwargs)
        response = await original(self, request, **kwargs)
        request.stamped = "twice"
        return response

    return fetch


def copies(original: Any) -> Any:
    def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        return original(self, copy.deepcopy(request), **kwargs)

    return fetch


def pickles(original: Any) -> Any:
    def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        return original(self, pickle.loads(pickle.dumps(request)), **kwargs)

    return fetch


@pytest.mark.parametrize("wrapper", [stamps, retries, copies, pickles])
async def test_what_a_wrapper_does_to_the_request_is_seen_afterwards_as_without_tracing(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch, wrapper: Wrapper
) -> None:
    monkeypatch.setattr(AsyncHTTPClient, "fetch", wrapper(AsyncHTTPClient.fetch))

    # simple_httpclient follows no redirects where fetch is a coroutine function, and its proxies cannot be copied.
    path = "/redirect/1" if wrapper is stamps else "/"

    async def fetched() -> tuple[bool, HTTPRequest]:
        request = HTTPRequest(f"{site.url}{path}", headers={"X-Mine": "1"})
        response = await each_client.fetch(request)
        assert not [name for name in vars(response.request) if "opentracing" in name]
        return response.request is request, request

    is_named, untraced = await fetched()
    init_client_tracing(recorder.tracer)
    is_named_when_traced, traced = await fetched()
    assert is_named_when_traced == is_named
    assert seen_of(traced)[1:] == seen_of(untraced)[1:]
    assert only(client_spans(recorder)).status == 200


# WebSockets.


class Accepts(WebSocketHandler):
    pass


async def test_the_request_of_a_handshake_is_afterwards_what_it_would_be_untraced(
    recorder: Recorder, servers: Servers
) -> None:
    url = servers.start(Application([("/", Accepts)])).replace("http", "ws")

    async def connected(path: str) -> tuple[Any, Any]:
        request = HTTPRequest(f"{url}{path}", headers={"X-Mine": "1"})
        opening = websocket_connect(request)
        before = dict(vars(request))
        if path == "/":
            found: Any = await opening
            found.close()
        else:
            with pytest.raises(HTTPClientError) as caught:
                await opening
            found = caught.value.response
        assert request in (found.request, getattr(found.request, "request", None))
        return request, before

    untraced = [await connected(path) for path in ("/", "/missing")]
    init_client_tracing(recorder.tracer)
    for path, (theirs, _) in zip(("/", "/missing"), untraced, strict=True):
        ours, before = await connected(path)
        assert seen_of(ours) == seen_of(theirs)
        assert int(ours.headers["Ot-Tracer-Spanid"], 16) == client_spans(recorder)[-1].span_id
        assert before["_headers"] is not ours.headers
        assert dict(before["_headers"]) == {"X-Mine": "1"}


async def test_the_arguments_of_a_connection_keep_their_form(
    recorder: Recorder, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tornado.websocket import WebSocketClientConnection

    original = WebSocketClientConnection.__init__
    seen: list[Any] = []

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        seen.append((len(args), sorted(kwargs)))
        original(self, *args, **kwargs)

    monkeypatch.setattr(WebSocketClientConnection, "__init__", init)
    url = servers.start(Application([("/", Accepts)])).replace("http", "ws")
    for traced in (False, True):
        if traced:
            init_client_tracing(recorder.tracer)
        (await websocket_connect(f"{url}/")).close()
    assert seen[0] == seen[1]


async def test_concurrent_fetches_of_one_request_each_send_their_own_headers(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    tracer = each_recorder.tracer
    init_client_tracing(tracer)
    request = HTTPRequest(f"{site.url}/", headers={"X-Mine": "1"})

    async def fetched(name: str) -> tuple[int, HTTPResponse]:
        with tracer.start_active_span(name) as scope:
            return span_id(scope.span), await each_client.fetch(request)

    for parent, response in await asyncio.gather(*(fetched(name) for name in "abcdef")):
        span = only(each_recorder.finished, span_id=echoed_id(each_recorder, response))
        assert span.parent_id == parent
        assert response.request is request
