# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the span of a message tells, who may have a say in it, and that it always ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import pytest
from support import RECORDERS, MockRecorder, Recorded, Recorder, Servers, only
from support.serving import only_span, settled, until
from support.sockets import Site, Socket, connected, exchange, serve
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import WebSocketMessage, init_tracing

#: As OpenTracing and as OpenTelemetry's conventions call it.
ABOUT_REQUESTS = (
    *("http.route", "http.url", "peer.ipv4", "peer.port"),
    *("url.scheme", "url.path", "url.query", "client.address", "client.port", "network.peer.address"),
)


def events(spans: list[Recorded], name: str) -> list[Recorded]:
    return [span for span in spans if span.name.endswith(name)]


def socket_at(servers: Servers, recorder: Recorder, pattern: str, **options: Any) -> tuple[str, Site]:
    init_tracing(recorder.tracer, trace_client=False, trace_websocket_messages=True, **options)
    site = Site(recorder.tracer)
    url = servers.start(Application([(pattern, Socket, {"site": site})]))
    return url.replace("http", "ws"), site


async def test_a_message_is_called_by_its_route_and_says_where_it_came_from(
    each_recorder: Recorder, servers: Servers
) -> None:
    url, site = socket_at(servers, each_recorder, "/app/(?P<name>.*)/ws", operation_name="route")
    for _ in range(2):
        site.is_closed = False
        async with connected(f"{url}/app/shop/ws?token=secret&a=b", site) as opened:
            await exchange(opened, "one", "two")
    spans = await settled(each_recorder, 10)
    found = [span for span in spans if span.kind == "consumer"]
    assert {span.name for span in found} == {f"WS /app/{{name}}/ws {e}" for e in ("open", "on_message", "on_close")}
    handshakes = {f"{span.trace_id:x}": span for span in spans if span.kind == "server"}
    for span in found:
        handshake = handshakes[span.tags["websocket.handshake.trace_id"].lstrip("0")]
        shared = [tag for tag in ABOUT_REQUESTS if tag in handshake.tags]
        assert len(shared) >= 4
        assert [span.tags[tag] for tag in shared] == [handshake.tags[tag] for tag in shared]
        assert "secret" not in str(span.tags)
        assert int(span.tags["websocket.connection.id"], 16) == handshake.span_id
    assert len({span.tags["websocket.connection.id"] for span in found}) == 2
    assert len({span.trace_id for span in spans}) == len(spans)


async def test_a_message_of_a_catch_all_bears_its_handlers_name(recorder: Recorder, servers: Servers) -> None:
    url, site = socket_at(servers, recorder, "/(?:.*)", operation_name="route")
    async with connected(url + "/x", site) as opened:
        await exchange(opened, "one")
    assert events(await settled(recorder, 4), "WS Socket on_message")


async def test_a_message_refers_to_its_handshake() -> None:
    recorder = MockRecorder()
    servers = Servers()
    url, site = socket_at(servers, recorder, "/")
    async with connected(url, site) as opened:
        await exchange(opened, "one")
    spans = await settled(recorder, 4)
    handshake = only(spans, kind="server")
    assert all(f"{handshake.trace_id:x}" in s.tags["follows_from"] for s in spans if s is not handshake)
    await servers.stop()


@pytest.mark.parametrize("stack", ["opentelemetry", "bridge"])
async def test_a_message_is_linked_to_its_handshake(stack: str, servers: Servers) -> None:
    recorder: Any = RECORDERS[stack]()
    url, site = socket_at(servers, recorder, "/")
    async with connected(url, site) as opened:
        await exchange(opened, "one")
    handshake = only(await settled(recorder, 4), kind="server")
    for span in recorder._exporter.get_finished_spans():
        if span.context.span_id != handshake.span_id:
            assert [link.context.span_id for link in span.links] == [handshake.span_id]


# Callbacks and the filter.


