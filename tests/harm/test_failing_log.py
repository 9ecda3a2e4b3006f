# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A log that fails is not seen by the application, which did nothing but ask for tracing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing

LOGGER = logging.getLogger("tornado_opentracing")


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


class FailingHandler(logging.Handler):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def handle(self, record: logging.LogRecord) -> Any:
        raise self.error


@pytest.fixture(params=["handler", "filter", "level", "stderr"])
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each place in which an application's logging can fail."""
    error = ValueError("cannot log http://bob:hidden@host/?token=hidden")
    handler = FailingHandler(error)

    def fail(*args: Any) -> Any:
        raise error

    if request.param == "level":
        monkeypatch.setattr(LOGGER, "isEnabledFor", fail)
    elif request.param == "filter":
        LOGGER.addFilter(fail)
    else:
        LOGGER.addHandler(handler)
    yield request.param
    LOGGER.removeHandler(handler)
    LOGGER.removeFilter(fail)


async def test_a_log_that_fails_is_told_of_on_stderr_and_does_not_reach_the_application(
    failing: str,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    reports: list[logging.LogRecord],
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("a bug of the callback")

    if failing == "stderr":
        monkeypatch.setattr("sys.stderr", None)
    init_tracing(each_recorder.tracer, start_span_cb=fail, finish_span_cb=fail)
    url = servers.start(Application([("/", Hello)]))
    for _ in range(2):
        assert (await client.fetch(url)).body == b"hello"
    await settled(each_recorder, 4)
    told = capsys.readouterr().err
    # Not once for each request.
    assert told.count("logging that start_span_cb failed: ") == (failing != "stderr")
    assert "hidden" not in told
    assert failing == "stderr" or "ValueError: cannot log http://host/?token=REDACTED" in told


def test_what_is_no_exception_of_the_logs_own_is_not_held_back(reports: list[logging.LogRecord]) -> None:
    from tornado_opentracing._guard import report

    handler = FailingHandler(KeyboardInterrupt())
    LOGGER.addHandler(handler)
    try:
        raise ValueError
    except ValueError:
        with pytest.raises(KeyboardInterrupt):
            report("something")
    finally:
        LOGGER.removeHandler(handler)
