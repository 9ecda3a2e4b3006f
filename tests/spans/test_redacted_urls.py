# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A URL, or a text with URLs in it, is shown without its secrets."""

from __future__ import annotations

import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_opentracing._redaction import DEFAULT_QUERY_PARAMS, REDACTED, redact_text, redact_url, redact_value, texts
from tornado_opentracing._tracebacks import format_exception


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # Nothing to hide.
        ("", ""),
        ("/", "/"),
        ("/a?b=c&d=e;f=g#h=i", "/a?b=c&d=e;f=g#h=i"),
        ("/a?tokens=x&token", "/a?tokens=x&token"),
        ("/token=x/y", "/token=x/y"),
        ("/me@example.com?mail=me@example.com", "/me@example.com?mail=me@example.com"),
        ("http://host/a:b@c?d=e@f", "http://host/a:b@c?d=e@f"),
        ("http://host?d=e@f", "http://host?d=e@f"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        # Parameters, wherever they stand.
        ("/a?token=hidden", "/a?token=REDACTED"),
        ("/a?b=c&token=hidden&d=e", "/a?b=c&token=REDACTED&d=e"),
        ("/a?token=hidden&token=hidden", "/a?token=REDACTED&token=REDACTED"),
        ("http://host/a?X-Amz-Signature=hidden&b=c", "http://host/a?X-Amz-Signature=REDACTED&b=c"),
        ("/a?b=c;token=hidden", "/a?b=c;token=REDACTED"),
        ("/a#token=hidden", "/a#token=REDACTED"),
        ("/a?b=c#token=hidden&d=e", "/a?b=c#token=REDACTED&d=e"),
        # However their names are written.
        ("/a?TOKEN=hidden&Api_Key=hidden", "/a?TOKEN=REDACTED&Api_Key=REDACTED"),
        ("/a?%74oken=hidden", "/a?%74oken=REDACTED"),
        ("/a?user[password]=hidden", "/a?user[password]=REDACTED"),
        ("/a?user%5Bpassword%5D=hidden", "/a?user%5Bpassword%5D=REDACTED"),
        ("/a?token[]=hidden", "/a?token[]=REDACTED"),
        # Whatever the value is.
        ("/a?token=", "/a?token=REDACTED"),
        ("/a?token=hidden=hidden==", "/a?token=REDACTED"),
        ("/a?token=hidden?hidden", "/a?token=REDACTED"),
        ("/a?token=hid;den&b=c", "/a?token=REDACTED&b=c"),
        ("/a?token=hid'den\"&b=c", "/a?token=REDACTED&b=c"),
        ("/a?token=%26hidden&b=c", "/a?token=REDACTED&b=c"),
        # User and password.
        ("http://user:hidden@host/a", "http://host/a"),
        ("http://hidden@host", "http://host"),
        ("HTTP://user:hidden@host:8080?a=b", "HTTP://host:8080?a=b"),
        ("ws://user:hidden@[::1]:80/a@b", "ws://[::1]:80/a@b"),
        ("http://user:hid@den@host/", "http://host/"),
        ("postgres://user:hid@den?den@host/x", "postgres://host/x"),
        ("postgres://user:hid@den:?den@@host/x", "postgres://host/x"),
        ("http://user:hidden@host:80?mail=a@b", "http://host:80?mail=a@b"),
        ("http://user:hidden@host/a@b", "http://host/a@b"),
        ("http://user:hid'den@host/", "http://host/"),
        ("//user:hidden@host/a", "//host/a"),
        (" http://user:hidden@host/", " http://host/"),
        ("http://user:hidden@host/a?token=hidden", "http://host/a?token=REDACTED"),
    ],
)
def test_a_url_is_shown_without_user_and_secrets(url: str, expected: str) -> None:
    assert redact_url(url, DEFAULT_QUERY_PARAMS) == expected


@pytest.mark.parametrize(
    "url",
    [
        "/page;jsessionid=1?token=hidden",
        "/page;sessionid=hidden?a=b",
        "/a?next=/b?token=hidden",
        "/#/a?token=hidden",
        "/a?b=c?d&token=hidden",
        "/a?token=hidden#hidden",
        "user:hidden@host/",
    ],
)
def test_an_unusual_url_hides_its_secrets_too(url: str) -> None:
    """More may be lost than the secret."""
    assert "hidden" not in redact_url(url, DEFAULT_QUERY_PARAMS)


_words = st.text(string.ascii_letters + string.digits + "-_.~%+", max_size=6)
_wild = st.text(string.ascii_letters + "-_.~%+/?:@=;'\"<>()[]{}|, ", max_size=6)
_names = st.sampled_from(sorted(DEFAULT_QUERY_PARAMS)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title(), name.replace("e", "%65"), f"x[{name}]"])
)


@given(_words, st.lists(st.tuples(_words, _words), max_size=3), _names, _wild, st.integers(0, 3), st.booleans())
def test_no_value_of_a_secret_parameter_is_left(
    path: str, others: list[tuple[str, str]], name: str, secret: str, position: int, is_absolute: bool
) -> None:
    params = [f"{other}={value}" for other, value in others]
    params.insert(position, f"{name}={secret}HIDDEN{secret}")
    base = f"http://user:{path}HIDDEN@host/{path}" if is_absolute else f"/{path}"
    url = f"{base}?{'&'.join(params)}"
    assert "HIDDEN" not in redact_url(url, DEFAULT_QUERY_PARAMS)
    assert "HIDDEN" not in redact_value("&".join(params), DEFAULT_QUERY_PARAMS)


