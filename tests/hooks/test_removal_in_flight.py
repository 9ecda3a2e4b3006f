# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Tracing is removed while something is in flight. (Plain requests and fetches are in test_in_flight.py.)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support import Recorder, active_id
from support.loops import (
    HeldAlone,
    HeldHandshake,
    HeldInThread,
    HeldMessage,
    HeldOpen,
    HeldUpload,
    NewLoop,
    Site,
    each_loop,
    run,
    serving,
)
from support.serving import connection, settled
from tornado.web import Application
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tornado_opentracing import init_tracing


async def is_left(url: str, site: Site) -> None:
    async with connection(url) as opened:
        opened.send("GET /heldalone HTTP/1.1\nHost: localhost\n\n")
        await site.remove_tracing()
    await asyncio.wait_for(site.left.wait(), 10)


async def is_finished_later(url: str, site: Site) -> None:
    async with connection(url) as opened:
        answer = asyncio.ensure_future(opened.get("/heldopen"))
        await site.remove_tracing()
        assert await answer == (200, "late")


async def is_left_during_upload(url: str, site: Site) -> None:
    async with connection(url) as opened:
        opened.send("POST /heldupload HTTP/1.1\nHost: localhost\nContent-Length: 9\n\nhello")
        await site.remove_tracing()


async def uploads(url: str, site: Site) -> None:
    async with connection(url) as opened:
        opened.send("POST /heldupload HTTP/1.1\nHost: localhost\nContent-Length: 9\n\nhello")
        await site.remove_tracing()
        opened.send("bye!")
        assert await opened.answer() == (200, "9")


async def works_in_a_thread(url: str, site: Site) -> None:
    async with connection(url) as opened:
        answer = asyncio.ensure_future(opened.get("/heldinthread"))
        await site.remove_tracing()
        assert await answer == (200, "True")


async def opens_a_websocket(url: str, site: Site) -> None:
    opening = asyncio.ensure_future(websocket_connect(url.replace("http", "ws") + "/heldhandshake"))
    await site.remove_tracing()
    await echoes(await opening, "hello")


async def sends_a_message(url: str, site: Site) -> None:
    opened = await websocket_connect(url.replace("http", "ws") + "/heldmessage")
    await opened.write_message("hello")
    await site.remove_tracing()
    assert await opened.read_message() == "hello"
    await echoes(opened, "again")


async def echoes(opened: WebSocketClientConnection, message: str) -> None:
    await opened.write_message(message)
    assert await opened.read_message() == message
    opened.close(1000)
    assert await opened.read_message() is None
    assert opened.close_code == 1000


#: With the spans that were started before tracing was removed.
IN_FLIGHT: dict[Callable[[str, Site], Awaitable[None]], list[str]] = {
    is_left: ["HeldAlone"],
    is_finished_later: ["HeldOpen"],
    is_left_during_upload: ["HeldUpload"],
    uploads: ["HeldUpload"],
    works_in_a_thread: ["HeldInThread"],
    opens_a_websocket: ["GET", "HeldHandshake"],
    sends_a_message: ["GET", "HeldMessage", "HeldMessage.on_message", "HeldMessage.open"],
}


@each_loop
@pytest.mark.parametrize("flight", IN_FLIGHT)
def test_what_is_in_flight_when_tracing_is_removed_comes_to_its_end(
    flight: Callable[[str, Site], Awaitable[None]], each_recorder: Recorder, new_loop: NewLoop
) -> None:
    """The application is served as if nothing had happened, and every span that was started is finished once."""

    async def main() -> None:
        init_tracing(each_recorder.tracer, trace_websocket_messages=True)
        handlers = [HeldAlone, HeldOpen, HeldInThread, HeldUpload, HeldHandshake, HeldMessage]
        site = Site()
        app = Application([(f"/{handler.__name__.lower()}", handler) for handler in handlers], site=site)
        async with serving(app) as url:
            await flight(url, site)
            await settled(each_recorder, len(IN_FLIGHT[flight]))
        assert active_id(each_recorder.tracer) is None

    run(new_loop, main())
    assert sorted(span.name for span in each_recorder.finished) == IN_FLIGHT[flight]
    assert each_recorder.unfinished == 0
