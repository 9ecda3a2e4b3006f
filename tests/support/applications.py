# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Applications that fetch from each other."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from support import MockRecorder, Recorder, active_id
from tornado_opentracing import TornadoTracing


class Leaf(RequestHandler):
    """Answers."""

    def get(self) -> None:
        self.write("leaf")


class Front(RequestHandler):
    """Fetches what it is told to, all at once."""

    async def get(self) -> None:
        client: AsyncHTTPClient = self.settings["client"]
        await asyncio.gather(*(client.fetch(url) for url in self.get_query_arguments("url")))


class Meet(RequestHandler):
    """Waits for the other requests, then fetches; so that requests of several Applications run intertwined."""

    async def get(self) -> None:
        tracer = self.settings["own"].tracer
        meeting: Meeting = self.settings["meeting"]
        before = active_id(tracer)
        for _ in range(3):
            await meeting.gather()
            assert active_id(tracer) == before
            await self.settings["client"].fetch(f"{self.settings['leaf']}/{self.get_query_argument('name')}")
        assert active_id(tracer) == before


class Meeting:
    """Lets nobody go on before all are there, any number of times."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._present = 0
        self._all_there = asyncio.Event()

    async def gather(self) -> None:
        self._present += 1
        event = self._all_there
        if self._present == self._size:
            self._present, self._all_there = 0, asyncio.Event()
            event.set()
        await event.wait()


def application(client: AsyncHTTPClient, **settings: Any) -> Application:
    routes: list[Any] = [(r"/front", Front), (r"/meet", Meet), (r"/.*", Leaf)]
    return Application(routes, client=client, **settings)


def tracing_of(recorder: Recorder, **options: Any) -> dict[str, Any]:
    """The settings that give an Application a tracer of its own."""
    return {"opentracing_tracing": TornadoTracing(recorder.tracer, **options)}


def kinds(recorder: Recorder) -> list[str]:
    assert recorder.unfinished == 0
    return sorted(str(span.kind) for span in recorder.finished)


def unlike(recorder: Any, number: int) -> Any:
    """Let a ``MockTracer`` number its spans as no other does."""
    if isinstance(recorder, MockRecorder):
        recorder.tracer._next_id = number * 1000
    return recorder
