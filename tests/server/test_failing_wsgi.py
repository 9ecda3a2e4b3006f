# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a WSGI application raises behind a ``FallbackHandler`` is an error of its request, answered or not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tornado
from support import Recorder, Servers
from support.serving import connection, only_span, until
from tornado.web import Application, FallbackHandler
from tornado.wsgi import WSGIContainer

from tornado_opentracing import init_tracing

SPAWNS = tornado.version_info >= (6, 3)


def raises(environ: Any, start_response: Any) -> list[bytes]:
    raise OSError("oops")


def raises_later(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"a"
    raise OSError("oops")


def answers_nothing(environ: Any, start_response: Any) -> list[bytes]:
    return []


@pytest.mark.parametrize("pool", [False, True] if SPAWNS else [False], ids=["loop", "threads"][: 1 + SPAWNS])
@pytest.mark.parametrize(
    ("app", "kind"), [(raises, "OSError"), (raises_later, "OSError"), (answers_nothing, "Exception")]
)
async def test_the_exception_is_the_spans(
    each_recorder: Recorder, servers: Servers, caplog: pytest.LogCaptureFixture, app: Any, kind: str, pool: bool
) -> None:
    init_tracing(each_recorder.tracer)
    with ThreadPoolExecutor(1) as executor:
        container = WSGIContainer(app, executor) if pool else WSGIContainer(app)
        url = servers.start(Application([("/.*", FallbackHandler, {"fallback": container})]))
        async with connection(url) as opened:
            opened.send("GET /wsgi HTTP/1.1\nHost: localhost\n\n")
            # Nobody answers since Tornado 6.3, but its log says what happened.
            await until(lambda: caplog.records)
        span = await only_span(each_recorder)
    assert (span.is_error, span.status) == (True, None if SPAWNS else 500)
    assert kind in str(span.logs)
