# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Trace headers from a client that means harm: the request is served, its span is right, and it costs little.

Through raw sockets, for no HTTP client would send most of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import opentracing
import pytest
import tornado
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from support import MockRecorder, Recorded, Recorder, ShimRecorder
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, init_tracing, remove_tracing
from tornado_opentracing._spans import propagation

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

Header = tuple[str, bytes]

#: What each codec reads, in good health. No two are alike, so that each can be damaged on its own.
HEALTHY: dict[str, dict[str, str]] = {
    "MockTracer": {"Ot-Tracer-Traceid": TRACE, "Ot-Tracer-Spanid": SPAN, "Ot-Baggage-Color": "red"},
    "W3C": {"Traceparent": f"00-{TRACE}-{SPAN}-01", "Tracestate": "a=b,c=d", "Baggage": "color=red,size=2"},
    "B3": {"X-B3-Traceid": TRACE, "X-B3-Spanid": SPAN, "X-B3-Sampled": "1", "X-B3-Flags": "0"},
    "B3 single": {"B3": f"{TRACE}-{SPAN}-1-{SPAN}"},
    "Jaeger": {"Uber-Trace-Id": f"{TRACE}:{SPAN}:0:1", "Uberctx-Color": "red"},
}
CODECS: dict[str, Callable[[], Any]] = {
    "W3C": lambda: CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]),
    "B3": B3MultiFormat,
    "B3 single": B3SingleFormat,
    "Jaeger": JaegerPropagator,
}


#: The bytes that a header's value may consist of.
ALLOWED = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])


class Codec:
    """A tracer that reads and writes the headers of one kind."""

    def __init__(self, name: str) -> None:
        self.recorder: Recorder = MockRecorder() if name == "MockTracer" else ShimRecorder()
        self.healthy = HEALTHY[name]
        self._taken = 0

    def take(self) -> list[Recorded]:
        """The spans since the last time."""
        finished = self.recorder.finished[self._taken :]
        self._taken += len(finished)
        return finished


@pytest.fixture(params=HEALTHY)
def codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Codec]:
    # What a client says about sampling is to have no influence on what is recorded here.
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    before = get_global_textmap()
    if request.param in CODECS:
        set_global_textmap(CODECS[request.param]())
    yield Codec(request.param)
    set_global_textmap(before)


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


class Onward(RequestHandler):
    """Fetches, with the headers that an application may send besides."""

    async def get(self) -> None:
        client: Any = AsyncHTTPClient(force_instance=True)
        with contextlib.closing(client):
            headers = {"X-Own": "x" * int(self.get_argument("own", "0"))}
            response = await client.fetch(f"http://{self.request.host}/hello", headers=headers)
        self.write(response.body)


