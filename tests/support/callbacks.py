# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Callbacks that remember what they were called with, and an application in which requests end in every way."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado.web import Application, FallbackHandler, Finish, HTTPError, RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from support.outcomes import UnhandledError, fail


class Calls(list[tuple[Any, Any]]):
    """A callback that remembers with what it was called."""

    def __init__(self, kind: type | tuple[type, ...] = object) -> None:
        super().__init__()
        #: Of what type the subjects are that are remembered.
        self.kind = kind

    def __call__(self, span: Any, subject: Any) -> None:
        if isinstance(subject, self.kind):
            self.append((span, subject))

    @property
    def subjects(self) -> list[Any]:
        return [subject for _, subject in self]


class Site:
    """What the handlers and the tests tell each other."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.handlers: list[RequestHandler] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()


class Base(RequestHandler):
    def initialize(self, site: Site) -> None:
        self.site = site
        site.handlers.append(self)

    def on_finish(self) -> None:
        self.site.events.append("on_finish")


class Outcome(Base):
    async def get(self, what: str) -> None:
        await asyncio.sleep(0)
        if what == "missing":
            raise HTTPError(404)
        if what == "raising":
            fail()
        if what == "finish":
            raise Finish
        if what == "unavailable":
            self.send_error(503)
        elif what == "redirect":
            self.redirect("/ok")
        else:
            self.write("ok")


class Refused(Base):
    def initialize(self, site: Site) -> None:
        super().initialize(site)
        raise UnhandledError


class Late(Base):
    async def get(self) -> None:
        self._auto_finish = False

        async def later() -> None:
            await self.site.release.wait()
            self.finish("late")

        self.task = asyncio.ensure_future(later())
        self.site.started.set()


class Waiting(Base):
    async def get(self) -> None:
        self.task = asyncio.current_task()
        self.site.started.set()
        await self.site.release.wait()

    def on_connection_close(self) -> None:
        self.site.release.set()


@stream_request_body
class Upload(Base):
    def prepare(self) -> None:
        self.site.started.set()


class Socket(Base, WebSocketHandler):
    def on_message(self, message: str | bytes) -> Any:
        return self.write_message(message)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "0")])
    return []


class Broken(Base):
    """Breaks the connection off in the middle of its response."""

    async def get(self) -> None:
        self.set_header("Content-Length", "100")
        self.write("that is not all")
        await self.flush()
        connection: Any = self.request.connection
        connection.stream.close()


def application(site: Site, **settings: Any) -> Application:
    own: Any = {"site": site}
    return Application(
        [
            (r"/(ok|missing|raising|finish|unavailable|redirect)", Outcome, own),
            (r"/refused", Refused, own),
            (r"/late", Late, own),
            (r"/waiting", Waiting, own),
            (r"/upload", Upload, own),
            (r"/socket", Socket, own),
            (r"/broken", Broken, own),
            (r"/wsgi", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
        ],
        log_function=lambda handler: None,
        **settings,
    )


async def connected(path: str, site: Site, url: str) -> None:
    opened = await websocket_connect(url.replace("http", "ws") + path)
    await opened.write_message("hello")
    assert await opened.read_message() == "hello"
    opened.close()