@given(_words, st.lists(st.tuples(_words, _words), max_size=3))
def test_a_url_without_secrets_is_shown_as_it_is(path: str, params: list[tuple[str, str]]) -> None:
    url = f"/{path}?{'&'.join(f'{name}={value}' for name, value in params)}"
    assert redact_url(url, {"password"}) == url or "password" in url.lower()


def test_what_changes_whenever_it_is_looked_at_is_not_shown() -> None:
    assert texts._bounded("secret", lambda text: f"{text}s") == "REDACTED"


@given(st.text(), st.sampled_from([redact_url, redact_text, redact_value]))
def test_nothing_makes_redaction_raise_and_it_is_done_once_and_for_all(text: str, redact: Any) -> None:
    once = redact(text, DEFAULT_QUERY_PARAMS)
    assert redact(once, DEFAULT_QUERY_PARAMS) == once


@pytest.mark.parametrize(
    "text",
    [
        unit * (60_000 // len(unit)) + tail
        for unit, tail in [
            ("a", "@"),
            ("a:", "@"),
            ("=a:", "@"),
            ('"a:"', "@"),
            ("a:b@", "="),
            (" a:b@", "="),
            ("//", "@"),
            ("http://a", "@"),
            ("?a=", "@"),
            ("?token=", "@"),
            ("&;#?", "="),
            ("[", "="),
            ("%5B", "="),
            ("\n    ", "@="),
        ]
    ]
    + ["=a:" * 12_000 + "b@" * 12_000, "(a:" * 10_000 + '"@=' * 10_000],
    ids=lambda text: f"{text[:8]!r}{text[-2:]!r}",
)
@pytest.mark.parametrize("redact", [redact_url, redact_text, redact_value])
def test_nobody_can_make_redaction_slow(redact: Any, text: str) -> None:
    """What is redacted may come from anybody, up to Tornado's limit for headers, and the event loop waits for it."""
    start = time.process_time()
    redact(text, DEFAULT_QUERY_PARAMS)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("no secret, a=b, me@example.com", "no secret, a=b, me@example.com"),
        ("cannot reach http://user:hidden@host/a: refused", "cannot reach http://host/a: refused"),
        ("GET /a?token=hidden&b=c failed", "GET /a?token=REDACTED&b=c failed"),
        ("two: http://a:hidden@b/ http://c:hidden@d/?key=hidden", "two: http://b/ http://d/?key=REDACTED"),
        ("line\nhttp://host/?a=b&sig=hidden\nline", "line\nhttp://host/?a=b&sig=REDACTED\nline"),
        ("refused: Authorization: Bearer hidden", "refused: Authorization: REDACTED"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: hidden\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: REDACTED\r\n"),
        ("set-cookie : a=hidden; Path=/\nX-Api-Key:\nnext", "set-cookie : REDACTED\nX-Api-Key:\nnext"),
        ("auth-service: timed out, token: none, X-Size: 5", "auth-service: timed out, token: none, X-Size: 5"),
    ],
)
def test_text_is_shown_without_the_secrets_of_its_urls(text: str, expected: str) -> None:
    assert redact_text(text, DEFAULT_QUERY_PARAMS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Cannot use 'http://user:hidden@host/?token=hidden'",
        'Cannot use "http://user:hidden@host/?token=hidden"',
        "<a href=http://user:hidden@host/?token=hidden>",
        "('http://host/?token=hidden', 'http://user:hidden@host/')",
        "'http://user:hid'den@host/?token=hid'den'",
        'http://user:hid"den@host/?token=hid"den',
        "http://host/?token=hid<den",
        "http://host/?token=hid>den",
        "Unsupported url scheme: user:hidden@host/",
        "wrong query: token=hidden&a=b",
        "wrong query 'token=hidden&a=b'",
    ],
)
def test_quoted_urls_and_queries_in_text_hide_their_secrets_too(text: str) -> None:
    shown = redact_text(text, DEFAULT_QUERY_PARAMS)
    assert not [part for part in ("hidden", "hid", "den@", "den'", 'den"') if part in shown], shown


def test_the_source_lines_of_a_traceback_stay_readable() -> None:
    hidden = "hidden"
    try:
        raise ValueError(", ".join(sorted([f"wrong: key={hidden}"], key=str.lower)))
    except ValueError as error:
        stack = format_exception(error, DEFAULT_QUERY_PARAMS)
    assert 'sorted([f"wrong: key={hidden}"], key=str.lower)' in stack
    assert stack.endswith(f"\nValueError: wrong: key={REDACTED}")


def test_the_default_list_has_what_the_clouds_sign_urls_with() -> None:
    assert {"x-amz-signature", "x-goog-signature", "sig", "access_token", "api_key", "password"} <= DEFAULT_QUERY_PARAMS
    assert {name.lower() for name in DEFAULT_QUERY_PARAMS} == DEFAULT_QUERY_PARAMS