class Site:
    """A server in an event loop of its own, driven from without, where Hypothesis is."""

    def __init__(self, max_header_size: int | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._max_header_size = max_header_size

    def __enter__(self) -> Site:
        asyncio.set_event_loop(self._loop)
        self.run(self._start)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.run(self._stop)
        asyncio.set_event_loop(None)
        self._loop.close()

    def run(self, main: Callable[..., Any], *args: Any) -> Any:
        return self._loop.run_until_complete(main(*args))

    async def _start(self) -> None:
        socket, self.port = bind_unused_port()
        self._server = HTTPServer(
            Application([("/hello", Hello), ("/onward", Onward)], log_function=lambda handler: None),
            max_header_size=self._max_header_size,
        )
        self._server.add_socket(socket)

    async def _stop(self) -> None:
        self._server.stop()
        await self._server.close_all_connections()
        await self._loop.shutdown_default_executor()

    async def get(self, path: str, headers: list[Header]) -> bytes:
        """The status line and the body; nothing where the server closes the connection without an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [(name.encode("latin-1") + b": " + value) for name, value in headers]
        host = f"127.0.0.1:{self.port}".encode()
        writer.write(
            b"\r\n".join([b"GET %s HTTP/1.1" % path.encode(), b"Host: " + host, b"Connection: close", *lines, b"", b""])
        )
        try:
            answer = await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()
        start, _, rest = answer.partition(b"\r\n")
        return start + b" " + rest.partition(b"\r\n\r\n")[2]


OK = b"HTTP/1.1 200 OK hello"


def damaged(healthy: dict[str, str]) -> dict[str, list[Header]]:
    """What can be wrong with a codec's headers; one kind of damage at a time, to all of them."""

    def each(change: Callable[[str], str | bytes]) -> list[Header]:
        changed = {name: change(value) for name, value in healthy.items()}
        return [(name, value.encode() if isinstance(value, str) else value) for name, value in changed.items()]

    whole = each(str)
    return {
        "in good health": whole,
        "empty": each(lambda value: ""),
        "too short": each(lambda value: value[:-1]),
        "one character": each(lambda value: value[:1]),
        "too long": each(lambda value: value + "f"),
        "twice as long": each(lambda value: value * 2),
        "60 KB": each(lambda value: value * (60_000 // len("".join(healthy.values())))),
        "60 KB of hex": [(name, b"f" * (60_000 // len(healthy))) for name in healthy],
        "60 KB of separators": [(name, b":-,;=" * (12_000 // len(healthy))) for name in healthy],
        "no hex": each(lambda value: value.replace("7", "x")),
        "zero": each(lambda value: re.sub("[0-9a-f]", "0", value)),
        "negative": each(lambda value: f"-{value}"),
        "signed": each(lambda value: f"+{value}"),
        "underscores": each(lambda value: f"{value[:4]}_{value[4:]}"),
        "prefixed": each(lambda value: f"0x{value}"),
        "upper case": each(str.upper),
        "blanks": each(lambda value: f" \t {value[:8]} {value[8:]} \t"),
        "other separators": each(lambda value: re.sub("[:,=-]", " ", value)),
        "percent signs": each(lambda value: "%" + value.replace("a", "%zz%00%0d%0a")),
        "latin-1": each(lambda value: value.encode() + b"\xe9\xff\xb2"),
        "utf-8": each(lambda value: value.replace("7", "\u0667")),
        "broken utf-8": each(lambda value: b"\xc3" + value.encode() + b"\xf0\x9f"),
        "every byte that HTTP allows": each(lambda value: value.encode() + ALLOWED),
        "control characters": each(lambda value: value.encode() + bytes(range(1, 9))),
        "NUL": each(lambda value: value.encode() + b"\0"),
        "folded": each(lambda value: value.replace("7", "\r\n 7")),
        "twice": whole * 2,
        "two different ones": whole + each(lambda value: value.replace("7", "8")),
        "each 400 times": whole * 400,
        "the first alone": whole[:1],
        "the last alone": whole[-1:],
        "backwards": whole[::-1],
        "names in upper case": [(name.upper(), value) for name, value in whole],
        "a prefix without a name": [*whole, ("Ot-Baggage-", b"x"), ("Uberctx-", b"x")],
        "a name that HTTP allows": [*whole, ("Ot-Baggage-!#$%&'*+.^_`|~", b"x"), ("Uberctx-!#$%&'*+.^_`|~", b"x")],
    }


#: Thousands of baggage items, in every way in which they can be sent, as much as Tornado reads.
BOMBS: dict[str, list[Header]] = {
    "headers of MockTracer": [(f"Ot-Baggage-{i}", b"x") for i in range(3000)],
    "headers of Jaeger": [(f"Uberctx-{i}", b"x") for i in range(3000)],
    "one header of W3C": [("Baggage", b",".join(b"%d=x" % i for i in range(8000)))],
    "many headers of W3C": [("Baggage", b"%d=x" % i) for i in range(3000)],
    "one long item": [("Ot-Baggage-Bomb", b"x" * 60_000)],
    "one long item of W3C": [("Baggage", b"bomb=" + b"x" * 60_000)],
    "percent signs": [("Baggage", b"bomb=" + b"%" * 8000), ("Uberctx-Bomb", b"%" * 8000)],
    "trace state": [("Tracestate", b",".join(b"k%d=x" % i for i in range(6000)))],
}

DAMAGE = damaged(HEALTHY["W3C"]).keys()

#: What does the trace no harm after all.
UNDAMAGED = {"in good health", "backwards", "names in upper case", "a prefix without a name", "a name that HTTP allows"}


def check(codec: Codec, *, goes_on: bool = True) -> Recorded:
    """The request and what it fetches have a span each, finished once, and the right parents; return the first."""
    assert codec.recorder.unfinished == 0
    spans = {span.name: span for span in codec.take()}
    assert sorted(spans) == ["GET", "Hello", "Onward"]
    server, client, beyond = spans["Onward"], spans["GET"], spans["Hello"]
    # MockTracer takes any number for an id.
    assert isinstance(codec.recorder, MockRecorder) or 0 < server.trace_id < 2**128
    assert isinstance(codec.recorder, MockRecorder) or server.parent_id is None or 0 < server.parent_id < 2**64
    assert (client.trace_id, client.parent_id) == (server.trace_id, server.span_id)
    # The trace may end where it cannot be carried on, but then a new one begins.
    assert (beyond.trace_id, beyond.parent_id) == (client.trace_id, client.span_id) or (
        not goes_on and beyond.parent_id is None
    )
    return server


def check_against_untraced(
    site: Site, codec: Codec, path: str, headers: list[Header], *, goes_on: bool = True
) -> Recorded | None:
    """What the client receives is the same without tracing; return the request's span if it is served."""
    expected = site.run(site.get, path, headers)
    init_tracing(codec.recorder.tracer, inject_response_headers=True)
    try:
        assert site.run(site.get, path, headers) == expected
    finally:
        remove_tracing()
    if expected == OK:
        return check(codec, goes_on=goes_on)
    # Tornado refuses the request as such.
    assert expected == b"HTTP/1.1 400 Bad Request " or b" " not in expected.strip()
    assert codec.take() == []
    return None


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_request_with_damaged_trace_headers_is_served_and_traced(
    codec: Codec, damage: str, reports: list[logging.LogRecord]
) -> None:
    headers = damaged(codec.healthy)[damage]
    with Site() as site:
        server = check_against_untraced(site, codec, "/onward", headers, goes_on="60 KB" not in damage)
    if damage in UNDAMAGED:
        assert server is not None
        assert (server.trace_id, server.parent_id) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_request_with_a_baggage_bomb_is_served_and_traced(
    codec: Codec, bomb: str, reports: list[logging.LogRecord]
) -> None:
    """Nor do the application's own fetches fail because of what they carry on."""
    headers = damaged(codec.healthy)["in good health"] + BOMBS[bomb]
    with Site() as site:
        check_against_untraced(site, codec, "/onward?own=30000", headers)


_names = st.sampled_from(sorted({name for healthy in HEALTHY.values() for name in healthy})) | st.from_regex(
    r"(Ot-Baggage-|Uberctx-|Ot-Tracer-|X-B3-)[!#$%&'*+.^_`|~0-9A-Za-z-]{0,8}", fullmatch=True
)
_whole = st.sampled_from(sorted({value for healthy in HEALTHY.values() for value in healthy.values()}))
_noise = st.lists(st.sampled_from(ALLOWED), max_size=40).map(bytes) | st.text("0123456789abcdefxX-:,;=%_+. \t").map(
    str.encode
)
_spliced = st.builds(
    lambda value, noise, start, end: value.encode()[:start] + noise + value.encode()[end:],
    _whole,
    _noise,
    st.integers(0, 60),
    st.integers(0, 60),
)
_headers = st.lists(st.tuples(_names, _whole.map(str.encode) | _spliced | _noise), max_size=8)


def test_a_request_with_random_trace_headers_is_served_and_traced(
    codec: Codec, reports: list[logging.LogRecord]
) -> None:
    """Headers of all codecs, mixed, repeated and torn."""
    with Site() as site:

        @settings(max_examples=40, deadline=None)
        @given(_headers)
        def check_one(headers: list[Header]) -> None:
            check_against_untraced(site, codec, "/onward", headers)

        check_one()


#: What costs a codec most, beside its own headers, as much of it as Tornado reads.
COSTLY: dict[str, list[str]] = {
    "MockTracer": ["headers of MockTracer", "one long item", "the shortest header there is"],
    "W3C": ["one header of W3C", "many headers of W3C", "one long item of W3C", "trace state", "one header many times"],
    "B3": ["the shortest header there is"],
    "B3 single": [],
    "Jaeger": ["headers of Jaeger", "percent signs"],
}

ATTACKS: dict[str, list[Header]] = {
    **BOMBS,
    "the shortest header there is": [("A", b"")] * 10_000,
    "one header many times": [("Traceparent", b"x")] * 4000,
}


def cost(site: Site, headers: list[Header]) -> tuple[float, int]:
    """The seconds and the bytes that a request takes, on both ends."""

    def seconds() -> float:
        start = time.process_time()
        site.run(site.get, "/hello", headers)
        return time.process_time() - start

    least = min(seconds() for _ in range(3))
    tracemalloc.start()
    try:
        site.run(site.get, "/hello", headers)
        return least, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("codec", "attack"),
    [(codec, attack) for codec, attacks in COSTLY.items() for attack in [*attacks, "60 KB of hex"]],
    indirect=["codec"],
)
def test_no_header_makes_tracing_expensive(attack: str, codec: Codec, reports: list[logging.LogRecord]) -> None:
    """As much as Tornado reads is not much more than what it costs Tornado to read it."""
    headers = ATTACKS.get(attack) or damaged(codec.healthy)[attack]
    with Site() as site:
        seconds, size = cost(site, headers)
        init_tracing(codec.recorder.tracer, inject_response_headers=True)
        traced_seconds, traced_size = cost(site, headers)
    assert traced_seconds < 5 * seconds + 0.05
    assert traced_size < 5 * size + 1_000_000


def test_nothing_is_kept_of_headers(reports: list[logging.LogRecord]) -> None:
    """Nothing but what the tracer keeps, and this one keeps nothing."""

    def attack(site: Site, first: int) -> int:
        for i in range(first, first + 50):
            site.run(site.get, "/hello", [(f"Ot-Baggage-{i}", b"%d" % i + b"x" * 50_000)])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    init_tracing(opentracing.Tracer(ContextVarsScopeManager()))
    with Site() as site:
        tracemalloc.start()
        try:
            assert attack(site, 50) - attack(site, 0) < 500_000
        finally:
            tracemalloc.stop()


@pytest.mark.skipif(tornado.version_info < (6, 5, 3), reason="Tornado itself takes quadratic time until 6.5.3")
def test_repeated_headers_take_linear_time() -> None:
    """An application can let Tornado read more than 64 KB of headers."""
    headers = HTTPHeaders()
    for _ in range(8000):
        headers.add("Baggage", "x" * 200)
    start = time.process_time()
    propagation.extract(opentracing.Tracer(), headers)
    assert time.process_time() - start < 0.5
