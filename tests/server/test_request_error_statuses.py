# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``server_error_statuses``: of which responses the span of a request is an error."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import connection, only_span
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import init_tracing


class Sets(RequestHandler):
    def get(self, status: str) -> None:
        self.set_status(int(status), "as asked")


class Raises(RequestHandler):
    def get(self, status: str) -> None:
        raise HTTPError(int(status), reason="as asked")


class Breaks(RequestHandler):
    def get(self) -> None:
        raise ArithmeticError


DEFAULT: Any = object()
CASES: list[tuple[Any, int, bool]] = [
    (DEFAULT, 404, False),
    (DEFAULT, 503, True),
    (DEFAULT, 599, True),
    ({404}, 404, True),
    ({404}, 503, False),
    ([500, 502], 503, False),
    (range(400, 600), 400, True),
    ((), 503, False),
]


@pytest.mark.parametrize("level", ["init", "setting"])
@pytest.mark.parametrize("way", ["set", "raise"])
@pytest.mark.parametrize(("statuses", "status", "is_error"), CASES)
async def test_a_request_is_an_error_where_its_status_is_among_those_that_are(
    statuses: Any, status: int, is_error: bool, way: str, level: str, each_recorder: Recorder, servers: Servers
) -> None:
    """An HTTPError of such a status is logged, as one of 500 is by default."""
    options = {} if statuses is DEFAULT else {"server_error_statuses": statuses}
    settings = {f"opentracing_{name}": value for name, value in options.items()} if level == "setting" else {}
    init_tracing(each_recorder.tracer, **({} if level == "setting" else options))
    handlers: list[Any] = [("/set/([0-9]+)", Sets), ("/raise/([0-9]+)", Raises)]
    async with connection(servers.start(Application(handlers, **settings))) as opened:
        assert (await opened.get(f"/{way}/{status}"))[0] == status
    span = await only_span(each_recorder)
    assert span.status == status
    assert span.is_error is is_error
    kinds = [log["error.kind"] for log in span.logs if log.get("event") == "error"]
    assert kinds == ["HTTPError"] * (is_error and way == "raise")


async def test_an_exception_that_nobody_handled_is_an_error_whatever_the_statuses(
    each_recorder: Recorder, servers: Servers
) -> None:
    init_tracing(each_recorder.tracer, server_error_statuses=[])
    async with connection(servers.start(Application([("/", Breaks)]))) as opened:
        assert (await opened.get())[0] == 500
    assert (await only_span(each_recorder)).is_error


async def test_those_of_fetches_and_of_requests_are_two_things(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer, client_error_statuses=[404])
    async with connection(servers.start(Application([("/([0-9]+)", Sets)]))) as opened:
        assert (await opened.get("/404"))[0] == 404
    assert not (await only_span(each_recorder)).is_error
