# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What must hold of anything that comes from outside: no error, no planted secret, nothing left to redact.

Each property takes a :class:`Source` of decisions, which Hypothesis and Atheris both can be: it builds an input out of
them and checks what is made of it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from opentracing import SpanContextCorruptedException
from opentracing.mocktracer import MockTracer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS as NAMES
from tornado_opentracing._redaction import (
    LONGEST_VALUE,
    is_secret_name,
    redact_arguments,
    redact_body,
    redact_text,
    redact_url,
    redact_value,
)
from tornado_opentracing._spans import propagation
from tornado_opentracing._spans.templates import template
from tornado_opentracing._tracebacks import exception_message, format_exception
from tornado_opentracing.viewer import RecordingTracer, _listing, _pages
from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._codec import W3CPropagator
from tornado_opentracing.viewer._handlers import _TraceList

Item = TypeVar("Item")

#: In no input but as the secret, nor made of what is in one.
SECRET = "Zq7Zq7Zq7"

WILD = "/?&;#=:@%\"'\\<>()[]{}|,.+- \n\t\xa0é"
PIECES = [
    *WILD,
    *("a", "b1", "://", "//", "http://", "host", "user:", "@", "%25", "%3D", "%40", "%2F", "%3A", "%22", "%zz", "%"),
    *("token", "password", "key", "apiKey", "session_id", '"', '\\"', '":', "': ", "{", "}", "REDACTED", "\udc80"),
]
SECRET_NAMES = ["token", "access_token", "newPassword", "x-api-key", "user[password]", "JSESSIONID", "code", "_xsrf"]


class Source(Protocol):
    """Where decisions come from."""

    def choice(self, items: Sequence[Item]) -> Item: ...
    def text(self, longest: int) -> str: ...
    def number(self, most: int) -> int: ...


def noise(source: Source, longest: int = 12) -> str:
    """What may stand anywhere."""
    if source.number(3) == 0:
        return source.text(longest)
    return "".join(source.choice(PIECES) for _ in range(source.number(longest)))


def plain(source: Source, without: str = "") -> str:
    """Noise without some signs, and without what cannot be encoded: that would become a question mark."""
    text = noise(source).encode("utf-8", "ignore").decode()
    return "".join(sign for sign in text if sign not in without)


REDACTING: list[Callable[[Any, Any], str]] = [redact_url, redact_text, redact_value]


def redaction_never_raises_and_is_done_once_and_for_all(source: Source) -> None:
    text = noise(source, 40)
    for redact in REDACTING:
        once = redact(text, NAMES)
        assert redact(once, NAMES) == once, (redact, text, once)
        assert len(once) <= LONGEST_VALUE


def no_secret_parameter_is_left(source: Source) -> None:
    """Whatever stands around it, and however often all of it is encoded."""
    value = plain(source, "&") + SECRET + plain(source, "&")
    query = f"{source.choice(SECRET_NAMES)}={value}"
    if source.number(1):
        query = f"{plain(source)}&{query}"
    if source.number(1):
        query = f"{query}&{plain(source)}"
    for _ in range(source.number(2)):
        query = f"{source.choice(['next', 'a', 'url'])}={quote('/?' + query, safe='', errors='replace')}"
    start = source.choice(["/?", "http://host/p?", "https://user:pw@host?", "/p;a=b?"])
    for shown in (redact_url(start + query, NAMES), redact_value(query, NAMES)):
        assert SECRET not in shown, (query, shown)


def no_user_info_is_left(source: Source) -> None:
    user, password = plain(source, "/?&\xa0"), plain(source, "/?&@\xa0") + SECRET + plain(source, "/?&\xa0")
    scheme, path = source.choice(["http://", "postgres://", "//", "ws://"]), source.choice(["", "/", "/p"])
    url = f"{scheme}{user}:{password}@host{path}"
    nested = source.number(2)
    for _ in range(nested):
        url = f"/?{source.choice(['next', 'a', 'url'])}={quote(url, safe='', errors='replace')}"
    for redact in (redact_url, redact_value):
        shown = redact(url, NAMES)
        assert SECRET not in shown, (url, shown)
    words = re.sub(r"[\s<>]", "", url)
    assert SECRET not in redact_text(f"cannot reach {words} today", NAMES), words


def json_value(source: Source, depth: int) -> Any:
    kind = source.number(5 if depth else 2)
    if kind == 0:
        return source.number(1000)
    if kind == 1:
        return noise(source)
    if kind == 2:
        return source.choice([None, True, 1.5])
    if kind == 3:
        return [json_value(source, depth - 1) for _ in range(source.number(3))]
    if kind == 4:
        return {source.choice(SECRET_NAMES): [noise(source), noise(source) + SECRET, {"a": SECRET}]}
    return {noise(source): json_value(source, depth - 1) for _ in range(source.number(3))}


