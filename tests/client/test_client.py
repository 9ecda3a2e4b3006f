"""One span for each logical fetch, and the caller gets exactly what Tornado would have given."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import logging
import re
import threading
from collections import UserString
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import opentracing
import pytest
import tornado
from opentracing import Format
from support import MockRecorder, Recorded, Recorder, Servers, active_id, children, only, span_id
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPClient, HTTPClientError, HTTPRequest, HTTPResponse, _RequestProxy
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

Reports = list[logging.LogRecord]
MakeClient = Callable[..., AsyncHTTPClient]


# The other end.


class Echo(RequestHandler):
    """Answers with the headers that it received."""

    def answer(self) -> None:
        self.write(dict(self.request.headers.get_all()))

    get = post = put = delete = patch = head = options = answer


class Lines(RequestHandler):
    """Answers with the values of one header, line by line."""

    def get(self) -> None:
        self.write(json.dumps(self.request.headers.get_list("X-Mine")))


class Status(RequestHandler):
    def get(self, status: str) -> None:
        self.set_status(int(status))
        if status != "304":
            self.write(f"status {status}")


class Redirect(RequestHandler):
    """Redirects as many times as the URL says, then answers with the headers that it received last."""

    def get(self, times: str) -> None:
        if int(times):
            self.redirect(f"/redirect/{int(times) - 1}")
        else:
            self.write(dict(self.request.headers.get_all()))


class RedirectTo(RequestHandler):
    def get(self) -> None:
        self.redirect(self.get_query_argument("url"))


class Wait(RequestHandler):
    """Answers when the test says so."""

    async def get(self) -> None:
        site: Site = self.settings["site"]
        site.waiting += 1
        try:
            await site.release.wait()
            self.write("released")
        finally:
            site.waiting -= 1


class Site:
    """A live server."""

    def __init__(self) -> None:
        self.url = ""
        self.release = asyncio.Event()
        self.waiting = 0

    @property
    def application(self) -> Application:
        routes = [
            (r"/status/(\d+)", Status),
            (r"/redirect/(\d+)", Redirect),
            (r"/redirect-to", RedirectTo),
            (r"/wait", Wait),
            (r"/lines", Lines),
            (r"/.*", Echo),
        ]
        return Application(routes, site=self, log_function=lambda handler: None)


@pytest.fixture
async def site(servers: Servers) -> AsyncIterator[Site]:
    site = Site()
    site.url = servers.start(site.application)
    yield site
    site.release.set()
    await until(lambda: not site.waiting)


@pytest.fixture
async def broken_url() -> AsyncIterator[str]:
    """The URL of a server that closes each connection in the middle of its response."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthat is not all")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()
    await server.wait_closed()


@pytest.fixture
def refused_url() -> str:
    """A URL at which nobody listens."""
    unused, port = bind_unused_port()
    unused.close()
    return f"http://127.0.0.1:{port}/"


# This end.


def client_class(name: str) -> type[AsyncHTTPClient]:
    if name == "simple":
        return SimpleAsyncHTTPClient
    try:
        from tornado.curl_httpclient import CurlAsyncHTTPClient
    except ImportError as error:
        pytest.skip(f"curl_httpclient cannot be imported: {error}")
    return CurlAsyncHTTPClient


@pytest.fixture(params=["simple", "curl"])
async def make_client(request: pytest.FixtureRequest) -> AsyncIterator[MakeClient]:
    """Makes clients of each of Tornado's two implementations in turn."""
    made: list[Any] = []
    implementation: Any = client_class(request.param)

    def make(**kwargs: Any) -> AsyncHTTPClient:
        made.append(implementation(force_instance=True, **kwargs))
        return made[-1]  # type: ignore[no-any-return]

    yield make
    for client in made:
        if not client._closed:
            client.close()


@pytest.fixture
async def each_client(make_client: MakeClient) -> AsyncHTTPClient:
    return make_client()


def new_client(implementation: type[AsyncHTTPClient], **kwargs: Any) -> Any:
    untyped: Any = implementation
    return untyped(force_instance=True, **kwargs)


class Held(AsyncHTTPClient):
    """A client whose responses the test gives."""

    def initialize(self, defaults: dict[str, Any] | None = None) -> None:
        super().initialize(defaults)
        self.fetches: list[Callable[[int], None]] = []

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        self.fetches.append(lambda code: callback(HTTPResponse(request, code)))