async def test_callbacks_are_given_the_handler_and_what_happened(each_recorder: Recorder, servers: Servers) -> None:
    calls: list[tuple[str, Any]] = []

    def started(span: Any, subject: Any) -> None:
        span.set_tag("seen", type(subject).__name__)
        calls.append(("start", subject))

    url, site = socket_at(
        servers,
        each_recorder,
        "/",
        start_span_cb=started,
        finish_span_cb=lambda _, subject: calls.append(("finish", subject)),
    )
    async with connected(url, site) as opened:
        await exchange(opened, "äö", b"\x00")
    spans = await settled(each_recorder, 5)
    about = [subject for call, subject in calls if call == "start" and isinstance(subject, WebSocketMessage)]
    assert [(m.event, m.type, m.size) for m in about] == [
        ("open", None, None),
        ("on_message", "text", 4),
        ("on_message", "binary", 1),
        ("on_close", None, None),
    ]
    assert all(isinstance(message.handler, Socket) and message.request.path == "/" for message in about)
    assert [subject for call, subject in calls if call == "finish" and isinstance(subject, WebSocketMessage)] == about
    assert [span.tags["seen"] for span in spans if span.kind == "consumer"] == ["WebSocketMessage"] * 4


async def test_a_filter_leaves_messages_out(recorder: Recorder, servers: Servers) -> None:
    asked: list[Any] = []

    def is_wanted(handler: Any, message: Any) -> bool:
        asked.append((type(handler), message))
        return bool(message != "heartbeat")

    url, site = socket_at(servers, recorder, "/", websocket_message_filter=is_wanted)
    async with connected(url, site) as opened:
        await exchange(opened, "heartbeat", "one", "heartbeat")
    assert len(events(await settled(recorder, 4), "on_message")) == 1
    assert asked == [(Socket, "heartbeat"), (Socket, "one"), (Socket, "heartbeat")]


async def test_a_filter_that_raises_leaves_nothing_out(
    recorder: Recorder, servers: Servers, reports: list[logging.LogRecord]
) -> None:
    url, site = socket_at(servers, recorder, "/", websocket_message_filter=lambda _: True)
    async with connected(url, site) as opened:
        await exchange(opened, "one")
    assert len(events(await settled(recorder, 4), "on_message")) == 1
    (report,) = reports
    assert "websocket_message_filter" in report.getMessage()


# Both ways.


class Answers(Socket):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message({"got": str(message)})
        await self.write_message(b"\x00\x01", binary=True)


async def test_what_is_sent_has_a_span_of_its_own_beneath_what_is_active(
    each_recorder: Recorder, servers: Servers
) -> None:
    url, site = serve(servers, each_recorder, Answers, trace_websocket_messages="both")
    async with connected(url, site) as opened:
        await opened.write_message("ä")
        assert await opened.read_message() == '{"got": "\\u00e4"}'
        assert await opened.read_message() == b"\x00\x01"
    spans = await settled(each_recorder, 6)
    received = only(spans, name="Answers.on_message")
    sent = events(spans, "write_message")
    for span in sent:
        assert (span.trace_id, span.parent_id, span.kind) == (received.trace_id, received.span_id, "producer")
        assert span.tags["websocket.backlog"] == 0
    about = ("websocket.message.type", "websocket.message.size")
    assert [tuple(span.tags[tag] for tag in about) for span in sent] == [("text", 17), ("binary", 2)]


