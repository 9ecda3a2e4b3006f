# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Where secrets hide: in URLs within URLs, encoded once or more, in JSON, in arguments, with odd signs in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from support import Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS, TornadoTracing, init_tracing, trace
from tornado_opentracing._redaction import redact_text, redact_url, redact_value

NESTED = [
    "postgres://bob:hidden@db/x",
    "//bob:hidden@db/x",
    "bob:hidden@db",
    "https://h/?access_token=hidden",
    "https://h/#access_token=hidden",
    "/callback?code=hidden&state=hidden",
    "token=hidden",
    '{"password":"hidden"}',
    '{"a": [1, {"token": "hidden"}], "b": "https://bob:hidden@h/"}',
    '{"password": {"value": "hidden", "other": ["hidden"]}, "a": "b"}',
    '{"secrets": ["hidden", "hidden"]}',
    '[{"url": "https://h/?a=b&sig=hidden"}]',
    '{"password":"x","password":"hid den"}',
    '{"otp": 1234567}',
    "{'password': 'hidden'}",
    '{"text": "{\\"password\\": \\"hid\\\\\\"den\\"}"}',
    '{"password": "hidden", never closed',
    '{"url":"?token=hidden","password":"hid&den"}',
]
SECRETS = ("hidden", "hid", "den", "1234567", "bob")


def encoded(times: int) -> Callable[[str], str]:
    def encode(text: str) -> str:
        for _ in range(times):
            text = quote(text, safe="")
        return text

    return encode


