# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the span of a fetch is called and tells."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from support import MockRecorder, Recorder
from support.fetching import Site, the_span
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from tornado_opentracing import init_client_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")


@pytest.mark.parametrize("as_request", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_the_operation_name_is_the_method(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site, method: str, as_request: bool
) -> None:
    init_client_tracing(recorder.tracer)
    arguments: dict[str, Any] = {"method": method, "body": b"" if method in ("POST", "PUT", "PATCH") else None}
    if as_request:
        await each_client.fetch(HTTPRequest(f"{site.url}/", **arguments))
    else:
        await each_client.fetch(f"{site.url}/", **arguments)
    span = the_span(recorder)
    assert (span.name, span.tags["http.method"]) == (method, method)


async def test_the_tags_of_a_fetch(recorder: Recorder, each_client: AsyncHTTPClient, site: Site) -> None:
    init_client_tracing(recorder.tracer)
    await each_client.fetch(f"{site.url}/a?b=c")
    expected = {
        "component": "tornado",
        "span.kind": "client",
        "http.method": "GET",
        "http.url": f"{site.url}/a?b=c",
        "http.status_code": 200,
    }
    found = the_span(recorder).tags
    assert {name: found.get(name) for name in expected} == expected
    assert "error" not in found


async def test_the_tags_are_there_when_the_span_starts(client: AsyncHTTPClient, site: Site) -> None:
    """Samplers decide by them."""
    given: list[Any] = []
    recorder = MockRecorder()
    start_span = recorder.tracer.start_span

    def start(*args: Any, **kwargs: Any) -> Any:
        given.append(dict(kwargs["tags"]))
        return start_span(*args, **kwargs)

    recorder.tracer.start_span = start
    init_client_tracing(recorder.tracer)
    await client.fetch(f"{site.url}/")
    [found] = given
    expected = {"component": "tornado", "span.kind": "client", "http.method": "GET", "http.url": f"{site.url}/"}
    assert {name: found.get(name) for name in expected} == expected


async def test_the_error_is_logged_with_the_standard_fields(recorder: Recorder, client: AsyncHTTPClient) -> None:
    init_client_tracing(recorder.tracer)
    with pytest.raises(ValueError, match="Unsupported url scheme") as caught:
        await client.fetch("gopher://127.0.0.1/")
    assert len(the_span(recorder).logs) == 1
    log = the_span(recorder).logs[0]
    assert log["event"] == "error"
    assert log["error.object"] is caught.value
    assert log["error.kind"] == "ValueError"
    assert log["message"] == str(caught.value)
    assert "simple_httpclient.py" in log["stack"]


@pytest.mark.parametrize(
    ("given", "tagged"),
    [
        ("http://user:secret@{host}/a", "http://{host}/a"),
        ("http://user@{host}/a", "http://{host}/a"),
        ("http://us@er:sec@ret@{host}/a", "http://{host}/a"),
        ("http://user:secret@{host}", "http://{host}"),
        ("http://user:secret@{host}?a=b", "http://{host}?a=b"),
        ("http://{host}/a@b?c=d@e", "http://{host}/a@b?c=d@e"),
        ("http://user:secret@{host}/a@b?c=http://d@e/", "http://{host}/a@b?c=http://e/"),
        ("ftp://user:secret@{host}/a", "ftp://{host}/a"),
        ("//user:secret@{host}/a", "//{host}/a"),
        ("user:secret@{host}/a", "{host}/a"),
    ],
)
@pytest.mark.parametrize("as_request", [False, True])
async def test_user_and_password_never_appear_in_the_url(
    recorder: Recorder, client: AsyncHTTPClient, site: Site, given: str, tagged: str, as_request: bool
) -> None:
    """Also where the URL lacks its scheme, so that the fetch must fail."""
    init_client_tracing(recorder.tracer)
    host = site.url.partition("://")[2]
    url = given.format(host=host)
    with contextlib.suppress(ValueError, AssertionError, HTTPClientError):
        await client.fetch(HTTPRequest(url) if as_request else url)
    assert the_span(recorder).tags["http.url"] == tagged.format(host=host)


async def test_user_and_password_still_reach_the_server(
    recorder: Recorder, each_client: AsyncHTTPClient, site: Site
) -> None:
    init_client_tracing(recorder.tracer)
    host = site.url.partition("://")[2]
    response = await each_client.fetch(f"http://user:secret@{host}/")
    assert json.loads(response.body)["Authorization"].startswith("Basic ")
