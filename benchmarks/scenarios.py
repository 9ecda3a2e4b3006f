# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is measured. A scenario gives an action, of which one call is so many units: a request, a fetch, a child."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inprocess import Action, InstantClient, Stream, begin, requesting
from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.template import Template
from tornado.web import Application, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from contenders import Tracing

URL = "http://example.com:8080/story/1"


@dataclass(frozen=True)
class Scenario:
    """One thing to measure."""

    #: ``None`` where the way of tracing has no such thing.
    act: Callable[[Tracing], Action | None]
    units: int = 1
    #: Options of this package; nobody else takes part then, but bare Tornado.
    options: Mapping[str, Any] = field(default_factory=dict)


class Story(RequestHandler):
    async def get(self, number: str) -> None:
        self.write("hello")


class Data(RequestHandler):
    """Takes JSON, and answers with it."""

    def post(self, number: str) -> None:
        self.write({"number": number, "found": json.loads(self.request.body)})


class Page(RequestHandler):
    """Answers with a template."""

    _page = Template("<ul>{% for each in found %}<li>{{ each }}</li>{% end %}</ul>")

    def get(self, number: str) -> None:
        self.write(self._page.generate(found=["a", number, "<b>"]))


class Refuses(RequestHandler):
    async def get(self, number: str) -> None:
        raise HTTPError(404)


class Raises(RequestHandler):
    async def get(self, number: str) -> None:
        raise ValueError("no such story")


def by_hand(tracer: Any) -> type[RequestHandler]:
    """The least that traces a request: what a handler would have to say for a span like this package's."""
    from opentracing import Format, tags

    class Story(RequestHandler):
        async def get(self, number: str) -> None:
            request = self.request
            with tracer.start_active_span(
                "Story",
                child_of=extract(request.headers),
                tags={
                    tags.COMPONENT: "tornado",
                    tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER,
                    tags.HTTP_METHOD: request.method,
                    tags.HTTP_URL: request.uri,
                    tags.PEER_HOST_IPV4: request.remote_ip,
                    tags.PEER_PORT: request.connection.context.address[1],  # type: ignore[union-attr]
                    "http.route": "/story/{0}",
                },
                ignore_active_span=True,
            ) as scope:
                self.write("hello")
                scope.span.set_tag(tags.HTTP_STATUS_CODE, self.get_status())

    def extract(headers: HTTPHeaders) -> Any:
        from opentracing import SpanContextCorruptedException

        try:
            return tracer.extract(Format.HTTP_HEADERS, headers)
        except SpanContextCorruptedException:  # MockTracer's way to say that there is nothing
            return None

    return Story


def headers(count: int, **more: str) -> HTTPHeaders:
    """As many headers as a request has."""
    result = HTTPHeaders({"Host": "example.com:8080", "User-Agent": "benchmark", "Accept": "*/*", **more})
    for number in range(count - len(result)):
        result.add(f"X-Header-{number}", f"value {number}")
    return result


def application(tracing: Tracing, handler: type[RequestHandler], routes: int = 1) -> Application:
    rules: Any = [(rf"/other{number}/(\d+)", Story) for number in range(routes - 1)]
    made = Application([*rules, (r"/story/(\d+)", handler)], **tracing.settings)
    tracing.equip(made)
    return made


def served_by(tracing: Tracing, routes: int = 1) -> Application:
    """An Application that answers ``/story/1``."""
    handler: type[RequestHandler] = Story
    if tracing.by_hand is not None:
        handler = by_hand(tracing.by_hand)
    elif tracing.opentelemetry_by_hand is not None:
        handler = by_opentelemetrys_hand(tracing.opentelemetry_by_hand)
    return application(tracing, handler, routes)


def by_opentelemetrys_hand(tracer: Any) -> type[RequestHandler]:
    """The least that traces a request with OpenTelemetry's API, by its conventions."""
    from opentelemetry import propagate
    from opentelemetry.trace import SpanKind

    class Story(RequestHandler):
        async def get(self, number: str) -> None:
            request = self.request
            with tracer.start_as_current_span(
                "GET /story/{0}",
                context=propagate.extract(request.headers),
                kind=SpanKind.SERVER,
                attributes={
                    "http.request.method": request.method,
                    "url.scheme": request.protocol,
                    "url.path": request.path,
                    "http.route": "/story/{0}",
                    "server.address": request.host_name,
                    "client.address": request.remote_ip,
                    "user_agent.original": request.headers["User-Agent"],
                    "network.protocol.version": "1.1",
                },
            ) as span:
                self.write("hello")
                span.set_attribute("http.response.status_code", self.get_status())

    return Story


