# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that fails, or injects what HTTP cannot carry, does not break the fetch."""

from __future__ import annotations

import json
from collections import UserString
from typing import Any

import opentracing
import pytest
from support import MockRecorder, Recorder
from support.fetching import Pairs, Reports, Site, as_seen, echoed_id, new_client, the_span
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("note", "two\nlines"),
        ("note", "two\r\nX-Injected: lines"),
        ("note", "price in €"),
        ("note", "nul \0"),
        ("no te", "blank in the name"),
        ("note:", "colon in the name"),
        ("nöte", "umlaut in the name"),
        ("note\n", "newline in the name"),
        ("note", 42),
        ("note", UserString("no string")),
    ],
    ids=repr,
)
async def test_a_header_that_http_cannot_carry_is_logged_and_does_not_break_the_fetch(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports, name: str, value: Any
) -> None:
    """Nor does it take the other headers with it, those that follow included."""

    def callback(span: Any, request: Any) -> None:
        span.set_baggage_item(name, value)
        span.set_baggage_item("other", "fine")

    init_client_tracing(recorder.tracer, callback)
    response = await each_client.fetch(f"{site.url}/")
    received = json.loads(response.body)
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    assert received["Ot-Baggage-Other"] == "fine"
    assert [header for header in received if "no" in header.lower().split("-")[-1]] == []
    assert "X-Injected" not in received
    assert len(reports) == 1


async def test_a_tab_in_a_header_is_carried(recorder: Recorder, each_client: AsyncHTTPClient, site: Site) -> None:
    """The one control character that HTTP allows there."""
    init_client_tracing(recorder.tracer, lambda span, request: span.set_baggage_item("note", "one\ttwo"))
    response = await each_client.fetch(f"{site.url}/")
    assert json.loads(response.body)["Ot-Baggage-Note"] == "one\ttwo"


async def test_latin_1_in_a_header_is_carried_or_logged_but_does_not_break_the_fetch(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports
) -> None:
    """curl_httpclient takes nothing but ASCII before Tornado 6.2."""
    init_client_tracing(recorder.tracer, lambda span, request: span.set_baggage_item("note", "größe"))
    response = await each_client.fetch(f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    carried = json.loads(response.body).get("Ot-Baggage-Note")
    assert (carried, len(reports)) in (("größe", 0), (None, 1))


@pytest.mark.parametrize(("length", "fits"), [(4087, True), (4088, True), (4089, False)])
async def test_what_is_injected_is_8192_bytes_at_most(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports, length: int, fits: bool
) -> None:
    """Names and values together."""
    headers = {"X-First": "a" * 4089, "X-Second": "b" * length}
    tracer: Any = recorder.tracer
    tracer.inject = lambda *args: args[-1].update(headers)
    init_client_tracing(tracer)
    received = json.loads((await each_client.fetch(f"{site.url}/")).body)
    assert received["X-First"] == headers["X-First"]
    assert received.get("X-Second") == (headers["X-Second"] if fits else None)
    assert len(reports) == (not fits)


async def test_a_response_that_cannot_be_described_is_logged_and_ends_the_span(
    recorder: Recorder, reports: Reports
) -> None:
    init_tracing(recorder.tracer, traced_response_headers=["Server"])
    response = await new_client(Pairs).fetch("http://nowhere.example/")
    assert response.headers == [("Server", "mine")]
    assert the_span(recorder).status == 200
    assert ["describing a response" in record.getMessage() for record in reports] == [True]


async def test_a_fetch_that_somebody_else_replaced_may_return_what_is_no_future(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*args: Any, **kwargs: Any) -> str:
        return "theirs"

    monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
    init_client_tracing(recorder.tracer)
    assert await new_client(AsyncHTTPClient).fetch("http://nowhere.example/") == "theirs"
    remove_tracing()
    assert (the_span(recorder).status, recorder.unfinished) == (None, 0)


class Broken:
    """A tracer one of whose methods raises."""

    def __init__(self, method: str) -> None:
        self.recorder = MockRecorder()
        self.tracer: Any = self.recorder.tracer
        if hasattr(self.tracer, method):
            setattr(self.tracer, method, self.fail)
        else:
            start_span = self.tracer.start_span

            def start(*args: Any, **kwargs: Any) -> Any:
                span = start_span(*args, **kwargs)
                setattr(span, method, self.fail)
                return span

            self.tracer.start_span = start

    def fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a bug in the tracer")


@pytest.mark.parametrize("method", ["start_span", "inject", "set_tag", "log_kv", "finish"])
@pytest.mark.parametrize("path", ["/status/200", "/status/500", None])
async def test_a_tracer_that_raises_is_logged_and_does_not_break_the_fetch(
    each_client: AsyncHTTPClient, site: Site, refused_url: str, reports: Reports, method: str, path: str | None
) -> None:
    async def fetch() -> Any:
        try:
            response = await each_client.fetch(refused_url if path is None else f"{site.url}{path}")
        except (OSError, HTTPClientError) as error:
            return as_seen(error)
        return as_seen(response)

    without = await fetch()
    broken = Broken(method)
    init_client_tracing(broken.tracer)
    assert await fetch() == without
    has_error = path != "/status/200"
    is_called = (has_error or path is not None) if method == "set_tag" else (has_error or method != "log_kv")
    assert bool(reports) is is_called
    if method not in ("start_span", "finish"):
        assert len(broken.recorder.finished) == 1


async def test_a_tracer_that_does_nothing_adds_no_header(each_client: AsyncHTTPClient, site: Site) -> None:
    without = json.loads((await each_client.fetch(f"{site.url}/")).body)
    init_client_tracing(opentracing.Tracer())
    assert json.loads((await each_client.fetch(f"{site.url}/")).body) == without
