# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Traces go out as OTLP and come in again, from this package and from others, within bounds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentracing import Format, follows_from
from support import Servers
from support.serving import until
from viewer.serving import PREFIX, get, receive, serve, spans

from tornado_opentracing.viewer import RecordingTracer
from tornado_opentracing.viewer._database import Database
from tornado_opentracing.viewer._otlp_in import decode
from tornado_opentracing.viewer._otlp_out import encode
from tornado_opentracing.viewer._receiver import PATH
from tornado_opentracing.viewer._remote import record


async def post(url: str, body: Any, **headers: str) -> int:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (await get(url, method="POST", body=text, headers={"Content-Type": "application/json", **headers})).code


def everything(tracer: RecordingTracer) -> list[dict[str, Any]]:
    """All that is known of all spans."""
    return [
        {
            "service": span.service,
            "ids": (span.context.trace_id, span.context.span_id, span.parent_id),
            "times": (span.start_time, span.finish_time, span.finished),
            "name": span.operation_name,
            "tags": span.tags,
            "logs": [(log.timestamp, log.key_values) for log in span.logs],
            "baggage": span.context.baggage,
            "references": span.references,
            "dropped": span.dropped,
        }
        for span in sorted(spans(tracer), key=lambda span: span.start_time)
    ]


def record_something(tracer: RecordingTracer) -> None:
    with tracer.start_active_span("Page", tags={"span.kind": "server", "http.url": "/a?b", "n": 1, "f": 1.5}) as scope:
        scope.span.set_baggage_item("user", "ann").set_tag("http.status_code", 500).set_tag("error", True)
        scope.span.log_kv({"event": "error", "error.kind": "KeyError", "stack": "a\nb"}).log_kv(
            {"n": 2**60, "b": False}
        )
        for number in range(120):
            scope.span.set_tag(f"tag {number}", number)
        stock = tracer.for_service("stock")
        stock.start_span("later", references=[follows_from(scope.span.context)]).finish()


def test_a_trace_that_goes_out_and_comes_in_again_is_the_same(tracer: RecordingTracer) -> None:
    record_something(tracer)
    other = RecordingTracer()
    message = json.loads(json.dumps(encode(tracer.traces()[0].spans)))
    assert record(other._store, decode(message)) == (2, 0)
    assert everything(other) == everything(tracer)
    assert record(other._store, decode(message)) == (2, 0)
    assert everything(other) == everything(tracer)
    assert (other.traces()[0].status, other.traces()[0].errors, other.traces()[0].running) == ("500", 1, 0)


async def test_a_trace_is_downloaded_and_dragged_onto_another_list(servers: Servers, tracer: RecordingTracer) -> None:
    record_something(tracer)
    other = RecordingTracer()
    trace_id = f"{tracer.traces()[0].trace_id:x}"
    found = await get(f"{serve(servers, tracer)}{PREFIX}/{trace_id}.otlp.json")
    assert f'filename="trace-{trace_id}.otlp.json"' in found.headers["Content-Disposition"]
    target = f"{serve(servers, other)}{PREFIX}/import"
    response = await get(target, method="POST", body=found.body)
    assert json.loads(response.body) == {"traces": [trace_id]}
    assert everything(other) == everything(tracer)
    assert await post(target, {"resourceSpans": []}) == 400
    assert (await get(target.replace("/import", "/1.otlp.json"))).code == 404


async def test_opentelemetrys_own_exporter_is_understood(servers: Servers, tracer: RecordingTracer) -> None:
    exporters = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    import asyncio

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace import SpanKind, StatusCode

    url = receive(servers, tracer)
    exporter = exporters.OTLPSpanExporter(url, compression=exporters.Compression.Gzip)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def work() -> None:
        attributes: Any = {"http.response.status_code": 404, "url.path": "/a", "url.query": "b=c", "list": ["x", "y"]}
        made = provider.get_tracer("theirs")
        with made.start_as_current_span("GET /{}", kind=SpanKind.SERVER, attributes=attributes) as span:
            span.add_event("seen", {"n": 1})
            span.record_exception(KeyError("no"))
            span.set_status(StatusCode.ERROR)

    await asyncio.get_running_loop().run_in_executor(None, work)
    provider.shutdown()
    (trace,) = tracer.traces()
    (span,) = trace.spans
    assert (trace.status, trace.errors, span.tags["http.url"], span.tags["span.kind"]) == ("404", 1, "/a?b=c", "server")
    assert span.logs[0].key_values == {"event": "seen", "n": 1}
    assert (span.logs[1].key_values["error.kind"], span.tags["list"]) == ("KeyError", "['x', 'y']")


