# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from support import MockRecorder, Recorder, Servers
from support.applications import application
from tornado.httpclient import AsyncHTTPClient

from tornado_opentracing import TornadoTracing


@pytest.fixture
def recorders() -> dict[str, Recorder]:
    return {name: MockRecorder() for name in ("init", "client init", "one", "two", "global")}


@pytest.fixture
async def untraced(servers: Servers, client: AsyncHTTPClient) -> str:
    """The URL of a server whose spans are not in the way."""
    return servers.start(application(client, opentracing_trace_all=False, opentracing_tracing=TornadoTracing()))
