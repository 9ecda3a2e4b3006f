# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the list can be searched for."""

from __future__ import annotations

import pytest

from tornado_opentracing.viewer import RecordingTracer, _listing, _operations, _search


def shop() -> RecordingTracer:
    """Four traces: two pages, one of which failed in a service behind it; one whose client left; one that runs."""
    tracer = RecordingTracer(service="Shop")
    for item, status, seconds in (("tea", 200, 0.05), ("cocoa", 500, 2.0)):
        tags = {"span.kind": "server", "http.url": f"/{item}?x=1", "http.route": "/{item}", "http.status_code": status}
        page = tracer.start_span(f"Page {item}", tags=tags, start_time=10)
        tags = {"span.kind": "client", "http.url": f"http://b/stock/{item}/7", "http.status_code": 404}
        fetch = tracer.start_span("GET", child_of=page, tags={**tags, "error": status == 500}, start_time=10)
        fetch.finish(10 + seconds)
        tracer.for_service("depot").start_span(
            "Stock", child_of=fetch, tags={"db.type": "SQL two"}, start_time=10
        ).finish(11)
        page.finish(10 + seconds)
    left = tracer.start_span("Left", tags={"span.kind": "server"}, start_time=10)
    left.log_kv({"event": "connection closed"}).finish(10.0002)
    tracer.start_span("Runs", tags={"span.kind": "server"})
    return tracer


ALL = ["Left", "Page cocoa", "Page tea", "Runs"]

FOUND = {
    "": ALL,
    "tea": ["Page tea"],
    "PAGE Cocoa": ["Page cocoa"],
    '"page cocoa"': ["Page cocoa"],
    "/tea": ["Page tea"],
    "shop": ALL,
    "depot 500": ["Page cocoa"],
    "404": [],  # what a fetch got is in no row
    "left": ["Left"],
    "client left": ["Left"],
    "running": ["Runs"],
    "service:DEPOT": ["Page cocoa", "Page tea"],
    "route:{item}": ["Page cocoa", "Page tea"],
    "route:/coc": ["Page cocoa"],
    'operation:"get /stock/tea/{n}"': ["Page tea"],
    "operation:stock": ["Page cocoa", "Page tea"],
    "status:>=500": ["Page cocoa"],
    "status:<500": ["Page tea"],
    "status:5xx": ["Page cocoa"],
    "status:200": ["Page tea"],
    "status:running": ["Runs"],
    "status:left": ["Left"],
    "duration:>1s duration:<1min status:5xx": ["Page cocoa"],
    "duration:<=1000.5ms status:2xx": ["Page tea"],
    "duration:<1 left": ["Left"],
    "duration:200us": ["Left"],
    "error": ["Page cocoa"],
    'db.type="sql two" tea': ["Page tea"],
    "http.status_code=404": ["Page cocoa", "Page tea"],
    "error=true": ["Page cocoa"],
    "db.type=sql": [],
    "service: duration:> status:x": ALL,  # half typed
}


def found(tracer: RecordingTracer, search: str) -> list[str]:
    summaries = _listing.Listing(_listing.Wanted(search)).summaries(tracer.traces())
    return sorted(summary.operation for summary in summaries)


@pytest.mark.parametrize("search", FOUND)
def test_a_search_finds_what_it_says(search: str) -> None:
    tracer = shop()
    assert found(tracer, search) == FOUND[search]


def test_a_fetch_is_called_by_the_route_that_took_it_where_that_is_known() -> None:
    tracer = RecordingTracer()
    for item in ("tea", "cocoa"):
        fetch = tracer.start_span("GET", tags={"span.kind": "client", "http.url": f"http://a/stock/{item}"})
        tags = {"span.kind": "server", "http.url": f"/stock/{item}", "http.route": "/stock/{item}"}
        tracer.start_span("Stock", child_of=fetch, tags=tags).finish()
        fetch.finish()
    assert found(tracer, 'operation:"GET /stock/{item}"') == ["GET", "GET"]
    counted = {row["operation"]: row["count"] for row in _operations.operations(tracer.traces())["operations"]}
    assert counted == {"GET /stock/{item}": 2, "Stock": 2}


def test_a_trace_is_found_by_its_id_or_the_beginning_of_that() -> None:
    tracer = shop()
    for trace in tracer.traces():
        for text in (f"{trace.trace_id:032x}", f"{trace.trace_id:x}", f"{trace.trace_id:x}"[:9]):
            assert found(tracer, text) == [trace.spans[0].operation_name]


def test_what_is_not_understood_is_said() -> None:
    assert _search.read("tea duration:>fast status: x=1").not_understood == ("duration:>fast", "status:")


def test_the_status_is_that_of_the_first_request_that_a_server_took() -> None:
    tracer = RecordingTracer()
    with tracer.start_active_span("GET", tags={"span.kind": "client", "http.status_code": 599}):
        server = tracer.start_span("Page", tags={"span.kind": "server"})
        tracer.start_span("Inner", child_of=server, tags={"span.kind": "server", "http.status_code": 404}).finish()
    (summary,) = _listing.Listing(_listing.Wanted()).summaries(tracer.traces())
    assert (summary.status, summary.has_left, summary.is_open) == ("", False, True)
    server.set_tag("http.status_code", 201).finish()
    (summary,) = _listing.Listing(_listing.Wanted()).summaries(tracer.traces())
    assert (summary.status, summary.is_open) == ("201", False)