ENCODINGS: dict[str, Callable[[str], str]] = {
    "once": encoded(1),
    "twice": encoded(2),
    "thrice": encoded(3),
    "plus": quote_plus,
    "signs left": lambda text: quote(text, safe=":/?#[]@!$'()*,;"),
    "as it is": lambda text: text.replace(" ", "+"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("nested", NESTED)
def test_what_is_within_a_parameter_is_redacted_too(nested: str, encoding: str) -> None:
    value = ENCODINGS[encoding](nested)
    for url in (f"/?before=1&next={value}&after=2", f"https://host/p?next={value}&after=2", f"?next={value}"):
        shown = redact_url(url, DEFAULT_REDACTED_QUERY_PARAMS)
        assert not [secret for secret in SECRETS if secret in shown], shown
        # An ampersand that is not encoded ends the parameter, whatever it is in.
        assert "after" not in url or shown.endswith("&after=2")
        assert "before" not in url or shown.startswith("/?before=1&next=")
        assert encoding == "as it is" or redact_url(shown, DEFAULT_REDACTED_QUERY_PARAMS) == shown


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/?db=postgres://bob:hidden@db/x&a=b", "/?db=postgres://db/x&a=b"),
        ("/?next=https%3A%2F%2Fh%2F%3Ftoken%3Dhidden%26a%3Db", "/?next=https%3A%2F%2Fh%2F%3Ftoken%3DREDACTED%26a%3Db"),
        ("/?q=%7B%22password%22%3A%22hidden%22%7D", "/?q=%7B%22password%22%3A%22REDACTED%22%7D"),
        ("/?q=%7B%22name%22%3A%22shown%22%7D", "/?q=%7B%22name%22%3A%22shown%22%7D"),
        ('/?q={"token":"hidden","a":1}', '/?q={"token":"REDACTED","a":1}'),
        ("/proxy/https%3A%2F%2Fbob%3Ahidden%40h%2F", "/proxy/https%3A//h/"),
        # Odd signs in user info.
        ("http://bob:hid#den@host/x", "http://host/x"),
        ("http://b#ob:hidden@host/x", "http://host/x"),
        ("http://bob#@host/x", "http://host/x"),
        ("http://bob:hid/den@host/x", "http://host/x"),
        ("http://bob:hid?den@host/x", "http://host/x"),
        ("http://bob:hid&den@host/x?a=b", "http://host/x?a=b"),
        ("http://bob:hid@den@host/x", "http://host/x"),
        ("http://bob:hid%40den@host/x", "http://host/x"),
        ("http://bob%3Ahidden@host/x", "http://host/x"),
        ("http:/bob:hidden@host/x", "http:/host/x"),
        ("bob:hidden@host/x", "host/x"),
        ("bob@host/x", "host/x"),
        # Nothing of the kind.
        ("/?time=12:30&mail=me@example.com", "/?time=12:30&mail=me@example.com"),
        ("/?mail=me%40example.com&b=%20", "/?mail=me%40example.com&b=%20"),
        ("/?url=http://host&mail=me@example.com", "/?url=http://host&mail=me@example.com"),
        ("http://host:80/a:b@c?d=http://[::1]:80/@", "http://host:80/a:b@c?d=http://[::1]:80/@"),
        ("/a//b:c@d", "/a//b:c@d"),
        ("/100%25/%zz/%", "/100%25/%zz/%"),
        ("/token=1/edit;v=2", "/token=1/edit;v=2"),
    ],
)
def test_no_more_is_lost_of_a_usual_url_than_the_secret(url: str, expected: str) -> None:
    assert redact_url(url, DEFAULT_REDACTED_QUERY_PARAMS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no {'password': b'hid,den', 'a': 1}", "no {'password': 'REDACTED', 'a': 1}"),
        ('body {"token": {"a": ["hid den"]}, "b": 2}: bad', 'body {"token": "REDACTED", "b": 2}: bad'),
        ('body "{\\"token\\": \\"hid den\\", \\"b\\": 2}"', 'body "{\\"token\\": \\"REDACTED\\", \\"b\\": 2}"'),
        ("host=db password='hid den' user=x", "host=db password=REDACTED user=x"),
        ("Config(user='x', token='hid den', a=1)", "Config(user='x', token=REDACTED a=1)"),
        ("first line\n    token=hidden\nlast line", "first line\n    token=REDACTED\nlast line"),
        ("db at postgres://bob:hid#den@db/x is down", "db at postgres://db/x is down"),
        (
            "see https://h/?next=https%3A%2F%2Fh%3Ftoken%3Dhidden !",
            "see https://h/?next=https%3A%2F%2Fh%3Ftoken%3DREDACTED !",
        ),
        ("isn't it: 'a' is what's \"b\": no", "isn't it: 'a' is what's \"b\": no"),
        ("100% of 'x' = y, e.g. a == b", "100% of 'x' = y, e.g. a == b"),
    ],
)
def test_prose_loses_the_secret_and_stays_readable(text: str, expected: str) -> None:
    assert redact_text(text, DEFAULT_REDACTED_QUERY_PARAMS) == expected


def test_json_stays_json() -> None:
    value = {"user": "bob", "password": "x", "list": [{"apiKey": 1}, "https://a:b@h/?sig=1&c=2"], "n": None}
    shown = json.loads(redact_value(json.dumps(value), DEFAULT_REDACTED_QUERY_PARAMS))
    assert shown == {
        "user": "bob",
        "password": "REDACTED",
        "list": [{"apiKey": "REDACTED"}, "https://h/?sig=REDACTED&c=2"],
        "n": None,
    }


# On live requests.


class Answer(RequestHandler):
    @trace("arguments", "query_arguments", "body_arguments", "body", "files", "full_url", "headers")
    def post(self) -> None:
        pass


async def tags_of(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, query: str, body: str, content_type: str
) -> dict[str, Any]:
    init_tracing(recorder.tracer, trace_client=False)
    url = servers.start(Application([("/", Answer)])) + query
    await client.fetch(url, method="POST", body=body, headers={"Content-Type": content_type})
    return (await only_span(recorder)).tags