async def test_a_tracer_sends_what_it_records_to_a_store_that_it_is_told_of(
    servers: Servers, tracer: RecordingTracer
) -> None:
    url = receive(servers, tracer)
    sender = RecordingTracer(service="sender", export_to=url.removesuffix(PATH))
    try:
        record_something(sender)
        await until(lambda: len(spans(tracer)) == 2)
        assert everything(tracer) == everything(sender)
    finally:
        sender.close()


@pytest.mark.parametrize("address", ["", "https://a", "http://", "http://a:b@c", "ftp://a", "a:1", "http://a/?b"])
def test_what_is_no_address_of_a_store_is_refused(tracer: RecordingTracer, address: str) -> None:
    with pytest.raises(ValueError, match="export_to"):
        tracer.export_to(address)


async def test_the_receiver_takes_nothing_of_a_page_of_elsewhere_nor_more_than_its_bounds(
    servers: Servers, tracer: RecordingTracer, reports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tornado_opentracing.viewer import _receiver

    monkeypatch.setattr(_receiver, "MOST_BYTES", 100_000)
    record_something(sender := RecordingTracer())
    message = encode(spans(sender))
    url = receive(servers, tracer)
    bomb = gzip.compress(b" " * 1_000_000)
    for status, body, headers in [
        (403, message, {"Origin": "http://evil.example"}),
        (403, message, {"Origin": "null"}),
        (403, message, {"Sec-Fetch-Site": "cross-site"}),
        (403, message, {"Host": "evil.example"}),
        (403, message, {"X-Forwarded-For": "10.0.0.1"}),
        (415, message, {"Content-Type": "text/plain"}),
        (415, message, {"Content-Encoding": "br"}),
        (400, b"{", {}),
        (400, b"[" * 50_000, {}),
        (400, b"x", {"Content-Encoding": "gzip"}),
        (400, b"\xff", {"Content-Type": "application/x-protobuf"}),
        (413, bomb, {"Content-Encoding": "gzip"}),
        (413, b" " * 200_000, {}),
        (405, b"", {"X": "GET"}),
    ]:
        code = (await get(url)).code if status == 405 else await post(url, body, **headers)
        assert code == status, headers
    assert not tracer.traces()
    assert await post(url, message, Origin=url.removesuffix(PATH)) == 200
    assert len(spans(tracer)) == 2


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
names = st.sampled_from(
    ["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "traceId", "spanId", "events", "links",
     "kvlistValue", "values", "intValue", "startTimeUnixNano", "status", "kind", "resource"]
)  # fmt: skip
messages = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=9
)
STORE = RecordingTracer()._store


@given(messages)
@settings(max_examples=60, deadline=None)
def test_no_message_breaks_the_receiver(message: Any) -> None:
    record(STORE, decode(message))
    span = {"traceId": "1", "spanId": "2", "startTimeUnixNano": "3", "name": "x", "attributes": message}
    for part in (span, {**span, "events": message, "links": message, "status": message, "kind": message}):
        STORE.clear()
        record(STORE, decode({"resourceSpans": [{"scopeSpans": [{"spans": [part]}]}]}))


# Files


def test_a_file_keeps_traces_from_one_run_to_the_next(tmp_path: Path) -> None:
    tracer = RecordingTracer(service="shop")
    database = Database(tracer._store, tmp_path / "traces.db")
    record_something(tracer)
    database.close()
    other = RecordingTracer()
    Database(other._store, tmp_path / "traces.db").close()
    assert everything(other) == everything(tracer)


def test_what_is_let_go_is_let_go_in_the_file_which_keeps_its_bound(tmp_path: Path) -> None:
    most = 300_000
    path = tmp_path / "traces.db"
    tracer = RecordingTracer(max_bytes=most)
    database = Database(tracer._store, path)
    for number in range(1000):
        parent: Any = tracer.extract(Format.HTTP_HEADERS, {"traceparent": f"00-{number + 1:032x}-{1:016x}-01"})
        tracer.start_span("Page", child_of=parent, tags={"http.url": f"/{number}" + "x" * 2000}).finish()
    database.close()
    assert path.stat().st_size < most
    other = RecordingTracer()
    Database(other._store, path).close()
    assert everything(other) == everything(tracer)
