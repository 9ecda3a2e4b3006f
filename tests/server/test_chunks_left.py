# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a chunk of a streamed body leaves behind: nothing that the next one sees, nothing for the garbage collector."""

from __future__ import annotations

import gc
import logging
from typing import Any

import pytest
from support import Recorder, Servers, active_id, span_id
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler, stream_request_body

from tornado_opentracing import TornadoTracing, init_tracing


@pytest.mark.parametrize("is_untidy", [False, True])
async def test_each_chunk_sees_its_request_and_nothing_complains_of_it_later(
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    caplog: pytest.LogCaptureFixture,
    is_untidy: bool,
) -> None:
    tracer: Any = each_recorder.tracer
    seen: list[tuple[int | None, int]] = []
    left: list[Any] = []

    @stream_request_body
    class Upload(RequestHandler):
        def data_received(self, chunk: bytes) -> None:
            seen.append((active_id(tracer), span_id(TornadoTracing.get_span(self))))
            if is_untidy:
                left.append(tracer.start_active_span("left open"))

        def post(self) -> None:
            pass

    init_tracing(tracer)
    origin = servers.start(Application([("/", Upload)]), chunk_size=4)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await client.fetch(f"{origin}/", method="POST", body=b"x" * 16)
        gc.collect()
    assert len(seen) >= 8
    assert [active for active, _ in seen] == [own for _, own in seen]
    assert len({own for _, own in seen}) == 2
    # A scope that nobody closes is the application's to answer for.
    assert is_untidy or not caplog.records
    left.clear()
