# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Names by route are for people: what only the regular expression needs is not in them, and they are never long."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import Application, FallbackHandler, HTTPError, RequestHandler, StaticFileHandler
from tornado.wsgi import WSGIContainer

from tornado_opentracing import init_tracing
from tornado_opentracing._spans.templates import LONGEST, MARK, template


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        # A slash at the end that may be missing.
        ("/app/?", "/app"),
        ("/app/?$", "/app"),
        (r"/(\w+)/?", "/{0}"),
        (r"/app\/?", "/app"),
        ("/app/*", "/app"),
        ("/app[/]?", "/app"),
        ("/app(?:/)?", "/app"),
        ("/app(/?)", "/app"),
        ("/?", "/"),
        ("^/?$", "/"),
        ("/a/?b", "/a/?b"),
        (r"/a/\?", "/a/?"),
        # An ending that may be missing, and other optional parts.
        (r"/api/tasks(?:\.json)?", "/api/tasks{format}"),
        (r"/api/(\w+)(?:\.(?:json|xml))?/?", "/api/{0}{format}"),
        (r"/api/(\w+)(\.json|\.xml)?", "/api/{0}{format}"),
        (r"/api/(\w+)(?:\.(json|xml))?/(\d+)", "/api/{0}{format}/{2}"),
        (r"/api/(?P<kind>\w+)(?P<ending>\.\w+)?", "/api/{kind}{ending}"),
        (r"/(?:v1/)?users", "/users"),
        (r"/a(?:/(\d+))?", "/a(?:/{0})?"),
        # What only looks.
        (r"/(?!static/)(.*)\.html", "/{0}.html"),
        (r"/a(?=/)(?:b|c)(?<!x)(?<=y)/(\d)", "/a(?:b|c)/{0}"),
        (r"/(?!(a)|(b))(\d)", "/{2}"),
        (r"(?i)^/a", "/a"),
        # Escaped signs.
        (r"/a\.b\-c\ d\~e", "/a.b-c d~e"),
        # What stays as it is written.
        (r"/(a)?/(?(1)c|d)", "/{0}?/(?(1)c|d)"),
        (r"/(a)?/(?(1)(c)|\.d)/(e)", r"/{0}?/(?(1)(c)|\.d)/{2}"),
        (r"/a(?#for \(all)/(b)", r"/a(?#for \(all)/{0}"),
        (r"/((?#:-))/(b)", "/{0}/{1}"),
    ],
)
def test_a_template_has_nothing_that_only_the_regular_expression_needs(pattern: str, expected: str) -> None:
    re.compile(pattern)
    assert template(pattern) == expected


def test_a_long_template_is_cut_and_says_so() -> None:
    found = template("/" + "a" * 200)
    assert found == "/" + "a" * (LONGEST - 1 - len(MARK)) + MARK
    assert template("/" + "a" * (LONGEST - 1)) == "/" + "a" * (LONGEST - 1)
    assert template("/" + "(?:a|b)" * 50).endswith(MARK)


@pytest.mark.parametrize("unit", ["(", "[", "(?:", "(a)", "(?:a)?", "/?", "(?(1)", "(?#", "(?P<a>", "\\", "(?=", "[^"])
@pytest.mark.parametrize("tail", ["", "\\", ")", "]", "?"])
def test_a_template_takes_time_in_proportion_to_its_pattern(unit: str, tail: str) -> None:
    def seconds(count: int) -> float:
        best = 10.0
        for _ in range(3):
            started = time.process_time()
            template.__wrapped__(unit * count + tail)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(20_000) < 40 * seconds(2_000) + 0.01


# On live requests.


class Finds(RequestHandler):
    def get(self, *args: str, **kwargs: str) -> None:
        if self.request.path != "/here":
            raise HTTPError(404)


def authenticated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(self: RequestHandler, *args: str) -> Any:
        return method(self, *args)

    return wrapper


def nameless(method: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(self: RequestHandler, *args: str) -> None:
        result = method(self, *args)
        if isinstance(result, Awaitable):
            await result

    return wrapper


class Wrapped(RequestHandler):
    """As by a decorator of the class, which wraps every method that there may be."""

    post = authenticated(RequestHandler.post)
    put = nameless(RequestHandler.put)

    @authenticated
    def delete(self, *args: str) -> None:
        raise HTTPError(405)


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


async def name_of(
    rule: Any, path: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient, **kwargs: Any
) -> str:
    init_tracing(recorder.tracer, operation_name="route", trace_client=False)
    with contextlib.suppress(HTTPClientError):
        await client.fetch(servers.start(Application([rule])) + path, allow_nonstandard_methods=True, **kwargs)
    return (await only_span(recorder)).name


@pytest.mark.parametrize("pattern", [".*", "/.*", "(.*)", "/(.*)", "/(.+)", "/(?P<path>.*)", "^/(?:.*)$", "/(.*?)/?"])
@pytest.mark.parametrize(("path", "expected"), [("/here", "GET Finds"), ("/nowhere", "GET not_found")])
async def test_a_catch_all_bears_its_handlers_name_unless_it_finds_nothing(
    pattern: str, path: str, expected: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await name_of((pattern, Finds), path, each_recorder, servers, client) == expected


async def test_what_another_route_does_not_find_is_called_by_its_route(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await name_of(("/a/(.*)", Finds), "/a/b", recorder, servers, client) == "GET /a/{0}"


@pytest.mark.parametrize(
    "rule",
    [
        ("/(.*)", StaticFileHandler, {"path": "/nonexistent"}),
        (".*", FallbackHandler, {"fallback": WSGIContainer(wsgi)}),
    ],
    ids=["static", "wsgi"],
)
async def test_a_catch_all_of_tornados_own_that_finds_nothing_is_not_found(
    rule: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await name_of(rule, "/x", recorder, servers, client) == "GET not_found"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("POST", "POST method_not_allowed"),
        ("PUT", "PUT method_not_allowed"),
        ("PATCH", "PATCH method_not_allowed"),
        ("DELETE", "DELETE /x"),
    ],
)
async def test_a_method_that_is_not_there_is_not_allowed_whatever_it_is_wrapped_in(
    method: str, expected: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await name_of(("/x", Wrapped), "/x", each_recorder, servers, client, method=method) == expected


async def test_a_method_is_not_there_also_where_somebody_replaced_what_stands_for_it(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RequestHandler, "_unimplemented_method", authenticated(RequestHandler._unimplemented_method))
    assert await name_of(("/x", Finds), "/x", recorder, servers, client, method="PUT") == "PUT method_not_allowed"


async def test_the_tag_has_the_same_template(recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    assert await name_of((r"/(?!x)(\w+)/?", Finds), "/here/", recorder, servers, client) == "GET /{0}"
    assert recorder.finished[0].tags["http.route"] == "/{0}"