class Immediate(AsyncHTTPClient):
    """A client that has the response at hand, as a cache has."""

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        callback(HTTPResponse(request, 200))


class Pairs(AsyncHTTPClient):
    """A client whose responses have headers of its own kind."""

    def fetch_impl(self, request: HTTPRequest, callback: Callable[[HTTPResponse], None]) -> None:
        headers: Any = [("Server", "mine")]
        callback(HTTPResponse(request, 200, headers))


def received_id(recorder: Recorder, headers: Any) -> int:
    """The span id in the headers that a server received."""
    context = recorder.tracer.extract(Format.HTTP_HEADERS, {name.lower(): value for name, value in headers.items()})
    assert context is not None
    return span_id(dataclasses.make_dataclass("Remote", ["context"])(context))


def echoed_id(recorder: Recorder, response: HTTPResponse) -> int:
    return received_id(recorder, json.loads(response.body))


def client_spans(recorder: Recorder) -> list[Recorded]:
    return [span for span in recorder.finished if span.kind == "client"]


def server_spans(recorder: Recorder) -> list[Recorded]:
    return [span for span in recorder.finished if span.kind == "server"]


def the_span(recorder: Recorder) -> Recorded:
    """The only span there is, finished once."""
    assert recorder.unfinished == 0
    return only(recorder.finished)


# What counts as one fetch.

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


# Parents.


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


# The caller's request is the caller's.


def values_of(request: HTTPRequest) -> tuple[dict[str, Any], Any]:
    """Every attribute, and what the headers hold."""
    headers: Any = request.headers
    return dict(vars(request)), list(headers.get_all()) if isinstance(headers, HTTPHeaders) else dict(headers)


def assert_untouched(request: HTTPRequest, before: tuple[dict[str, Any], Any]) -> None:
    attributes, headers = values_of(request)
    assert attributes.keys() == before[0].keys()
    for name, value in attributes.items():
        assert value is before[0][name], name
    assert headers == before[1]


def set_header(span: Any, request: Any) -> None:
    request.headers["X-Callback"] = "set"


def some_headers(kind: str) -> Any:
    if kind == "HTTPHeaders":
        headers = HTTPHeaders({"X-Mine": "1"})
        headers.add("X-Mine", "2")
        return headers
    return {"x-mine": "1"} if kind == "dict" else None


@pytest.mark.parametrize("path", ["/", "/redirect/2", "/status/500"])
@pytest.mark.parametrize("headers", ["none", "dict", "HTTPHeaders"])
async def test_the_callers_request_is_never_changed(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, path: str, headers: str
) -> None:
    """Nor are its headers, be they a plain dict; Tornado alone would set ``request.headers``."""
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


# Exactly once, and exactly what Tornado does.


@dataclasses.dataclass
class World:
    """What there is to fetch."""

    site: Site
    broken_url: str
    refused_url: str


FetchOne = Callable[[AsyncHTTPClient, World], Awaitable[HTTPResponse]]


@dataclasses.dataclass
class Outcome:
    """A way for a fetch to end, and the status that its span has then."""

    fetch: FetchOne
    status: int | None
    #: curl has errors of its own, with code 599, where simple_httpclient passes on an OSError or ValueError.
    curl_status: int | None
    #: The first version of Tornado that has this outcome.
    since: tuple[int, int] = (6, 0)


def ends(fetch: FetchOne, status: int | None, *, curl: int | None = 0, **kwargs: Any) -> Outcome:
    return Outcome(fetch, status, status if curl == 0 else curl, **kwargs)