def a_request(count: int = 5, routes: int = 1, **more: str) -> Callable[[Tracing], Action | None]:
    return lambda tracing: requesting(served_by(tracing, routes), "/story/1", headers(count, **more))


def a_request_of(
    handler: type[RequestHandler], method: str = "GET", body: bytes = b""
) -> Callable[[Tracing], Action | None]:
    """A request to a handler that nobody traces by hand."""

    def act(tracing: Tracing) -> Action | None:
        if tracing.by_hand is not None:
            return None
        found = headers(6, **{"Content-Type": "application/json"})
        return requesting(application(tracing, handler), "/story/1", found, method, body)

    return act


def a_failing_request(handler: type[RequestHandler]) -> Callable[[Tracing], Action | None]:
    """A request that tracing by hand takes no part in, for it would have to tell failures from answers."""

    def act(tracing: Tracing) -> Action | None:
        if tracing.by_hand is not None:
            return None
        return requesting(application(tracing, handler), "/story/1", headers(5))

    return act


def a_decorated_request(tracing: Tracing) -> Action | None:
    decorate = tracing.decorate
    if decorate is None:
        return a_request()(tracing) if tracing.is_bare else None
    decorated = type("Decorated", (RequestHandler,), {"get": decorate(Story.get)})
    return requesting(application(tracing, decorated), "/story/1", headers(5))


def a_fetch(make: Callable[[], Any]) -> Callable[[Tracing], Action | None]:
    def act(tracing: Tracing) -> Action | None:
        client = InstantClient()
        if tracing.by_hand is not None:
            return fetching_by_hand(tracing.by_hand, client, make)

        async def fetch() -> None:
            await client.fetch(make())

        return fetch

    return act


def fetching_by_hand(tracer: Any, client: InstantClient, make: Callable[[], Any]) -> Action:
    """The least that traces a fetch."""
    from opentracing import Format, tags

    async def fetch() -> None:
        request = make()
        if isinstance(request, str):
            request = HTTPRequest(request)
        span = tracer.start_span(
            request.method,
            tags={
                tags.COMPONENT: "tornado",
                tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT,
                tags.HTTP_METHOD: request.method,
                tags.HTTP_URL: request.url,
                tags.PEER_HOSTNAME: "example.com",
                tags.PEER_PORT: 8080,
                tags.PEER_ADDRESS: "example.com:8080",
            },
        )
        tracer.inject(span.context, Format.HTTP_HEADERS, request.headers)
        response = await client.fetch(request)
        span.set_tag(tags.HTTP_STATUS_CODE, response.code)
        span.finish()

    return fetch


def children(count: int) -> Scenario:
    """Children that each open a span, within a span; a child of bare Tornado's opens none."""

    def act(tracing: Tracing) -> Action | None:
        if tracing.child is None and not tracing.is_bare:
            return None
        span: Callable[[], AbstractContextManager[object]] = tracing.child or contextlib.nullcontext

        async def gather() -> None:
            with span():
                await asyncio.gather(*(work() if tracing.is_bare else child(span) for _ in range(count)))

        return gather

    async def child(span: Callable[[], AbstractContextManager[object]]) -> None:
        with span():
            await work()

    async def work() -> None:
        await asyncio.sleep(0)

    return Scenario(act, count)


def upgrade() -> HTTPHeaders:
    """The headers of a handshake."""
    return headers(
        10,
        Upgrade="websocket",
        Connection="Upgrade",
        **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"},
    )


def a_message(tracing: Tracing) -> Action | None:
    if tracing.by_hand is not None:
        return None

    class Handler(WebSocketHandler):
        def open(self, *args: str, **kwargs: str) -> None:
            pass

        def on_message(self, message: str | bytes) -> None:
            arrived.set()

    arrived = asyncio.Event()
    served = application(tracing, Handler)
    streams: list[Stream] = []

    async def message() -> None:
        if not streams:
            delegate, connection = begin(served, "/story/1", upgrade())
            delegate.finish()
            streams.append(connection.stream)
            await connection.finished
        streams[0].feed(b"\x81\x85\0\0\0\0hello")
        await arrived.wait()
        arrived.clear()

    return message


