# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import opentracing
import pytest
from support import RECORDERS, MockRecorder, Recorder, Servers
from tornado.httpclient import AsyncHTTPClient

import tornado_opentracing
from tornado_opentracing import _guard
from tornado_opentracing._settings import config

# Until Python 3.12 the collector can run in the middle of ContextVar.set(), which crashes when a finalizer then changes
# the context. The scopes that OpenTelemetry's shim leaves to the collector do so: collect between tests.
COLLECTS_BETWEEN_TESTS = sys.version_info < (3, 12) and sys.implementation.name == "cpython"

# They need what is installed for them alone; by name they run.
collect_ignore = ["tracers", "beside"]


def pytest_configure() -> None:
    if COLLECTS_BETWEEN_TESTS:
        gc.disable()


def pytest_runtest_logfinish() -> None:
    if COLLECTS_BETWEEN_TESTS and gc.get_count()[0] > 50_000:
        gc.collect()


@pytest.fixture(autouse=True)
def _clean_slate() -> Iterator[None]:
    """Every test starts and ends without tracing."""
    _guard._reported.clear()
    config.process.has_excluded = False
    yield
    tornado_opentracing.remove_tracing()
    opentracing.set_global_tracer(opentracing.Tracer())
    opentracing.is_tracer_registered = False


@pytest.fixture(autouse=True)
def reports(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """What the package logged; a test that does not ask for it fails if there is any, for it would hide a bug."""
    found: list[logging.LogRecord] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler = Collect(logging.WARNING)
    logger = logging.getLogger("tornado_opentracing")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)
    if "reports" not in inspect.signature(request.node.function).parameters:
        assert not found, [caplog.handler.format(record) for record in found]


@pytest.fixture
def recorder() -> Recorder:
    """``MockTracer`` under this package's scope manager."""
    return MockRecorder()


@pytest.fixture(params=list(RECORDERS))
def each_recorder(request: pytest.FixtureRequest) -> Recorder:
    """The three stacks in turn: ours, ``opentracing``'s own scope manager, OpenTelemetry's shim."""
    made: Recorder = RECORDERS[request.param]()
    return made


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads take turns as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    servers = Servers()
    yield servers
    await servers.stop()


@pytest.fixture
async def client() -> AsyncIterator[AsyncHTTPClient]:
    """A client of the test's own. Tests that must not see its spans look at server spans only."""
    made: Any = AsyncHTTPClient(force_instance=True)
    yield made
    made.close()


@pytest.fixture(params=["simple", "curl"])
async def each_client(request: pytest.FixtureRequest) -> AsyncIterator[AsyncHTTPClient]:
    """Both clients that Tornado has."""
    made: Any
    if request.param == "simple":
        made = AsyncHTTPClient(force_instance=True)
    else:
        pytest.importorskip("pycurl")
        from tornado.curl_httpclient import CurlAsyncHTTPClient

        made = CurlAsyncHTTPClient(force_instance=True)
    yield made
    made.close()
