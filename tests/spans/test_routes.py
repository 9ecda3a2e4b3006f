# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``http.route``: which path pattern a request matched, as a template of low cardinality."""

from __future__ import annotations

import contextlib
import json
import re
import string
from abc import ABCMeta
from typing import Any

import pytest
import tornado
from hypothesis import assume, given
from hypothesis import strategies as st
from support import Recorder, Servers
from support.outcomes import UnhandledError, fail
from support.serving import connection, only_span, settled
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.httputil import HTTPServerRequest
from tornado.routing import AnyMatches, HostMatches, PathMatches, Router, Rule, RuleRouter, URLSpec
from tornado.web import Application, ErrorHandler, FallbackHandler, HTTPError, RequestHandler, url
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from tornado_opentracing import init_tracing
from tornado_opentracing._spans.templates import template


class Hello(RequestHandler):
    def answer(self, *args: str, **kwargs: str) -> None:
        self.write("hello")

    get = post = put = delete = patch = head = options = answer


class Abstract(Hello, metaclass=ABCMeta):
    pass


class Mount(RequestHandler):
    """Stands for another Application."""


class Mounting(Application):
    def get_handler_delegate(self, request: HTTPServerRequest, target_class: Any, *args: Any, **kwargs: Any) -> Any:
        if target_class is Mount:
            return Application([(r"/inner/(?P<name>\w+)", Hello)]).find_handler(request)
        return super().get_handler_delegate(request, target_class, *args, **kwargs)