def a_chunk(tracing: Tracing) -> Action | None:
    if tracing.by_hand is not None:
        return None

    @stream_request_body
    class Upload(RequestHandler):
        def data_received(self, chunk: bytes) -> None:
            pass

        def put(self, number: str) -> None:
            pass

    served = application(tracing, Upload)
    uploads: list[Any] = []

    async def chunk() -> None:
        if not uploads:
            delegate, _ = begin(served, "/story/1", headers(5), "PUT")
            uploads.append(delegate)
            await asyncio.sleep(0)
        uploads[0].data_received(b"chunk")

    return chunk


def applications(count: int) -> Scenario:
    """Applications that are made and kept; each is a unit."""

    def act(tracing: Tracing) -> Action | None:
        if tracing.by_hand is not None:
            return None
        kept: list[Application] = []

        async def make() -> None:
            kept[:] = [application(tracing, Story) for _ in range(count)]

        return make

    return Scenario(act, count)


def a_scope(depth: int, repeats: int = 20) -> Scenario:
    def act(tracing: Tracing) -> Action | None:
        if tracing.tracer is None:
            return None
        manager, span = tracing.tracer.scope_manager, tracing.tracer.start_span("span")
        below: list[Any] = []

        async def open_and_close() -> None:
            while len(below) < depth - 1:
                below.append(manager.activate(span, False))
            for _ in range(repeats):
                manager.activate(span, False).close()

        return open_and_close

    return Scenario(act, repeats)


REQUEST, RAISES, FETCH, MESSAGE = "request", "handler raises", "fetch", "WebSocket message"

#: What is shown together.
GROUPS: Mapping[str, Mapping[str, Scenario]] = {
    "a request": {
        REQUEST: Scenario(a_request()),
        "request with traceparent": Scenario(a_request(6, Traceparent=f"00-{1:032x}-{2:016x}-01")),
        "JSON body": Scenario(a_request_of(Data, "POST", b'{"a": [1, 2.5, "three"], "b": {"c": null}}')),
        "template": Scenario(a_request_of(Page)),
        "HTTPError": Scenario(a_failing_request(Refuses)),
        RAISES: Scenario(a_failing_request(Raises)),
        "@trace": Scenario(a_decorated_request, options={"trace_all": False}),
        "excluded": Scenario(a_request(), options={"excluded_paths": ["/story/.*"]}),
        "trace_all=False": Scenario(a_request(), options={"trace_all": False}),
    },
    "a request with headers, among routes": {
        **{f"{count} headers": Scenario(a_request(count=count)) for count in (10, 50)},
        **{f"{count} routes": Scenario(a_request(routes=count)) for count in (10, 200)},
    },
    "a fetch, a message, a chunk": {
        FETCH: Scenario(a_fetch(lambda: URL)),
        "fetch of an HTTPRequest": Scenario(a_fetch(lambda: HTTPRequest(URL))),
        MESSAGE: Scenario(a_message),
        "WebSocket message, traced": Scenario(a_message, options={"trace_websocket_messages": True}),
        "streamed chunk": Scenario(a_chunk),
    },
    "a child": {f"gather, {count:,} children": children(count) for count in (10, 100, 1_000)},
    "an Application": {f"{count:,} Applications": applications(count) for count in (10, 1_000)},
    "a scope": {f"scope at depth {depth}": a_scope(depth) for depth in (1, 10, 100)},
}
SCENARIOS = {name: scenario for group in GROUPS.values() for name, scenario in group.items()}


@contextlib.contextmanager
def acting(name: str, tracing: Tracing) -> Generator[Action | None]:
    """The action of a scenario, if there is one for this way of tracing."""
    scenario = SCENARIOS[name]
    if scenario.options:
        if tracing.configure is None:
            yield scenario.act(tracing) if tracing.is_bare else None
            return
        tracing.configure(**scenario.options)
    try:
        yield scenario.act(tracing)
    finally:
        tracing.reset()
        if scenario.options and tracing.configure is not None:
            tracing.configure()
