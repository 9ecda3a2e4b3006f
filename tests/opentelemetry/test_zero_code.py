# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``opentelemetry-instrument`` traces with this package, in processes that are configured by the environment alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.zero_code import ZeroCode, exported, of_kind

SERVER_REQUEST = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST"
SERVER_RESPONSE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE"
CLIENT_REQUEST = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST"
CLIENT_RESPONSE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE"
SANITIZE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"

#: Where OpenTelemetry's own instrumentation is installed, too.
ALONE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "tornado"}


@pytest.fixture
def zero_code(tmp_path: Path) -> ZeroCode:
    return ZeroCode(tmp_path)


def headers_of(span: Any) -> dict[str, Any]:
    return {name: value for name, value in span["attributes"].items() if ".header." in name}


def paths_of(spans: list[Any]) -> list[str]:
    return [span["attributes"]["url.path"] for span in of_kind(spans, "SERVER")]


@pytest.mark.parametrize("arguments", [["shop.py"], ["-m", "shop"]], ids=["script", "module"])
def test_a_program_that_knows_nothing_of_tracing_is_traced(arguments: list[str], zero_code: ZeroCode) -> None:
    spans = zero_code.spans(*arguments, "/book/1", OTEL_SERVICE_NAME="library")
    (server,), (client,) = of_kind(spans, "SERVER"), of_kind(spans, "CLIENT")
    assert server["parent_id"] == client["context"]["span_id"]
    assert server["context"]["trace_id"] == client["context"]["trace_id"]
    assert server["attributes"]["http.route"].startswith("/book/")
    assert server["attributes"]["http.response.status_code"] == 200
    assert server["resource"]["attributes"]["service.name"] == "library"
    assert not headers_of(server)
    assert not headers_of(client)


def test_the_methods_that_are_known_are_those_that_the_environment_lists(zero_code: ZeroCode) -> None:
    for span in zero_code.spans("shop.py", "/book/1", OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS="BREW, QUERY"):
        assert span["name"].partition(" ")[0] == "HTTP"
        assert span["attributes"]["http.request.method"] == "_OTHER"
        assert span["attributes"]["http.request.method_original"] == "GET"


@pytest.mark.parametrize(
    ("specific", "general", "left"),
    [
        (None, "health", ["/book/1", "/book/2"]),
        ("^/book/h, quiet=1$", None, ["/book/1"]),
        ("/1$", "health", ["/book/health", "/book/2"]),
        ("", "1", ["/book/1", "/book/health", "/book/2"]),
    ],
    ids=["general", "several, and the query", "Tornado's counts", "Tornado's is empty"],
)
def test_excluded_urls_are_searched_for_in_the_whole_uri(
    specific: str | None, general: str | None, left: list[str], zero_code: ZeroCode
) -> None:
    given = {"OTEL_PYTHON_TORNADO_EXCLUDED_URLS": specific, "OTEL_PYTHON_EXCLUDED_URLS": general}
    variables = {name: value for name, value in given.items() if value is not None}
    assert paths_of(zero_code.spans("shop.py", "/book/1", "/book/health", "/book/2?quiet=1", **variables)) == left


def test_attributes_and_headers_are_captured_as_asked_for_each_on_its_own_side(zero_code: ZeroCode) -> None:
    spans = zero_code.spans(
        "shop.py",
        "/book/1?n=2",
        OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS="uri, query",
        **{
            SERVER_REQUEST: "X-Reader, x-card",
            SERVER_RESPONSE: "X-Shelf",
            CLIENT_REQUEST: "X-Question",
            CLIENT_RESPONSE: "X-Answer",
            SANITIZE: "c.rd, nothing",
        },
    )
    (server,), (client,) = of_kind(spans, "SERVER"), of_kind(spans, "CLIENT")
    assert server["attributes"]["uri"] == "/book/1?n=2"
    assert server["attributes"]["query"] == "n=2"
    assert headers_of(server) == {
        "http.request.header.x-reader": ["ann"],
        "http.request.header.x-card": ["REDACTED"],
        "http.response.header.x-shelf": ["7"],
    }
    assert headers_of(client) == {
        "http.request.header.x-question": ["who"],
        "http.response.header.x-answer": ["yes"],
    }


