# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is counted by ``test_linear.py``: hostile texts, twice as long and not, through all that looks at such texts.

Prints a line for each piece of work, group of shapes and size, as ``benchmarks/instructions.py`` reads it: the process
forks for each, and marks where the work begins and ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import instructions
from opentracing.mocktracer import MockTracer
from tornado.httputil import HTTPHeaders

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS
from tornado_opentracing._redaction import texts
from tornado_opentracing._redaction.bounds import clip, redact_ends
from tornado_opentracing._redaction.headers import is_secret_header
from tornado_opentracing._redaction.names import is_secret_name
from tornado_opentracing._redaction.request import redact_arguments, redact_body
from tornado_opentracing._spans import propagation
from tornado_opentracing._spans.templates import template
from tornado_opentracing._tracebacks import exception_message, format_exception
from tornado_opentracing.viewer import _pages, _search, _text
from tornado_opentracing.viewer._codec import W3CPropagator

SIZES = (32 * 1024, 64 * 1024)

#: What a text begins with, what it repeats, and what it ends with.
Shape = tuple[str, str, str]

URLS: list[Shape] = [
    ("GET ", "\xa0", "/@"),
    ("", "\xa0", "@"),
    ("", "a", "@"),
    ("", "=a:", "@"),
    ("", '"a:"', "@"),
    ("", "a:b@", "="),
    ("", "//", "@"),
    ("?", "://a:b/", "&@"),
    ("http://a:b", "//", "@"),
    ("", "http://a#", "@"),
    ("/?", "&token='", ""),
    ("", "a = ", ""),
    ("", "a ", "="),
    ("", "[", "="),
    ("", "%5B", "="),
    ("", "%2525", "%3D@"),
]
PROSE: list[Shape] = [
    ("", "a:", "@"),
    ("", "://", "&@"),
    ("", "&;#?", "="),
    ("", "\n    ", "@="),
    ("", '="', "'"),
    ("", '"', ":"),
    ("", '" ', ":"),
    ("", '"password":', ""),
    ("", '"password":"', ""),
    ("", '{"password":[', ""),
    ("{", '"a":{', "}"),
    ("", "\\", '":'),
    ('"password":"', "\\", '"'),
    ('\\"password\\":\\"', '\\\\\\"', ""),
    ("", "'token':<(", ""),
    ("", "aB", "="),
    ("", "é", "@="),
    ("", "a-", ":"),
    ("", "a-b: ", ""),
    ("", "a-key: \n", ""),
]
ROUTES: list[Shape] = [
    ("/", "(", ")"),
    ("/", "(?P<a>", ""),
    ("/", "(?P<aa", ""),
    ("/", "(?P<a>)", ""),
    ("/", "[", "]"),
    ("/", "(?:a)?", ""),
    ("/", "\\", "$"),
]
HEADERS: list[Shape] = [
    ("", "a", ""),
    ("", " ", "\x80"),
    ("00-", "f", "-01"),
    ("", "=,", ""),
    ("a=", "%", ""),
    ("", ",", ""),
]
VALUES: list[Shape] = [
    ("GET ", "\xa0", "/@"),
    ("/?", "&key=", ""),
    ('{"password":"', "x ", '"}'),
    ("", "%25", "="),
    ("", "x", ""),
]


def text_of(shape: Shape, size: int) -> str:
    begin, unit, end = shape
    return (begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end).ljust(size, unit[0])


def in_url(text: str) -> None:
    """As redaction would look at it, were there no bound."""
    texts._redact(text, DEFAULT_REDACTED_QUERY_PARAMS, is_url=True)


def in_prose(text: str) -> None:
    """The same."""
    texts._redact(text, DEFAULT_REDACTED_QUERY_PARAMS, is_prose=True)


def redacted(text: str) -> None:
    for redact in (texts.redact_url, texts.redact_value, texts.redact_text):
        redact(text, DEFAULT_REDACTED_QUERY_PARAMS)
    redact_ends(text, str.lower)
    clip(text)


def named(text: str) -> None:
    is_secret_name(text, DEFAULT_REDACTED_QUERY_PARAMS)
    is_secret_header(text)


def held(text: str) -> None:
    data = text.encode()
    redact_arguments({text: [data, data], "token": [data]}, DEFAULT_REDACTED_QUERY_PARAMS)
    redact_body(data, "application/json", DEFAULT_REDACTED_QUERY_PARAMS)


def raised(text: str) -> None:
    exception_message(ValueError(text))
    format_exception(SyntaxError(text, (text, 1, 1, text)))


class _Tracer(MockTracer):
    """Injects what it is told to."""

    def __init__(self, carrier: dict[str, str]) -> None:
        super().__init__()
        self._carrier = carrier

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:  # noqa: A002
        carrier.update(self._carrier)


def carried(text: str) -> None:
    headers = HTTPHeaders()
    propagation.extract(
        MockTracer(), HTTPHeaders({"Ot-Tracer-Traceid": "1", "Ot-Baggage-A": text, "A" * len(text): "x"})
    )
    tracer = _Tracer({text: "a", "a": text})
    propagation.inject(tracer, tracer.start_span("x"), headers)
    carrier: dict[str, str] = {"traceparent": text, "baggage": text}
    for header in (text, "00-" + "1" * 32 + "-" + "1" * 16 + "-01"):
        carrier["traceparent"] = header
        with contextlib.suppress(Exception):  # it is no trace's
            W3CPropagator().extract(carrier)


def routed(text: str) -> None:
    template.__wrapped__(text)


def viewed(text: str) -> None:
    summary = _pages.Summary("1", 0.0, text, text, "200", 1.0, 1, 0, 0, False, [])
    span = MockTracer().start_span(text, tags={"http.url": text})
    for search in (text, f"operation:{text} service:{text} duration:{text} {text}={text}", f"'{text}"):
        _search.read(search).admits(summary, [span])
    _pages.to_script({"a": text})
    _text._printable(text)
    _text._cells(text)


#: By name: a piece of work, and groups of shapes that are counted together; what is not linear in one of them shows in
#: their sum.
WORK: dict[str, tuple[Callable[[str], None], list[list[Shape]]]] = {
    "URLs": (in_url, [URLS[:8], URLS[8:]]),
    "prose": (in_prose, [PROSE[:8], PROSE[8:]]),
    "values": (redacted, [VALUES]),
    "names": (named, [VALUES]),
    "requests": (held, [VALUES]),
    "exceptions": (raised, [VALUES]),
    "headers": (carried, [HEADERS]),
    "routes": (routed, [ROUTES]),
    "the viewer": (viewed, [VALUES]),
}


def main(names: list[str]) -> None:
    logging.getLogger("tornado_opentracing").disabled = True
    for name in names:
        work, groups = WORK[name]
        for number, group in enumerate(groups):
            for shape in group:  # what is made once
                work(text_of(shape, 100))
            for size in SIZES:
                made = [text_of(shape, size) for shape in group]
                if not (child := os.fork()):
                    instructions.mark()
                    for text in made:
                        work(text)
                    instructions.mark()
                    print(f"{name} {number} {size}\t1\t{os.getpid()}", flush=True)
                    os._exit(0)
                os.waitpid(child, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
