# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``jaeger-client``: in memory, and with the reporter that sends to an agent from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from jaeger_client import Config, ConstSampler, Tracer
from jaeger_client.reporter import InMemoryReporter
from opentracing import Format, InvalidCarrierException
from support import Recorded, Servers
from support.serving import until
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPHeaders
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler
from tracers.guarantees import Greeting, Guarantees, TracerRecorder

from tornado_opentracing import ContextVarsScopeManager, init_tracing

# It looks up the machine's address with a socket that it leaves to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def value(tag: Any) -> Any:
    """A tag's value: Thrift has a field for each type, and all but one are ``None``."""
    return next(field for field in (tag.vStr, tag.vBool, tag.vLong, tag.vDouble, tag.vBinary) if field is not None)


def read(span: Any) -> Recorded:
    return Recorded(
        span.operation_name,
        span.trace_id,
        span.span_id,
        span.parent_id,
        {tag.key: value(tag) for tag in span.tags},
        [{field.key: value(field) for field in log.fields} for log in span.logs],
        span.start_time,
        span.end_time,
    )


class TestJaeger(Guarantees):
    corrupt_header = ("uber-trace-id", "nonsense")
    service = "shop"

    def make_recorder(self, **kwargs: Any) -> TracerRecorder:
        reporter = InMemoryReporter()
        tracer = Tracer("shop", reporter, ConstSampler(True), max_tag_value_length=10_000, **kwargs)
        return TracerRecorder(tracer, reporter.get_spans, read)


def test_it_refuses_tornado_s_headers_as_a_carrier() -> None:
    """Why the package gives every tracer a ``dict``."""
    tracer = Tracer("shop", InMemoryReporter(), ConstSampler(True))
    with pytest.raises(InvalidCarrierException):
        tracer.inject(tracer.start_span("x").context, Format.HTTP_HEADERS, HTTPHeaders())


class Agent:
    """Jaeger's agent, as far as it receives spans: datagrams of Thrift."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.received = b""

    def has(self, *texts: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.received += self._socket.recv(65_536)
        return all(text in self.received for text in texts)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.close()


@contextlib.asynccontextmanager
async def configured(agent: Agent, settings: dict[str, Any], io_loop: IOLoop | None = None) -> AsyncIterator[Any]:
    """A tracer as ``Config`` makes it."""
    local_agent = {"reporting_host": "127.0.0.1", "reporting_port": agent.port, **settings.pop("local_agent", {})}
    settings |= {"reporter_flush_interval": 0.01, "local_agent": local_agent}
    tracer = Config(settings, service_name="shop", scope_manager=ContextVarsScopeManager()).new_tracer(io_loop)
    try:
        yield tracer
    finally:
        channel = tracer.reporter._channel
        if (own := channel._thread_loop) is not None:
            # Its stop() waits for a loop that it does not wake.
            own._io_loop.add_callback(own._io_loop.stop)
            await asyncio.to_thread(own._thread.join, 5)
            own._io_loop.close()
        channel.close()


CONSTANT = {"sampler": {"type": "const", "param": 1}, "logging": False}


async def test_its_thread_sends_the_spans_to_the_agent(agent: Agent, servers: Servers) -> None:
    async with configured(agent, dict(CONSTANT)) as tracer:
        init_tracing(tracer)
        await AsyncHTTPClient().fetch(servers.start(Application([("/", Greeting)])))
        await until(lambda: agent.has(b"emitBatch", b"Greeting", b"GET"))


async def test_on_the_server_s_own_loop_closing_it_sends_what_is_left(agent: Agent, servers: Servers) -> None:
    """Where the tracer has a thread, that completes the future of ``close()``, which asyncio does not allow."""
    async with configured(agent, dict(CONSTANT), IOLoop.current()) as tracer:
        init_tracing(tracer)
        await AsyncHTTPClient().fetch(servers.start(Application([("/", Greeting)])))
        await asyncio.wait_for(tracer.close(), 5)
        assert agent.has(b"emitBatch", b"Greeting", b"GET")


async def test_its_default_sampler_s_polls_are_fetches_with_spans(agent: Agent, servers: Servers) -> None:
    polls = []

    class Sampling(RequestHandler):
        def get(self) -> None:
            polls.append(self.request.headers.get("uber-trace-id"))
            self.write({"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1.0}})

    url = servers.start(Application([("/sampling", Sampling)], opentracing_excluded_paths=["/sampling"]))
    polling = {"local_agent": {"sampling_port": int(url.rpartition(":")[2])}, "sampling_refresh_interval": 0.05}
    async with configured(agent, polling) as tracer:
        init_tracing(tracer)
        await until(lambda: len(polls) > 2)
        tracer.sampler.close()
        assert all(polls)
