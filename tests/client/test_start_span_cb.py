# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``start_span_cb`` may look at a fetch, and change what goes out, before the context is injected."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Recorder, only, span_id
from support.fetching import (
    Reports,
    Site,
    assert_untouched,
    client_spans,
    echoed_id,
    set_header,
    some_headers,
    the_span,
    values_of,
)
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from tornado_opentracing import init_client_tracing, init_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


@pytest.mark.parametrize("init", [init_client_tracing, init_tracing])
@pytest.mark.parametrize("as_request", [False, True])
async def test_the_callback_gets_span_and_request_before_the_context_is_injected(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, init: Any, as_request: bool
) -> None:
    calls: list[Any] = []

    def callback(span: Any, request: Any) -> None:
        if not isinstance(request, HTTPRequest):
            return  # the server's
        calls.append((span, request.url, request.method, dict(request.headers)))
        span.set_baggage_item("customer", "acme")
        span.set_operation_name(f"{request.method} /")
        span.set_tag("tagged", "yes")

    init(recorder.tracer, start_span_cb=callback)
    url = f"{site.url}/"
    headers = {"X-Mine": "1"}
    if as_request:
        response = await each_client.fetch(HTTPRequest(url, headers=headers))
    else:
        response = await each_client.fetch(url, headers=headers)
    [(span, *seen)] = calls
    assert seen == [url, "GET", headers]
    fetch = only(client_spans(recorder))
    assert fetch.span_id == span_id(span)
    assert (fetch.name, fetch.tags["tagged"]) == ("GET /", "yes")
    received = json.loads(response.body)
    assert received["Ot-Baggage-Customer"] == "acme"
    assert received["X-Mine"] == "1"


async def test_a_callback_on_another_tracer_stack_may_rename_and_tag(
    each_recorder: Recorder, client: AsyncHTTPClient, site: Site
) -> None:
    def callback(span: Any, request: Any) -> None:
        span.set_operation_name("renamed")
        span.set_tag("tagged", "yes")

    init_client_tracing(each_recorder.tracer, callback)
    await client.fetch(f"{site.url}/")
    assert (the_span(each_recorder).name, the_span(each_recorder).tags["tagged"]) == ("renamed", "yes")


@pytest.mark.parametrize("kind", ["none", "dict", "HTTPHeaders"])
async def test_a_header_set_by_the_callback_goes_out_but_not_onto_the_callers_request(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, kind: str
) -> None:
    init_client_tracing(recorder.tracer, set_header)
    request = HTTPRequest(f"{site.url}/", headers=some_headers(kind))
    before = values_of(request)
    response = await each_client.fetch(request)
    assert json.loads(response.body)["X-Callback"] == "set"
    assert_untouched(request, before)
    assert "X-Callback" not in request.headers


async def test_a_callback_that_raises_is_logged_and_harmless(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, reports: Reports
) -> None:
    def callback(span: Any, request: Any) -> None:
        raise RuntimeError("a bug in the callback")

    init_client_tracing(recorder.tracer, callback)
    response = await each_client.fetch(f"{site.url}/")
    assert echoed_id(recorder, response) == the_span(recorder).span_id
    [report] = reports
    assert "start_span_cb" in report.getMessage()
    assert report.exc_info is not None
    assert str(report.exc_info[1]) == "a bug in the callback"


async def test_the_callback_is_not_called_for_the_hops_of_a_redirect(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    urls: list[str] = []
    init_client_tracing(recorder.tracer, lambda span, request: urls.append(str(getattr(request, "url", None))))
    await each_client.fetch(f"{site.url}/redirect/2")
    assert urls == [f"{site.url}/redirect/2"]