def test_headers_captured_of_requests_are_not_captured_of_fetches(zero_code: ZeroCode) -> None:
    spans = zero_code.spans("shop.py", "/book/1", **{SERVER_REQUEST: "X-Reader"})
    (server,), (client,) = of_kind(spans, "SERVER"), of_kind(spans, "CLIENT")
    assert headers_of(server)
    assert not headers_of(client)


@pytest.mark.parametrize("name", ["other, tornado_opentracing", "*"])
def test_it_can_be_disabled(name: str, zero_code: ZeroCode) -> None:
    assert zero_code.spans("shop.py", "/book/1", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=name) == []


def test_disabling_opentelemetry_s_own_leaves_it_at_work(zero_code: ZeroCode) -> None:
    spans = zero_code.spans("shop.py", "/book/1", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="tornado")
    assert len(of_kind(spans, "SERVER")) == 1


@pytest.mark.parametrize("variable", ["OTEL_PYTHON_EXCLUDED_URLS", "OTEL_PYTHON_TORNADO_EXCLUDED_URLS", SANITIZE])
def test_an_expression_that_is_none_is_told_of_by_the_name_of_its_variable(variable: str, zero_code: ZeroCode) -> None:
    result = zero_code.run("shop.py", "/book/1", **{variable: "(("})
    assert f"ValueError: {variable} is no list of regular expressions" in result.stderr
    assert exported(result.stdout) == []


INIT_IN_CODE = """
import asyncio
import json

import shop
import tornado_opentracing
from opentracing.mocktracer import MockTracer

tracer = MockTracer(scope_manager=tornado_opentracing.ContextVarsScopeManager())
tornado_opentracing.init_tracing(tracer, traced_request_headers=["X-Card"])
asyncio.run(shop.main(["/book/1", "/book/health"]))
print(json.dumps([dict(span.tags) for span in tracer.finished_spans()]))
"""


def test_init_tracing_in_code_has_the_last_word(zero_code: ZeroCode) -> None:
    zero_code.write("own.py", INIT_IN_CODE)
    variables = {SERVER_REQUEST: "X-Reader", CLIENT_REQUEST: "X-Question", "OTEL_PYTHON_EXCLUDED_URLS": "health"}
    result = zero_code.run("own.py", **variables)
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 1, "something went to OpenTelemetry's exporter, too"
    (tags,) = exported('{"spans": ' + lines[0] + "}")
    assert len(tags["spans"]) == 4
    for span in tags["spans"]:
        assert {name for name in span if ".header." in name} == {"http.request.header.x-card"}


WITHOUT_TRACER = """
import asyncio

import opentracing
import shop
import tornado_opentracing

tornado_opentracing.init_tracing(operation_name="route")
with opentracing.global_tracer().start_active_span("work"):
    asyncio.run(shop.main(["/book/1"]))
"""


def test_a_program_that_uses_the_global_tracer_has_opentelemetry_s(zero_code: ZeroCode) -> None:
    zero_code.write("own.py", WITHOUT_TRACER)
    spans = zero_code.spans("own.py")
    assert len({span["context"]["trace_id"] for span in spans}) == 1
    assert sorted(span["kind"].partition(".")[2] for span in spans) == ["CLIENT", "INTERNAL", "SERVER"]


FORKS = """
import asyncio

import shop
from tornado.process import fork_processes, task_id

fork_processes(2, max_restarts=0)
asyncio.run(shop.main([f"/book/{task_id()}"]))
"""


def test_processes_that_are_forked_are_traced_each(zero_code: ZeroCode) -> None:
    zero_code.write("forks.py", FORKS)
    result = zero_code.run("forks.py")
    spans = exported(result.stdout)
    assert sorted(paths_of(spans)) == ["/book/0", "/book/1"]
    assert len({span["context"]["trace_id"] for span in spans}) == 2


def test_metrics_are_on_by_themselves_where_they_are_exported(zero_code: ZeroCode) -> None:
    pytest.importorskip("opentelemetry.distro")
    found = exported(zero_code.run("shop.py", "/book/1", OTEL_METRICS_EXPORTER="console", **ALONE).stdout)
    metrics = {
        metric["name"]
        for each in found
        for resource in each.get("resource_metrics", ())
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
    assert {"http.server.request.duration", "http.client.request.duration"} <= metrics
    found = exported(zero_code.run("shop.py", "/book/1", OTEL_METRICS_EXPORTER="none", **ALONE).stdout)
    assert not [each for each in found if "resource_metrics" in each]
