# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An application whose handler fetches, and which of Tornado's functions are in place."""

from __future__ import annotations

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from support import Recorder
from support.serving import connection, settled


class Leaf(RequestHandler):
    def get(self) -> None:
        self.write("leaf")


class Front(RequestHandler):
    async def get(self) -> None:
        await AsyncHTTPClient().fetch(self.request.headers["X-Leaf"])


def application() -> Application:
    return Application([("/", Front), ("/leaf", Leaf)])


async def get_front(url: str) -> int:
    """Send a request, itself traced by nobody, to a handler that fetches another."""
    async with connection(url) as opened:
        return (await opened.get("/", f"X-Leaf: {url}/leaf"))[0]


#: What one request to the front leaves.
TRACED_ONCE = ["Front", "GET", "Leaf"]


async def names(recorder: Recorder) -> list[str]:
    return sorted(span.name for span in await settled(recorder, 0))
