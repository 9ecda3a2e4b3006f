# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Whose child a request is: that of the trace headers, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentracing import Format, SpanContextCorruptedException
from support import Recorder, Servers, active_id, only
from support.handlers import Hello
from support.serving import connection, only_span, settled
from support.tracers import KeepingTracer
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


def injected(recorder: Recorder, span: Any) -> dict[str, str]:
    headers: dict[str, str] = {}
    recorder.tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    return headers


async def test_the_parent_is_what_the_headers_carry(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    caller = each_recorder.tracer.start_span("caller")
    await client.fetch(servers.start(Application([("/", Hello)])), headers=injected(each_recorder, caller))
    caller.finish()
    spans = await settled(each_recorder, 2)
    parent, span = only(spans, name="caller"), only(spans, name="Hello")
    assert (span.trace_id, span.parent_id) == (parent.trace_id, parent.span_id)


async def test_baggage_arrives(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    init_tracing(recorder.tracer, trace_client=False)

    class Baggage(RequestHandler):
        def get(self) -> None:
            span: Any = recorder.tracer.active_span
            self.write(span.get_baggage_item("user"))

    with recorder.tracer.start_span("caller") as caller:
        caller.set_baggage_item("user", "ada")
    response = await client.fetch(servers.start(Application([("/", Baggage)])), headers=injected(recorder, caller))
    assert response.body == b"ada"


async def test_a_request_without_trace_headers_has_a_root_span_even_if_listen_ran_under_a_span(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(each_recorder.tracer, trace_client=False)
    seen: list[int | None] = []

    class Looking(RequestHandler):
        def get(self) -> None:
            seen.append(active_id(each_recorder.tracer))

    with each_recorder.tracer.start_active_span("listening"):
        url = servers.start(Application([("/", Looking)]))
    await client.fetch(url)
    spans = await settled(each_recorder, 2)
    root, span = only(spans, name="listening"), only(spans, name="Looking")
    assert span.parent_id is None
    assert span.trace_id != root.trace_id
    assert seen == [span.span_id]


GARBAGE = {
    "no hex": {"ot-tracer-traceid": "xyz", "ot-tracer-spanid": "1", "traceparent": "00-xyz-1-01"},
    "half": {"ot-tracer-traceid": "1", "traceparent": "00"},
    "empty": {"ot-tracer-traceid": "", "ot-tracer-spanid": "", "traceparent": ""},
    "binary": {"ot-tracer-traceid": "\xff\x80", "ot-tracer-spanid": "\xe9", "traceparent": "\xff"},
    "twice": {"ot-tracer-traceid": "1", "Ot-Tracer-Traceid": "2", "ot-tracer-spanid": "3", "traceparent": "1,2"},
}


@pytest.mark.parametrize("headers", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_in_the_trace_headers_makes_a_root(
    headers: dict[str, str], each_recorder: Recorder, servers: Servers, reports: list[Any]
) -> None:
    init_tracing(each_recorder.tracer)
    async with connection(servers.start(Application([("/", Hello)]))) as opened:
        assert await opened.get("/", *(f"{name}: {value}" for name, value in headers.items())) == (200, "hello")
    span = await only_span(each_recorder)
    assert span.parent_id is None
    assert span.status == 200
    assert not span.is_error


async def test_garbage_in_the_trace_headers_is_logged(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[Any]
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Hello)])), headers=GARBAGE["no hex"])
    assert ["trace headers" in record.getMessage() for record in reports] == [True]
    assert reports[0].exc_info[0] is ValueError


class StrictTracer(KeepingTracer):
    """Raises for headers that are wrong, as the specification has it, but not for those that are not there."""

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002
        if "ot-tracer-traceid" not in carrier:
            return None
        return super().extract(format, carrier)


class PickyTracer(KeepingTracer):
    """Fails in another way for headers that are not there."""

    def extract(self, format: Any, carrier: Any) -> Any:  # noqa: A002
        return super().extract(format, {"ot-tracer-traceid": carrier["ot-tracer-traceid"]})


@pytest.mark.parametrize(
    ("make_tracer", "headers", "logged"),
    [
        (StrictTracer, {}, []),
        (StrictTracer, GARBAGE["half"], [SpanContextCorruptedException]),
        (PickyTracer, {}, [KeyError]),
        (PickyTracer, GARBAGE["half"], [SpanContextCorruptedException]),
    ],
)
async def test_corrupted_headers_are_logged_and_absent_ones_are_not(
    make_tracer: Callable[[], KeepingTracer],
    headers: dict[str, str],
    logged: list[type[Exception]],
    servers: Servers,
    client: AsyncHTTPClient,
    reports: list[Any],
) -> None:
    tracer = make_tracer()
    init_tracing(tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Hello)])), headers=headers)
    assert [record.exc_info[0] for record in reports] == logged
    assert [span.parent_id for span in tracer.finished_spans()] == [None]


async def test_the_carrier_is_a_plain_dict_with_lower_case_names_that_every_codec_can_read(servers: Servers) -> None:
    tracer = KeepingTracer()
    init_tracing(tracer)
    async with connection(servers.start(Application([("/", Hello)]))) as opened:
        await opened.get("/", "X-B3-TraceId: abc", "Tracestate: a=1", "x-other: z", "TRACESTATE: b=2")
    carrier = tracer.carriers[0]
    assert type(carrier) is dict
    assert carrier == {"host": "localhost", "x-b3-traceid": "abc", "tracestate": "a=1,b=2", "x-other": "z"}