async def cancelled(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    before = world.site.waiting
    future: Any = client.fetch(f"{world.site.url}/wait")
    await until(lambda: world.site.waiting > before)
    future.cancel()
    await asyncio.sleep(0)
    return await future  # type: ignore[no-any-return]


async def task_cancelled(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    async def fetch() -> HTTPResponse:
        return await client.fetch(f"{world.site.url}/wait")

    before = world.site.waiting
    task = asyncio.ensure_future(fetch())
    await until(lambda: world.site.waiting > before)
    task.cancel()
    return await task


async def timed_out_by_the_caller(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    return await asyncio.wait_for(client.fetch(f"{world.site.url}/wait"), 0.03)


async def closed_client(client: AsyncHTTPClient, world: World) -> HTTPResponse:
    client.close()
    return await client.fetch(f"{world.site.url}/")


def broken_callback(*args: Any) -> None:
    raise ZeroDivisionError("a bug in the application")


async def async_callback(chunk: bytes) -> None:
    await asyncio.sleep(0)


def site_fetch(path: str, *args: Any, **kwargs: Any) -> FetchOne:
    return lambda client, world: client.fetch(f"{world.site.url}{path}", *args, **kwargs)


def request_fetch(headers: Any, **kwargs: Any) -> FetchOne:
    return lambda client, world: client.fetch(HTTPRequest(f"{world.site.url}/", headers=headers), **kwargs)


OUTCOMES = {
    "success": ends(site_fetch("/status/200"), 200),
    "304": ends(site_fetch("/status/304"), 304),
    "304, raise_error=False": ends(site_fetch("/status/304", raise_error=False), 304),
    "404": ends(site_fetch("/status/404"), 404),
    "404, raise_error=False": ends(site_fetch("/status/404", raise_error=False), 404),
    "404, False": ends(site_fetch("/status/404", False), 404),
    "499": ends(site_fetch("/status/499"), 499),
    "500": ends(site_fetch("/status/500"), 500),
    "500, raise_error=False": ends(site_fetch("/status/500", raise_error=False), 500),
    "503": ends(site_fetch("/status/503"), 503),
    "599 sent by the server": ends(site_fetch("/status/599"), 599),
    "redirect": ends(site_fetch("/redirect-to?url=/status/200"), 200),
    "redirect to an error": ends(site_fetch("/redirect-to?url=/status/500"), 500),
    "redirect not followed": ends(site_fetch("/redirect/2", follow_redirects=False), 302),
    "one redirect too many": ends(site_fetch("/redirect/2", max_redirects=1), 302, curl=599),
    "redirect to another protocol": ends(
        # before 6.6 simple_httpclient never finished a fetch whose redirect failed
        site_fetch("/redirect-to?url=gopher://127.0.0.1/"),
        None,
        curl=599,
        since=(6, 6),
    ),
    "request timeout": ends(site_fetch("/wait", request_timeout=0.1), 599),
    "request timeout, raise_error=False": ends(site_fetch("/wait", raise_error=False, request_timeout=0.1), 599),
    "connection refused": ends(lambda c, w: c.fetch(w.refused_url), None, curl=599),
    "connection refused, raise_error=False": ends(lambda c, w: c.fetch(w.refused_url, False), None, curl=599),
    "connection closed half-way": ends(lambda c, w: c.fetch(w.broken_url), 599),
    "cancelled": ends(cancelled, None),
    "task cancelled": ends(task_cancelled, None),
    "wait_for": ends(timed_out_by_the_caller, None),
    "closed client": ends(closed_client, None),
    "unknown argument": ends(site_fetch("/", unheard_of=1), None),
    "url given twice": ends(site_fetch("/", url="http://b.invalid/"), None),
    "HTTPRequest and arguments": ends(request_fetch(None, method="GET"), None),
    "headers that are none": ends(site_fetch("/", headers=42), None),
    "headers that are none, of a request": ends(request_fetch(42), None),
    # Before 6.4 curl_httpclient sent these.
    "newline in a header": ends(site_fetch("/", headers={"X-Mine": "a\nb"}), None, since=(6, 4)),
    "newline in a header of a request": ends(request_fetch({"X-Mine": "a\nb"}), None, since=(6, 4)),
    "newline in an HTTPHeaders": ends(request_fetch(HTTPHeaders({"X-Mine": "a\nb"})), None, since=(6, 4)),
    "header that latin-1 has not": ends(request_fetch({"X-Mine": "€"}), None),
    "number for a header": ends(request_fetch({"X-Mine": 1}), None),
    "list of headers": ends(site_fetch("/status/200", headers=[("X-Mine", "1"), ("x-mine", "2")]), 200),
    "bytes for a header": ends(site_fetch("/status/200", headers={"X-Mine": b"1"}), 200),
    "unsupported scheme": ends(lambda c, w: c.fetch("gopher://127.0.0.1/"), None, curl=599),
    "no scheme": ends(lambda c, w: c.fetch("127.0.0.1:1/"), None, curl=599),
    "empty url": ends(lambda c, w: c.fetch(""), None, curl=599),
    "no url": ends(lambda c, w: c.fetch(None), None),  # type: ignore[arg-type]
    "bytes for a url": ends(lambda c, w: c.fetch(f"{w.site.url}/status/200".encode()), 200),  # type: ignore[arg-type]
    "half an address": ends(lambda c, w: c.fetch("http://[::1/"), None, curl=599),
    "POST without body": ends(site_fetch("/", method="POST"), None),
    "GET with body": ends(site_fetch("/", body="body"), None),
    "unknown method": ends(site_fetch("/", method="FETCH"), None),
    "no method": ends(site_fetch("/", method=None), None),
    "body of a wrong type": ends(site_fetch("/", method="POST", body=object()), None),
    "streaming_callback": ends(site_fetch("/status/200", streaming_callback=lambda chunk: None), 200),
    "streaming_callback that raises": ends(
        site_fetch("/status/200", streaming_callback=broken_callback), 599, curl=200
    ),
    "coroutine for a streaming_callback": ends(
        # curl refuses it, simple_httpclient awaits it; before 6.6 Tornado forgot it
        site_fetch("/status/200", streaming_callback=async_callback),
        200,
        curl=None,
        since=(6, 6),
    ),
    "header_callback that raises": ends(site_fetch("/status/200", header_callback=broken_callback), 599, curl=200),
    "body_producer that raises": ends(site_fetch("/", method="POST", body_producer=broken_callback), None),
}

each_outcome = pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(
            outcome,
            id=name,
            marks=pytest.mark.skipif(
                tornado.version_info < outcome.since, reason=f"new in Tornado {'.'.join(map(str, outcome.since))}"
            ),
        )
        for name, outcome in OUTCOMES.items()
    ],
)


@pytest.fixture
def world(site: Site, broken_url: str, refused_url: str) -> World:
    return World(site, broken_url, refused_url)


@pytest.fixture
async def loop_errors() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop's exception handler gets; a callback of ours that raised would show here and nowhere else."""
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    loop.set_exception_handler(None)


def as_seen(value: Any) -> Any:
    """What can be compared of a response or an exception; curl tells how long it took."""
    if isinstance(value, HTTPResponse):
        return value.code, value.reason, value.body, value.effective_url, type(value.request), as_seen(value.error)
    if isinstance(value, BaseException):
        # An error and its response hold each other.
        args = [(arg.code, arg.body) if isinstance(arg, HTTPResponse) else as_seen(arg) for arg in value.args]
        return type(value), args, as_seen(str(value)), getattr(value, "code", None), as_seen(value.__cause__)
    if not isinstance(value, str):
        return value
    # On a busy machine curl may not even have been connected by then.
    value = re.sub(r"\w+ timed out after \d+ (ms|milliseconds).*", "timed out", value)
    return re.sub(r"after \d+ ms", "after some time", value)


async def seen_by_the_caller(outcome: Outcome, client: AsyncHTTPClient, world: World) -> Any:
    try:
        return as_seen(await outcome.fetch(client, world))
    except (Exception, asyncio.CancelledError) as error:
        return as_seen(error)


@each_outcome
async def test_the_caller_gets_what_tornado_alone_would_have_given(
    recorder: Recorder, make_client: MakeClient, world: World, outcome: Outcome, loop_errors: list[dict[str, Any]]
) -> None:
    client = make_client()
    without = await seen_by_the_caller(outcome, client, world)
    init_client_tracing(recorder.tracer)
    assert await seen_by_the_caller(outcome, make_client(), world) == without
    assert len(client_spans(recorder)) == 1
    assert loop_errors == []


@each_outcome
async def test_every_outcome_has_one_finished_span_that_tells_it(
    each_recorder: Recorder,
    each_client: AsyncHTTPClient,
    world: World,
    outcome: Outcome,
    loop_errors: list[dict[str, Any]],
) -> None:
    init_client_tracing(each_recorder.tracer)
    await seen_by_the_caller(outcome, each_client, world)
    # The span is finished by the time the caller knows, and what comes later changes nothing.
    span = the_span(each_recorder)
    status = outcome.status if isinstance(each_client, SimpleAsyncHTTPClient) else outcome.curl_status
    is_error = status is None or status >= 500
    assert (span.kind, span.status, span.is_error, len(span.logs)) == ("client", status, is_error, is_error)
    world.site.release.set()
    await until(lambda: not world.site.waiting)
    await asyncio.sleep(0)
    assert the_span(each_recorder).span_id == span.span_id
    assert loop_errors == []


async def test_a_timeout_in_the_queue_finishes_the_span(each_recorder: Recorder, site: Site) -> None:
    """Only simple_httpclient counts the time in the queue."""
    init_client_tracing(each_recorder.tracer)
    client = new_client(SimpleAsyncHTTPClient, max_clients=1)
    running = client.fetch(f"{site.url}/wait")
    await until(lambda: site.waiting)
    with pytest.raises(HTTPClientError, match="queue"):
        await client.fetch(f"{site.url}/", connect_timeout=0.03)
    span = only(each_recorder.finished)
    assert (span.path, span.status, span.is_error) == ("/", 599, True)
    site.release.set()
    await running
    assert each_recorder.unfinished == 0
    client.close()


async def test_a_fetch_that_is_cancelled_in_the_queue_has_one_finished_span(
    each_recorder: Recorder, make_client: MakeClient, site: Site
) -> None:
    init_client_tracing(each_recorder.tracer)
    client = make_client(max_clients=1)
    running: Any = client.fetch(f"{site.url}/wait")
    queued: Any = client.fetch(f"{site.url}/queued")
    await until(lambda: site.waiting)
    queued.cancel()
    await asyncio.wait([queued])
    assert only(each_recorder.finished).path == "/queued"
    site.release.set()
    await running
    await client.fetch(f"{site.url}/after")
    assert [span.path for span in each_recorder.finished] == ["/queued", "/wait", "/after"]
    assert each_recorder.unfinished == 0


@pytest.mark.parametrize("is_traced", [False, True])
async def test_the_future_is_tornados_own_kind(recorder: Recorder, client: AsyncHTTPClient, is_traced: bool) -> None:
    if is_traced:
        init_client_tracing(recorder.tracer)
    held = new_client(Held)
    future = held.fetch("http://nowhere.invalid/")
    assert type(future) is asyncio.Future
    held.fetches[0](200)
    assert (await future).code == 200
    held.close()


async def test_awaiting_a_response_that_is_there_takes_no_turn_of_the_loop(recorder: Recorder) -> None:
    init_client_tracing(recorder.tracer)
    client = new_client(Immediate)
    turned: list[bool] = []
    asyncio.get_running_loop().call_soon(turned.append, True)
    await client.fetch("http://nowhere.invalid/")
    assert turned == []
    client.close()


async def test_a_traced_fetch_takes_as_many_turns_of_the_loop_as_an_untraced_one(recorder: Recorder) -> None:
    async def turns() -> int:
        """How often the loop turns between a response and the caller's next step."""
        client = new_client(Held)
        task = asyncio.ensure_future(fetch(client))
        await until(lambda: client.fetches)
        client.fetches[0](200)
        count = 0
        while not task.done():
            await asyncio.sleep(0)
            count += 1
        client.close()
        return count

    async def fetch(client: AsyncHTTPClient) -> None:
        await client.fetch("http://nowhere.invalid/")

    without = await turns()
    init_client_tracing(recorder.tracer)
    assert await turns() == without
    assert the_span(recorder).status == 200


@pytest.mark.parametrize("is_traced", [False, True])
@pytest.mark.parametrize("path", ["/status/404", "/status/500", None])
async def test_asyncio_still_tells_of_a_failure_that_nobody_retrieved(
    recorder: Recorder,
    each_client: AsyncHTTPClient,
    site: Site,
    refused_url: str,
    loop_errors: list[dict[str, Any]],
    path: str | None,
    is_traced: bool,
) -> None:
    if is_traced:
        init_client_tracing(recorder.tracer)
    future: Any = each_client.fetch(refused_url if path is None else f"{site.url}{path}")
    await until(future.done)
    await asyncio.sleep(0)
    assert loop_errors == []
    del future
    gc.collect()
    assert [error["message"] for error in loop_errors] == ["Future exception was never retrieved"]
    assert len(recorder.finished) == is_traced


async def test_asyncio_says_nothing_of_a_failure_that_was_retrieved(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, loop_errors: list[dict[str, Any]]
) -> None:
    init_client_tracing(each_recorder.tracer)
    with pytest.raises(HTTPClientError):
        await each_client.fetch(f"{site.url}/status/500")
    gc.collect()
    assert loop_errors == []


# What the span tells.


@pytest.mark.parametrize("as_request", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_the_operation_name_is_the_method(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, method: str, as_request: bool
) -> None:
    init_client_tracing(recorder.tracer)
    arguments: dict[str, Any] = {"method": method, "body": b"" if method in ("POST", "PUT", "PATCH") else None}
    if as_request:
        await each_client.fetch(HTTPRequest(f"{site.url}/", **arguments))
    else:
        await each_client.fetch(f"{site.url}/", **arguments)
    span = the_span(recorder)
    assert (span.name, span.tags["http.method"]) == (method, method)


async def test_the_tags_of_a_fetch(recorder: Recorder, each_client: AsyncHTTPClient, site: Site) -> None:
    init_client_tracing(recorder.tracer)
    await each_client.fetch(f"{site.url}/a?b=c")
    expected = {
        "component": "tornado",
        "span.kind": "client",
        "http.method": "GET",
        "http.url": f"{site.url}/a?b=c",
        "http.status_code": 200,
    }
    found = the_span(recorder).tags
    assert {name: found.get(name) for name in expected} == expected
    assert "error" not in found


async def test_the_tags_are_there_when_the_span_starts(client: AsyncHTTPClient, site: Site) -> None:
    """Samplers decide by them."""
    given: list[Any] = []
    recorder = MockRecorder()
    start_span = recorder.tracer.start_span

    def start(*args: Any, **kwargs: Any) -> Any:
        given.append(dict(kwargs["tags"]))
        return start_span(*args, **kwargs)

    recorder.tracer.start_span = start
    init_client_tracing(recorder.tracer)
    await client.fetch(f"{site.url}/")
    [found] = given
    expected = {"component": "tornado", "span.kind": "client", "http.method": "GET", "http.url": f"{site.url}/"}
    assert {name: found.get(name) for name in expected} == expected


async def test_the_error_is_logged_with_the_standard_fields(recorder: Recorder, client: AsyncHTTPClient) -> None:
    init_client_tracing(recorder.tracer)
    with pytest.raises(ValueError, match="Unsupported url scheme") as caught:
        await client.fetch("gopher://127.0.0.1/")
    assert len(the_span(recorder).logs) == 1
    log = the_span(recorder).logs[0]
    assert log["event"] == "error"
    assert log["error.object"] is caught.value
    assert log["error.kind"] == "ValueError"
    assert log["message"] == str(caught.value)
    assert "simple_httpclient.py" in log["stack"]


@pytest.mark.parametrize(
    ("given", "tagged"),
    [
        ("http://user:secret@{host}/a", "http://{host}/a"),
        ("http://user@{host}/a", "http://{host}/a"),
        ("http://us@er:sec@ret@{host}/a", "http://{host}/a"),
        ("http://user:secret@{host}", "http://{host}"),
        ("http://user:secret@{host}?a=b", "http://{host}?a=b"),
        ("http://{host}/a@b?c=d@e", "http://{host}/a@b?c=d@e"),
        ("http://user:secret@{host}/a@b?c=http://d@e/", "http://{host}/a@b?c=http://d@e/"),
        ("ftp://user:secret@{host}/a", "ftp://{host}/a"),
        ("//user:secret@{host}/a", "//{host}/a"),
        ("user:secret@{host}/a", "{host}/a"),
    ],
)
@pytest.mark.parametrize("as_request", [False, True])
async def test_user_and_password_never_appear_in_the_url(
    recorder: Recorder, client: AsyncHTTPClient, site: Site, given: str, tagged: str, as_request: bool
) -> None:
    """Also where the URL lacks its scheme, so that the fetch must fail."""
    init_client_tracing(recorder.tracer)
    host = site.url.partition("://")[2]
    url = given.format(host=host)
    with contextlib.suppress(ValueError, AssertionError, HTTPClientError):
        await client.fetch(HTTPRequest(url) if as_request else url)
    assert the_span(recorder).tags["http.url"] == tagged.format(host=host)


async def test_user_and_password_still_reach_the_server(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    host = site.url.partition("://")[2]
    response = await each_client.fetch(f"http://user:secret@{host}/")
    assert json.loads(response.body)["Authorization"].startswith("Basic ")


# start_span_cb.


@pytest.mark.parametrize("init", [init_client_tracing, init_tracing])
@pytest.mark.parametrize("as_request", [False, True])
async def test_the_callback_gets_span_and_request_before_the_context_is_injected(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, init: Any, as_request: bool
) -> None:
    calls: list[Any] = []

    def callback(span: Any, request: Any) -> None:
        if not isinstance(request, HTTPRequest):
            return  # the server's
        calls.append((span, request.url, request.method, dict(request.headers)))
        span.set_baggage_item("customer", "acme")
        span.set_operation_name(f"{request.method} /")
        span.set_tag("tagged", "yes")

    init(recorder.tracer, start_span_cb=callback)
    url = f"{site.url}/"
    headers = {"X-Mine": "1"}
    if as_request:
        response = await each_client.fetch(HTTPRequest(url, headers=headers))
    else:
        response = await each_client.fetch(url, headers=headers)
    [(span, *seen)] = calls
    assert seen == [url, "GET", headers]
    fetch = only(client_spans(recorder))
    assert fetch.span_id == span_id(span)
    assert (fetch.name, fetch.tags["tagged"]) == ("GET /", "yes")
    received = json.loads(response.body)
    assert received["Ot-Baggage-Customer"] == "acme"
    assert received["X-Mine"] == "1"


async def test_a_callback_on_another_tracer_stack_may_rename_and_tag(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    def callback(span: Any, request: Any) -> None:
        span.set_operation_name("renamed")
        span.set_tag("tagged", "yes")

    init_client_tracing(each_recorder.tracer, callback)
    await client.fetch(f"{site.url}/")
    assert (the_span(each_recorder).name, the_span(each_recorder).tags["tagged"]) == ("renamed", "yes")


@pytest.mark.parametrize("kind", ["none", "dict", "HTTPHeaders"])
async def test_a_header_set_by_the_callback_goes_out_but_not_onto_the_callers_request(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, kind: str
) -> None:
    init_client_tracing(recorder.tracer, set_header)
    request = HTTPRequest(f"{site.url}/", headers=some_headers(kind))
    before = values_of(request)
    response = await each_client.fetch(request)
    assert json.loads(response.body)["X-Callback"] == "set"
    assert_untouched(request, before)


async def test_a_callback_that_raises_is_logged_and_harmless(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports
) -> None:
    def callback(span: Any, request: Any) -> None:
        raise RuntimeError("a bug in the callback")

    init_client_tracing(recorder.tracer, callback)
    response = await each_client.fetch(f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    [report] = reports
    assert "start_span_cb" in report.getMessage()
    assert report.exc_info is not None
    assert str(report.exc_info[1]) == "a bug in the callback"


async def test_the_callback_is_not_called_for_the_hops_of_a_redirect(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    urls: list[str] = []
    init_client_tracing(recorder.tracer, lambda span, request: urls.append(str(getattr(request, "url", None))))
    await each_client.fetch(f"{site.url}/redirect/2")
    assert urls == [f"{site.url}/redirect/2"]


# Tracers that misbehave.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("note", "two\nlines"),
        ("note", "two\r\nX-Injected: lines"),
        ("note", "price in €"),
        ("note", "nul \0"),
        ("no te", "blank in the name"),
        ("note:", "colon in the name"),
        ("nöte", "umlaut in the name"),
        ("note\n", "newline in the name"),
        ("note", 42),
        ("note", UserString("no string")),
    ],
    ids=repr,
)
async def test_a_header_that_http_cannot_carry_is_logged_and_does_not_break_the_fetch(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports, name: str, value: Any
) -> None:
    """Nor does it take the other headers with it, those that follow included."""

    def callback(span: Any, request: Any) -> None:
        span.set_baggage_item(name, value)
        span.set_baggage_item("other", "fine")

    init_client_tracing(recorder.tracer, callback)
    response = await each_client.fetch(f"{site.url}/")
    received = json.loads(response.body)
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    assert received["Ot-Baggage-Other"] == "fine"
    assert [header for header in received if "no" in header.lower().split("-")[-1]] == []
    assert "X-Injected" not in received
    assert len(reports) == 1


async def test_a_tab_in_a_header_is_carried(recorder: Recorder, each_client: AsyncHTTPClient, site: Site) -> None:
    """The one control character that HTTP allows there."""
    init_client_tracing(recorder.tracer, lambda span, request: span.set_baggage_item("note", "one\ttwo"))
    response = await each_client.fetch(f"{site.url}/")
    assert json.loads(response.body)["Ot-Baggage-Note"] == "one\ttwo"


async def test_latin_1_in_a_header_is_carried_or_logged_but_does_not_break_the_fetch(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports
) -> None:
    """curl_httpclient takes nothing but ASCII before Tornado 6.2."""
    init_client_tracing(recorder.tracer, lambda span, request: span.set_baggage_item("note", "größe"))
    response = await each_client.fetch(f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    carried = json.loads(response.body).get("Ot-Baggage-Note")
    assert (carried, len(reports)) in (("größe", 0), (None, 1))


@pytest.mark.parametrize(("length", "fits"), [(4087, True), (4088, True), (4089, False)])
async def test_what_is_injected_is_8192_bytes_at_most(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports, length: int, fits: bool
) -> None:
    """Names and values together."""
    headers = {"X-First": "a" * 4089, "X-Second": "b" * length}
    tracer: Any = recorder.tracer
    tracer.inject = lambda *args: args[-1].update(headers)
    init_client_tracing(tracer)
    received = json.loads((await each_client.fetch(f"{site.url}/")).body)
    assert received["X-First"] == headers["X-First"]
    assert received.get("X-Second") == (headers["X-Second"] if fits else None)
    assert len(reports) == (not fits)


async def test_a_response_that_cannot_be_described_is_logged_and_ends_the_span(
    recorder: Recorder, reports: Reports
) -> None:
    init_tracing(recorder.tracer, traced_response_headers=["Server"])
    response = await new_client(Pairs).fetch("http://nowhere.example/")
    assert response.headers == [("Server", "mine")]
    assert the_span(recorder).status == 200
    assert ["describing a response" in record.getMessage() for record in reports] == [True]


async def test_a_fetch_that_somebody_else_replaced_may_return_what_is_no_future(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, reports: Reports
) -> None:
    async def fetch(*args: Any, **kwargs: Any) -> str:
        return "theirs"

    monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
    init_client_tracing(recorder.tracer)
    assert await new_client(AsyncHTTPClient).fetch("http://nowhere.example/") == "theirs"
    remove_tracing()
    assert (the_span(recorder).status, recorder.unfinished) == (None, 0)
    assert ["watching a fetch" in record.getMessage() for record in reports] == [True]


class Broken:
    """A tracer one of whose methods raises."""

    def __init__(self, method: str) -> None:
        self.recorder = MockRecorder()
        self.tracer: Any = self.recorder.tracer
        if hasattr(self.tracer, method):
            setattr(self.tracer, method, self.fail)
        else:
            start_span = self.tracer.start_span

            def start(*args: Any, **kwargs: Any) -> Any:
                span = start_span(*args, **kwargs)
                setattr(span, method, self.fail)
                return span

            self.tracer.start_span = start

    def fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug in the tracer")


@pytest.mark.parametrize("method", ["start_span", "inject", "set_tag", "log_kv", "finish"])
@pytest.mark.parametrize("path", ["/status/200", "/status/500", None])
async def test_a_tracer_that_raises_is_logged_and_does_not_break_the_fetch(
    each_client: AsyncHTTPClient, site: Site, refused_url: str, reports: Reports, method: str, path: str | None
) -> None:
    async def fetch() -> Any:
        try:
            response = await each_client.fetch(refused_url if path is None else f"{site.url}{path}")
        except (OSError, HTTPClientError) as error:
            return as_seen(error)
        return as_seen(response)

    without = await fetch()
    broken = Broken(method)
    init_client_tracing(broken.tracer)
    assert await fetch() == without
    has_error = path != "/status/200"
    is_called = (has_error or path is not None) if method == "set_tag" else (has_error or method != "log_kv")
    assert bool(reports) is is_called
    if method not in ("start_span", "finish"):
        assert len(broken.recorder.finished) == 1


async def test_a_tracer_that_does_nothing_adds_no_header(each_client: AsyncHTTPClient, site: Site) -> None:
    without = json.loads((await each_client.fetch(f"{site.url}/")).body)
    init_client_tracing(opentracing.Tracer())
    assert json.loads((await each_client.fetch(f"{site.url}/")).body) == without


# On and off.


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