class Own(Router):
    """A router with a mind of its own."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        return Application().get_handler_delegate(request, Hello)


# From pattern to template.


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        # Nothing to replace.
        ("/", "/"),
        ("", ""),
        ("/plain", "/plain"),
        ("/plain$", "/plain"),
        ("^/plain$", "/plain"),
        # Groups: names, or numbers from 0, as in Tornado's path_args.
        (r"/story/(\d+)$", "/story/{0}"),
        (r"/story/(?P<story_id>\d+)", "/story/{story_id}"),
        (r"/a/(\d+)/b/(\w+)", "/a/{0}/b/{1}"),
        (r"/(?P<year>\d{4})-(?P<month>\d\d)/(?P<slug>[a-z-]+)/?", "/{year}-{month}/{slug}"),
        (r"/(\d+)(\w+)", "/{0}{1}"),
        (r"(.*)", "{0}"),
        (r"/(?P<名前>.*)", "/{名前}"),
        # Groups within groups count, and only the outermost is shown.
        (r"/((\d+)/(\w+))/(x)", "/{0}/{3}"),
        (r"/(?P<outer>a(?P<inner>b))/(?P<last>c)", "/{outer}/{last}"),
        (r"/(a|(b)|c)/(d)", "/{0}/{2}"),
        # Parentheses that are none.
        (r"/([()]+)/(x)", "/{0}/{1}"),
        (r"/([^)]+)/(x)", "/{0}/{1}"),
        (r"/([])(]+)/(x)", "/{0}/{1}"),
        (r"/([^])(]+)/(x)", "/{0}/{1}"),
        (r"/([\]()]+)/(x)", "/{0}/{1}"),
        (r"/(\(\d+\))/(x)", "/{0}/{1}"),
        (r"/(\\(a))/(x)", "/{0}/{2}"),
        (r"/wiki/\(draft\)/(x)", "/wiki/(draft)/{0}"),
        (r"/[(]/(x)", "/[(]/{0}"),
        # Escapes.
        (r"/robots\.txt", "/robots.txt"),
        (r"/a\-b\/c", "/a-b/c"),
        (r"/price\$", "/price$"),
        (r"/back\\slash", "/back\\slash"),
        (r"/trailing\\$", "/trailing\\"),
        (r"/\d+/\w", r"/\d+/\w"),
        # What cannot be reversed stays as it is written.
        (r"/a|/b", "/a|/b"),
        (r"/a(?:/(\d+))?", "/a(?:/{0})?"),
        (r"/(?:x|y)/(\d+)", "/(?:x|y)/{0}"),
        (r"/(?i:x)/(?=\w)(?!0)(\w+)", r"/(?i:x)/{0}"),
        (r"/(?P<word>\w+)/(?P=word)", "/{word}/(?P=word)"),
        (r"/(\d+)?", "/{0}?"),
        (r"/(?P<x>a{2,3})*", "/{x}*"),
        (r"/.*", "/.*"),
        (r"/[a-z]{2}", "/[a-z]{2}"),
    ],
)
def test_a_pattern_becomes_a_template(pattern: str, expected: str) -> None:
    re.compile(pattern)
    assert template(pattern) == expected


_TOKENS = [
    *"/a0()[]^$|?*+.-\\:{}<>=!#, \n",
    r"\d",
    r"\(",
    r"\)",
    r"\]",
    r"\\",
    "[^",
    "{2}",
    "(?:",
    "(?P<x>",
    "(?P<y>",
    "(?P=x)",
    "(?=",
    "(?<!",
    "(?i:",
    "(?#",
    "(?(1)",
]
_patterns = st.lists(st.sampled_from(_TOKENS), max_size=20).map("".join) | st.text(max_size=20)


@given(_patterns)
def test_no_pattern_makes_the_template_raise(pattern: str) -> None:
    assert isinstance(template.__wrapped__(pattern), str)


@given(_patterns)
def test_equal_patterns_have_equal_templates(pattern: str) -> None:
    other = "".join(list(pattern))
    assert template(pattern) == template(other) == template.__wrapped__(other)


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(st.lists(st.sampled_from([t for t in _TOKENS if "(?(" not in t and "(?#" not in t and "{" not in t])))
def test_a_valid_pattern_has_no_more_placeholders_than_groups(tokens: list[str]) -> None:
    pattern = "".join(tokens)
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        assume(False)
    numbers = [int(number) for number in re.findall(r"\{(\d+)\}", template(pattern))]
    assert numbers == sorted(set(numbers))
    assert all(number < compiled.groups for number in numbers)


# Without what Tornado itself gets wrong when it reverses: parentheses, percent signs, a dollar at the end.
_literals = st.text(string.ascii_letters + "/-_.~[]+*?^|{}", max_size=5)
_bodies = st.sampled_from([r"\d+", "[^/]+", ".*", "a|b", "[0-9]{4}", r"\w*?"])


@pytest.mark.skipif(tornado.version_info < (6, 1), reason="this Tornado does not unescape what follows a group")
@given(_literals, st.lists(st.tuples(_bodies, _literals), max_size=4), st.booleans())
def test_what_tornado_can_reverse_has_the_template_that_it_reverses_to(
    start: str, rest: list[tuple[str, str]], named: bool
) -> None:
    """The template is what ``reverse_url`` would make of the placeholders."""
    pattern = re.escape("/" + start)
    for number, (body, literal) in enumerate(rest):
        pattern += f"(?P<g{number}>{body})" if named else f"({body})"
        pattern += re.escape(literal)
    matches = PathMatches(pattern)
    reverse = matches._path
    assume(reverse is not None)
    assert reverse is not None
    placeholders = [f"{{g{n}}}" if named else f"{{{n}}}" for n in range(len(rest))]
    assert template(matches.regex.pattern) == reverse % tuple(placeholders)


# On live requests.


async def route_of(
    target: Any, path: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient, **kwargs: Any
) -> str | None:
    """The tag of the one server span of a request."""
    init_tracing(recorder.tracer, trace_client=False)
    with contextlib.suppress(HTTPClientError):
        await client.fetch(servers.start(target) + path, follow_redirects=False, **kwargs)
    route: str | None = (await only_span(recorder)).tags.get("http.route")
    return route


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        (("/", Hello), "/", "/"),
        ((r"/story/(?P<story_id>\d+)", Hello), "/story/17", "/story/{story_id}"),
        ((r"/a/(\d+)/(\w+)$", Hello), "/a/1/b?c=d", "/a/{0}/{1}"),
        (URLSpec(r"/spec/(.*)", Hello, name="spec"), "/spec/x", "/spec/{0}"),
        (url(r"/url/(.*)", Hello), "/url/x", "/url/{0}"),
        (Rule(PathMatches(re.compile(r"/COMPILED/(\d+)", re.IGNORECASE)), Hello), "/compiled/1", "/COMPILED/{0}"),
        ((r"/optional(?:/(\d+))?", Hello), "/optional", "/optional(?:/{0})?"),
        ((r"/either|/or", Hello), "/or", "/either|/or"),
        ((r"/nested/((\d+)-(\d+))/(x)", Hello), "/nested/1-2/x", "/nested/{0}/{3}"),
        ((r"/class/([()]+)/(x)", Hello), "/class/(/x", "/class/{0}/{1}"),
        ((r"/abstract/(\d+)", Abstract), "/abstract/1", "/abstract/{0}"),
        ((r"/own/(\d+)", Own()), "/own/1", "/own/{0}"),
        ((r"/gone", ErrorHandler, {"status_code": 410}), "/gone", "/gone"),
    ],
)
async def test_a_routed_request_has_its_route(
    rule: Any, path: str, expected: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await route_of(Application([rule]), path, recorder, servers, client) == expected


async def test_the_route_is_there_when_the_span_starts(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    seen: list[str] = []

    def look(span: Any, request: object) -> None:
        seen.append(span.tags["http.route"])

    init_tracing(recorder.tracer, trace_client=False, start_span_cb=look)
    await client.fetch(servers.start(Application([(r"/(\d+)", Hello)])) + "/1")
    assert seen == ["/{0}"]


async def test_the_first_rule_that_matches_is_the_route(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    application = Application([(r"/x", Hello), (r"/a", Hello), (r"/(.*)", Hello), (r"/b", Hello)])
    assert await route_of(application, "/b", recorder, servers, client) == "/{0}"


_nested = [(r"/inner/(?P<name>\w+)", Hello)]


@pytest.mark.parametrize(
    "target",
    [
        lambda: Application([(r"/inner/.*", Application(_nested))]),
        lambda: Application([(r"/.*", _nested)]),
        lambda: Application([(HostMatches(r"127\.0\.0\.1"), _nested)]),
        lambda: Application([(HostMatches(r"elsewhere"), [(r"/.*", Hello)]), (r"/.*", _nested)]),
        lambda: Application([(AnyMatches(), [(r"/in.*", [(AnyMatches(), _nested)])])]),
        lambda: RuleRouter([Rule(PathMatches(r"/inner/.*"), Application(_nested))]),
        lambda: RuleRouter([Rule(PathMatches(r"/.*"), RuleRouter([(r"/inner.*", Application(_nested))]))]),
        lambda: Application([(r"/.*", FallbackHandler, {"fallback": Application(_nested)})]),
        lambda: Mounting([(r"/.*", Mount)]),
    ],
    ids=["application", "rules", "host", "other_host", "deep", "router", "deep_router", "fallback", "class"],
)
async def test_the_innermost_pattern_is_the_route(
    target: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await route_of(target(), "/inner/x", recorder, servers, client) == "/inner/{name}"


async def test_an_outer_pattern_is_the_route_where_the_inner_rules_have_none(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    application = Application([(r"/api/.*", [(HostMatches(r".*"), Hello)])])
    assert await route_of(application, "/api/x", recorder, servers, client) == "/api/.*"


async def test_inner_rules_that_do_not_match_leave_no_route_behind(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    rules: Any = [(r"/a/.*", RuleRouter([(r"/a/1", Application([(r"/a/1", Hello)]))])), (r"/a/(?P<number>\d)", Hello)]
    assert await route_of(Application(rules), "/a/2", recorder, servers, client) == "/a/{number}"


@pytest.mark.parametrize(
    "target",
    [
        Application,
        lambda: Application([(r"/else", Hello)]),
        lambda: Application(default_handler_class=Hello),
        lambda: Application([(HostMatches(r".*"), Hello)]),
        lambda: Application([(AnyMatches(), Hello)]),
        Own,
        lambda: Application([(r".*", FallbackHandler, {"fallback": Application()})]),
        lambda: Application([(r".*", Application([(r"/else", Hello)]))]),
        lambda: Application([(r".*", Application(default_handler_class=Hello))]),
        lambda: RuleRouter([Rule(PathMatches(r".*"), RuleRouter([(r".*", Application())]))]),
    ],
    ids=["no_rules", "no_match", "default", "host", "any", "own", "fallback", "nested", "nested_default", "router"],
)
async def test_a_request_that_matched_no_path_pattern_has_no_route(
    target: Any, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    assert await route_of(target(), "/x", recorder, servers, client) is None


async def test_rules_added_later_have_their_routes(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    application = Application([(r"/(\w+)", Hello)])
    url = servers.start(application)
    await client.fetch(url + "/first")
    application.add_handlers(r"127\.0\.0\.1", [(r"/(?P<word>\w+)", Hello)])
    await client.fetch(url + "/second")
    application.add_handlers(r"elsewhere", [(r"/(.*)", Hello)])
    application.wildcard_router.add_rules([(r"/more/(.*)", Hello)])
    await client.fetch(url + "/more/third")
    assert [span.tags["http.route"] for span in await settled(recorder, 3)] == ["/{0}", "/{word}", "/more/{0}"]


async def test_requests_of_several_hosts_have_their_hosts_routes(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer)
    application = Application([(r"/(?P<everywhere>\w+)", Hello)])
    application.add_handlers(r"a\.example", [(r"/(?P<at_a>\w+)", Hello)])
    application.add_handlers(r".*\.example", [(r"/(?P<at_b>\w+)", Hello)])
    async with connection(servers.start(application)) as opened:
        for host in ("a.example", "b.example", "c.elsewhere"):
            opened.send(f"GET /x HTTP/1.1\nHost: {host}\n\n")
            assert (await opened.answer())[0] == 200
    assert [s.tags["http.route"] for s in await settled(recorder, 3)] == ["/{at_a}", "/{at_b}", "/{everywhere}"]


class Refusing(RequestHandler):
    SUPPORTED_METHODS = ("GET",)

    def initialize(self, **kwargs: Any) -> None:
        if kwargs:
            raise UnhandledError

    async def get(self) -> None:
        if "missing" in self.request.arguments:
            raise HTTPError(404)
        fail()


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [("GET", "", 500), ("GET", "?missing=1", 404), ("POST", "", 405), ("HEAD", "", 405), ("STRANGE", "", 405)],
)
async def test_a_routed_request_has_its_route_whatever_becomes_of_it(
    method: str, query: str, status: int, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    application = Application([(r"/refusing", Refusing)])
    kwargs: Any = {"method": method, "allow_nonstandard_methods": True}
    assert await route_of(application, f"/refusing{query}", recorder, servers, client, **kwargs) == "/refusing"
    assert recorder.finished[0].status == status


async def test_a_request_whose_handler_cannot_be_constructed_has_its_route(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    application = Application([(r"/broken/(\d)", Refusing, {"unexpected": True})])
    assert await route_of(application, "/broken/1", recorder, servers, client) == "/broken/{0}"


class Socket(WebSocketHandler):
    pass


async def test_a_websocket_has_its_route(recorder: Recorder, servers: Servers) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([(r"/socket/(?P<room>.*)", Socket)]))
    (await websocket_connect(url.replace("http", "ws") + "/socket/1")).close()
    assert (await only_span(recorder)).tags["http.route"] == "/socket/{room}"


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


async def test_a_wsgi_application_has_the_route_that_leads_to_it(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    application = Application([(r"/wsgi/(.*)", FallbackHandler, {"fallback": WSGIContainer(wsgi)})])
    assert await route_of(application, "/wsgi/x", recorder, servers, client) == "/wsgi/{0}"


async def test_static_files_have_the_route_of_their_directory(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, tmp_path: Any
) -> None:
    (tmp_path / "x.txt").write_text("x")
    settings: Any = {"static_path": str(tmp_path)}
    assert await route_of(Application(**settings), "/static/x.txt", recorder, servers, client) == "/static/{0}"


# What it costs, and what it changes: nothing.


async def test_the_template_is_made_once_for_a_rule_and_not_for_each_request(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([(r"/a/(\d+)", Hello), (r"/b/(\d+)", Hello)]))
    template.cache_clear()
    for number in range(20):
        await client.fetch(f"{url}/a/{number}")
        await client.fetch(f"{url}/b/{number}")
    assert template.cache_info().misses == 2
    assert {span.tags["http.route"] for span in await settled(recorder, 40)} == {"/a/{0}", "/b/{0}"}


class Counting(PathMatches):
    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self.matched = 0

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        self.matched += 1
        return super().match(request)


async def test_no_rule_is_matched_more_often_than_without_tracing(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    first, second, third = matchers = [Counting(r"/a"), Counting(r"/(?P<x>.*)"), Counting(r"/b")]
    application = Application([(matcher, Hello) for matcher in matchers])
    assert await route_of(application, "/b", recorder, servers, client) == "/{x}"
    assert (first.matched, second.matched, third.matched) == (1, 1, 0)


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_handler_gets_the_arguments_of_its_rule(
    is_traced: bool, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Arguments(RequestHandler):
        def initialize(self, **kwargs: Any) -> None:
            self.found = kwargs

        def get(self, *args: str, **kwargs: str) -> None:
            self.write({"initialize": self.found, "args": args, "kwargs": kwargs})

    if is_traced:
        init_tracing(recorder.tracer, trace_client=False)
    application = Application(
        [
            (r"/named/(?P<a>\w+)/(?P<b>.*)", Arguments, {"x": 1}),
            (r"/positional/(\w+)(?:/(\w+))?", Arguments, {"y": 2}),
            (r"/nested/.*", [(r"/nested/(.*)", Arguments, {"z": 3})]),
        ]
    )
    url = servers.start(application)
    bodies = [
        json.loads((await client.fetch(url + path)).body) for path in ("/named/1/%2F", "/positional/1", "/nested/1/2")
    ]
    assert bodies == [
        {"initialize": {"x": 1}, "args": [], "kwargs": {"a": "1", "b": "/"}},
        {"initialize": {"y": 2}, "args": ["1", None], "kwargs": {}},
        {"initialize": {"z": 3}, "args": ["1/2"], "kwargs": {}},
    ]