def no_secret_of_json_is_left(source: Source) -> None:
    text = json.dumps({"x": json_value(source, 3), source.choice(SECRET_NAMES): noise(source) + SECRET})
    texts = [text, json.dumps({"inner": text}), f"/?q={quote(text, safe='')}&a=b"]
    for shown in [*(redact_value(text, NAMES) for text in texts), redact_url(texts[2], NAMES)]:
        assert SECRET not in shown, (text, shown)
    assert SECRET not in redact_body(text.encode("utf-8", "replace"), "application/json", NAMES)
    json.loads(redact_value(text, NAMES))


def nothing_of_a_request_or_an_error_raises(source: Source) -> None:
    text = noise(source, 40)
    data = text.encode("utf-8", "surrogatepass")
    redact_arguments({noise(source): [data, noise(source)]}, NAMES)
    redact_body(data, noise(source), NAMES)
    is_secret_name(text, frozenset([noise(source)]))
    error: Any = source.choice([ValueError, KeyError, SyntaxError, OSError])(text)
    error.__notes__ = source.choice([[text], text, None, (text, 1), {}])
    assert format_exception(error)
    assert exception_message(error) is not None


def a_route_has_a_template(source: Source) -> None:
    pieces = ["(", ")", "(?:", "(?P<a>", "(?P<", "[", "]", "^", "$", "\\", "\\d", "a", "/", "?", "*", "{2}", "|", "é"]
    pattern = "".join(source.choice(pieces) for _ in range(source.number(30)))
    assert isinstance(template.__wrapped__(pattern), str)


class _Tracer(MockTracer):
    def __init__(self, carrier: dict[Any, Any]) -> None:
        super().__init__()
        self._carrier = carrier

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:  # noqa: A002
        carrier.update(self._carrier)


def trace_headers_are_read_or_refused_and_what_is_sent_is_http(source: Source) -> None:
    value = source.choice(["", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"]) + noise(source)
    carrier = {"traceparent": value, "baggage": noise(source, 40), noise(source): noise(source)}
    with contextlib.suppress(SpanContextCorruptedException):
        found = W3CPropagator().extract(carrier)
        if found is not None:
            sent: dict[str, str] = {}
            W3CPropagator().inject(found, sent)
            again = W3CPropagator().extract(sent)
            assert again is not None
            assert (again.trace_id, again.span_id) == (found.trace_id, found.span_id)
    headers = HTTPHeaders()
    tracer = _Tracer(carrier)
    propagation.inject(tracer, tracer.start_span("x"), headers)
    for name, sent_value in headers.get_all():
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), name
        assert re.fullmatch(r"[\t\x20-\x7e]*", sent_value), sent_value


class _Connection:
    def set_close_callback(self, callback: Any) -> None:
        pass


def the_viewers_filter_takes_any_query(source: Source) -> None:
    query = "&".join(
        f"{source.choice(['q', 'sort', 'page', 'x'])}={quote(noise(source), safe='', errors='replace')}"
        for _ in range(source.number(5))
    )
    connection: Any = _Connection()
    request = HTTPServerRequest(
        start_line=RequestStartLine("GET", f"/?{query}", "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "localhost"}),
        connection=connection,
    )
    tracer = RecordingTracer()
    tracer.start_span(noise(source), tags={"http.url": noise(source), "http.status_code": source.number(600)}).finish()
    page = _TraceList(Application(), request, tracer=tracer, prefix="/-/traces", access=Access(None, ()))
    assert _listing.Listing(page.wanted()).all(tracer.traces())["total"] <= 1
    for field in ("service", "route", "operation", "status", "duration", "tag"):
        _listing.Listing(_listing.Wanted(f"{field}:{noise(source)} {field}={noise(source)}")).all(tracer.traces())
    _pages.to_script(_pages.as_json(tracer.traces()[0]))


PROPERTIES: dict[str, Callable[[Source], None]] = {
    check.__name__: check
    for check in (
        redaction_never_raises_and_is_done_once_and_for_all,
        no_secret_parameter_is_left,
        no_user_info_is_left,
        no_secret_of_json_is_left,
        nothing_of_a_request_or_an_error_raises,
        a_route_has_a_template,
        trace_headers_are_read_or_refused_and_what_is_sent_is_http,
        the_viewers_filter_takes_any_query,
    )
}