async def test_arguments_are_looked_into(each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient) -> None:
    query = "/?" + "&".join(
        [
            "db=" + quote("postgres://bob:hidden@db/x"),
            "next=" + quote("https://h/?token=hidden&a=b"),
            "next=plain",
            "accessToken=hidden",
            "q=" + quote('{"password": "hidden"}'),
            quote("http://bob:hidden@h/") + "=name",
            "bytes=%ff%fe",
        ]
    )
    found = await tags_of(each_recorder, servers, client, query, "c=" + quote("//bob:hidden@h"), "text/plain")
    assert not [name for name, value in found.items() if "hidden" in str(value) or "bob" in str(value)]
    assert found["query_arguments"] == (
        "{'db': [b'postgres://db/x'], 'next': [b'https://h/?token=REDACTED&a=b', b'plain'], 'accessToken': 'REDACTED', "
        "'q': [b'{\"password\":\"REDACTED\"}'], 'http://h/': [b'name'], 'bytes': [b'\\xff\\xfe']}"
    )
    assert found["full_url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", '{"user": "é", "password": "hidden"}', '{"user":"é","password":"REDACTED"}'),
        ("application/json", '{"user": "é"}', '{"user": "é"}'),
        ("application/json; charset=utf-8", "[1, 2]", "[1, 2]"),
        ("application/x-www-form-urlencoded", "a=b&new_password=hidden", "a=b&new_password=REDACTED"),
        ("text/plain", "see http://bob:hidden@h/", "see http://h/"),
        ("application/octet-stream", "hidden\udcff", "9 bytes"),
    ],
)
async def test_a_body_is_shown_as_text(
    content_type: str, body: str, expected: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    data: Any = body.encode("utf-8", "surrogateescape") if "\udcff" not in body else b"hidden\xff\xfe\xfd"
    found = await tags_of(recorder, servers, client, "/", data, content_type)
    assert found["body"] == expected


async def test_of_a_form_with_files_the_sizes_are_shown(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    head = '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nhidden\r\n'
    named = 'name="f"; filename="a.txt"\r\nContent-Type: text/plain'
    file = f"--b\r\nContent-Disposition: form-data; {named}\r\n\r\nhidden\r\n"
    found = await tags_of(recorder, servers, client, "/", f"{head}{file}--b--\r\n", "multipart/form-data; boundary=b")
    assert "hidden" not in repr(found)
    assert found["body"] == f"{len(head) + len(file) + 7} bytes"
    assert found["files"] == "{'f': [{'filename': 'a.txt', 'content_type': 'text/plain', 'size': 6}]}"
    assert found["body_arguments"] == "{'password': 'REDACTED'}"


async def test_url_is_refused_and_full_url_is_called(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    for make in (
        lambda: init_tracing(recorder.tracer, traced_attributes=["method", "url"]),
        lambda: TornadoTracing(recorder.tracer, traced_attributes=["url"]),
    ):
        with pytest.raises(ValueError, match=r"traced_attributes .*full_url.* not 'url'"):
            make()
    with pytest.raises(ValueError, match=r"@trace: the attributes .* not 'url'"):
        trace("url")
    with pytest.raises(ValueError, match="not '__str__'"):
        trace(["__str__"])
    init_tracing(recorder.tracer)
    with pytest.raises(ValueError, match=r"opentracing_traced_attributes .* not 'url'"):
        Application([], opentracing_traced_attributes=["url"])


async def test_whatever_a_request_has_can_be_named(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    """Attributes of the class and of instances, and methods, on every Tornado; no value is a method's own text."""
    seen: list[HTTPServerRequest] = []

    class Looking(RequestHandler):
        def get(self) -> None:
            seen.append(self.request)

    init_tracing(recorder.tracer, trace_client=False, request_filter=lambda request: False)
    await client.fetch(servers.start(Application([("/", Looking)])))
    names = [name for name in {*dir(seen[0]), *vars(seen[0])} if not name.startswith("_")]
    assert {"full_url", "path", "query", "cookies", "body_arguments", "remote_ip", "host_name", "files"} <= set(names)
    init_tracing(recorder.tracer, trace_client=False, traced_attributes=names)
    await client.fetch(servers.start(Application([("/", Looking)])))
    found = (await only_span(recorder)).tags
    assert not [value for value in found.values() if "bound method" in str(value)]
    assert found["full_url"].endswith("/")
    assert float(found["request_time"]) >= 0
