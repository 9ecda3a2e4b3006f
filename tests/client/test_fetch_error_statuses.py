# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``client_error_statuses``: of which responses the span of a fetch is an error."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import TornadoTracing, init_client_tracing


class Answers(RequestHandler):
    def get(self, status: str) -> None:
        self.set_status(int(status), "as asked")


DEFAULT: Any = object()
CASES: list[tuple[Any, int, bool]] = [
    (DEFAULT, 404, False),
    (DEFAULT, 500, True),
    (DEFAULT, 799, True),
    ({404}, 404, True),
    ([404, 500], 405, False),
    ({404}, 500, False),
    (range(400, 500), 400, True),
    (range(400, 500), 500, False),
    ((), 503, False),
]


@pytest.mark.parametrize("raise_error", [True, False])
@pytest.mark.parametrize(("statuses", "status", "is_error"), CASES)
async def test_a_fetch_is_an_error_where_its_status_is_among_those_that_are(
    statuses: Any,
    status: int,
    is_error: bool,
    raise_error: bool,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    options = {} if statuses is DEFAULT else {"client_error_statuses": statuses}
    init_client_tracing(TornadoTracing(each_recorder.tracer, **options))
    url = servers.start(Application([("/([0-9]+)", Answers)]))
    with contextlib.suppress(HTTPClientError):
        await client.fetch(f"{url}/{status}", raise_error=raise_error)
    span = await only_span(each_recorder)
    assert span.status == status
    assert span.is_error is is_error
    errors = [log for log in span.logs if log.get("event") == "error"]
    # As Tornado's HTTPError says it, also where it is not raised.
    assert len(errors) == is_error


async def test_no_response_is_an_error_whatever_the_statuses(each_recorder: Recorder, client: AsyncHTTPClient) -> None:
    init_client_tracing(TornadoTracing(each_recorder.tracer, client_error_statuses=[]))
    socket, port = bind_unused_port()
    socket.listen()
    with pytest.raises(Exception, match=r"[Tt]imeout|timed out"):
        await client.fetch(f"http://127.0.0.1:{port}/", request_timeout=0.05)
    socket.close()
    span = await only_span(each_recorder)
    assert span.status == 599
    assert span.is_error
