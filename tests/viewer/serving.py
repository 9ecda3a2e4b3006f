# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An application with a viewer, and how to ask it."""

from __future__ import annotations

import asyncio
from typing import Any

from support import Servers
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing
from tornado_opentracing.viewer import RecordingTracer, viewer_routes
from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._receiver import PATH, Receiver

PREFIX = "/-/traces"


class Plain(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)


class Raises(RequestHandler):
    def get(self) -> None:
        raise KeyError("secret of the handler")


def serve(servers: Servers, tracer: RecordingTracer, debug: bool = True, **kwargs: Any) -> str:
    init_tracing(tracer, trace_client=False)
    rules: list[Any] = [("/", Plain), ("/raises", Raises), *viewer_routes(tracer, **kwargs)]
    return servers.start(Application(rules, debug=debug, autoreload=False))


async def get(url: str, **kwargs: Any) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(url, raise_error=False, **kwargs)


def spans(tracer: RecordingTracer) -> list[Any]:
    return [span for trace in tracer.traces() for span in trace.spans]


def receive(servers: Servers, tracer: RecordingTracer) -> str:
    """Serve what takes spans of other processes; its URL."""
    rule = (PATH, Receiver, {"tracer": tracer, "access": Access(None, ())})
    return servers.start(Application([rule], debug=True, autoreload=False)) + PATH