async def test_what_is_sent_with_nothing_active_follows_from_the_handshake(
    recorder: Recorder, servers: Servers
) -> None:
    class Later(Socket):
        def on_pong(self, data: bytes) -> None:
            self.write_message("pushed")

        def open(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
            self.ping(b"")
            return super().open()

    url, site = serve(servers, recorder, Later, trace_websocket_messages="both")
    async with connected(url, site) as opened:
        assert await opened.read_message() == "pushed"
    spans = await settled(recorder, 4)
    (sent,) = events(spans, "write_message")
    assert sent.parent_id is None
    assert int(sent.tags["websocket.handshake.trace_id"], 16) == only(spans, kind="server").trace_id


async def test_what_is_sent_has_no_span_unless_that_is_asked_for(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, Answers, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await opened.write_message("a")
        await opened.read_message()
    assert not events(await settled(recorder, 4), "write_message")


def test_a_wrong_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="trace_websocket_messages must be True, False or 'both'"):
        init_tracing(MockRecorder().tracer, trace_websocket_messages="in")  # type: ignore[arg-type]


# The end.


class Closes(Socket):
    def on_message(self, message: str | bytes) -> None:
        self.close(4001, "enough")


@pytest.mark.parametrize("by", ["server", "client"])
async def test_the_end_says_how_it_came_at_both_ends(by: str, each_recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, each_recorder, Closes, trace_client=True, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        if by == "server":
            await opened.write_message("a")
            assert await opened.read_message() is None
        else:
            opened.close(4001, "enough")
    spans = await settled(each_recorder, 5)
    await until(lambda: len(events(each_recorder.finished, "on_close")) == 2)
    for span in events(each_recorder.finished, "on_close"):
        # Tornado's answer to who closes has the code, and no reason.
        assert (span.tags["websocket.close.code"], span.tags["websocket.close.reason"]) == (4001, "enough")
        assert span.parent_id is None
    handshake = only(spans, kind="client")
    (theirs,) = events(each_recorder.finished, "WebSocketClientConnection.on_close")
    assert int(theirs.tags["websocket.handshake.trace_id"], 16) == handshake.trace_id
    url_tag = "url.full" if "url.full" in handshake.tags else "http.url"
    assert theirs.tags[url_tag] == handshake.tags[url_tag]


async def test_a_connection_that_breaks_off_has_no_code(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, Socket, trace_websocket_messages=True)
    async with connected(url, site):
        site.stream.close()
    (end,) = events(await settled(recorder, 3), "on_close")
    assert "websocket.close.code" not in end.tags


# What a task does that open() started.


class Behind(RequestHandler):
    def get(self) -> None:
        self.write("behind")


class Works(Socket):
    url = ""
    client: AsyncHTTPClient

    async def open(self, *args: str, **kwargs: str) -> None:
        with self.site.tracer.start_active_span("within"):
            pass
        self.site.tracer.active_span.set_tag("room", "a")
        self.task = asyncio.ensure_future(self.work())

    async def work(self) -> None:
        await self.site.release.wait()
        with self.site.tracer.start_active_span("work"):
            pass
        await self.client.fetch(self.url)


async def test_what_a_task_does_that_open_started_belongs_to_the_connection(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    Works.url = servers.start(Application([("/", Behind)], opentracing_trace_all=False))
    Works.client = client
    url, site = serve(servers, each_recorder, Works, trace_client=True, trace_websocket_messages=True)
    async with connected(url, site) as opened:
        await exchange(opened, "a")
        site.release.set()
        await until(lambda: any(span.name == "GET" and span.status == 200 for span in each_recorder.finished))
    spans = await settled(each_recorder, 8)
    handshake, opening = only(spans, kind="server"), only(spans, name="Works.open")
    assert only(spans, name="within").parent_id == opening.span_id
    assert opening.tags["room"] == "a"
    fetch = next(span for span in spans if span.name == "GET" and span.status == 200)
    for span in (only(spans, name="work"), fetch):
        assert (span.trace_id, span.parent_id) == (handshake.trace_id, handshake.span_id)


# The end of the loop.


async def test_a_message_whose_task_is_cancelled_before_its_first_step_has_a_span_that_ends(
    each_recorder: Recorder, servers: Servers
) -> None:
    """As by ``asyncio.run`` that ends in the tick in which the message came."""
    cancelled: list[Any] = []

    def cancel_newest(before: set[Any]) -> None:
        cancelled.extend(asyncio.all_tasks() - before)
        for task in cancelled:
            task.cancel()

    class Late(Socket):
        def on_message(self, message: str | bytes) -> Any:
            asyncio.get_running_loop().call_soon(cancel_newest, asyncio.all_tasks())
            return self.answer()

        async def answer(self) -> None:
            raise AssertionError("it is cancelled by then")

    url, site = serve(servers, each_recorder, Late, trace_websocket_messages=True)
    async with connected(url) as opened:
        await until(lambda: site.is_open)
        await opened.write_message("a")
        await until(lambda: events(each_recorder.finished, "on_message"))
        site.stream.close()
    assert len(cancelled) == 1
    # Before 6.6 Tornado forgets the connection of a coroutine that failed: there may be no on_close.
    (message,) = events(await settled(each_recorder, 3), "on_message")
    assert message.is_error


async def test_by_default_a_client_says_nothing_of_the_end(recorder: Recorder, servers: Servers) -> None:
    url, site = serve(servers, recorder, Socket)
    async with connected(url, site):
        pass
    assert (await only_span(recorder)).kind == "server"
