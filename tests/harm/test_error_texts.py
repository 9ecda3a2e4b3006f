# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What an exception says is on the span, without secrets and within bounds, whatever the exception does."""

from __future__ import annotations

import asyncio
import builtins
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS, init_tracing
from tornado_opentracing._redaction import LONGEST_STACK, LONGEST_VALUE
from tornado_opentracing._tracebacks import exception_message, format_exception
from tornado_opentracing.viewer import RecordingTracer

# Not written out: the source lines of a traceback are shown as they are.
ONE, TWO = "hid" + "den", "hid" + " den"
URL = f"https://bo{'b'}:{ONE}#@host/?a=b&token={ONE}"
SECRETS = (ONE, TWO, "bo" + "b")
#: Members of groups and notes are shown since then.
HAS_GROUPS = sys.version_info >= (3, 11)
ExceptionGroup: Any = getattr(builtins, "ExceptionGroup", None)


def raise_(error: BaseException) -> None:
    raise error


def chained() -> None:
    try:
        try:
            raise_(ValueError(f"first {URL}"))
        except ValueError as error:
            raise_(LookupError(f"second {URL}"))
            raise AssertionError from error
    except LookupError as error:
        raise RuntimeError(f"third {URL}") from error


def grouped() -> None:
    try:
        raise_(KeyError({"password": TWO}))
    except KeyError as error:
        inner = ExceptionGroup(f"inner {URL}", [error, OSError(f"member {URL}\n    token={ONE}\nend")])
        raise ExceptionGroup(f"outer {URL}", [inner, ValueError(f"other {URL}")]) from None


async def in_task_group() -> None:
    async def fail() -> None:
        raise ValueError(f"in a task {URL}")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


def noted() -> None:
    error: Any = ValueError("noted")
    error.add_note(f"note {URL}\n    access_token={ONE}\nlast")
    error.add_note(json.dumps({"new_password": TWO}))
    raise error


def with_odd_notes(notes: Any) -> Callable[[], None]:
    def fail() -> None:
        error: Any = ValueError("noted")
        error.__notes__ = notes
        raise error

    return fail


def syntax_error() -> None:
    compile(f"x = '{URL}' token='{ONE}'", f"/{URL}", "exec")


def multi_line() -> None:
    raise ValueError(f"Traceback:\n  File nothing\n    token={ONE}\n\n    sorted(key={ONE})\n    {URL}\n")


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError(f"no text {URL}")

    __repr__ = __str__


def wordless_member() -> None:
    raise ExceptionGroup("group", [WordlessError(), ValueError("beside")]) from WordlessError()


RAISING: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a chain": (
        chained,
        ["ValueError: first https://host/?a=b&token=REDACTED", "LookupError: second", "raise_(ValueError(f"],
    ),
    "a message of several lines": (multi_line, ["    token=REDACTED", "    sorted(key=REDACTED", "in multi_line"]),
    "a syntax error": (syntax_error, ["SyntaxError: ", "https://host/?a=b&token=REDACTED"]),
}
if HAS_GROUPS:
    RAISING |= {
        "a group": (
            grouped,
            ["OSError: member https://host/?a=b&token=REDACTED", "  token=REDACTED", "ValueError: other"],
        ),
        "a task group": (in_task_group, ["ValueError: in a task https://host/?a=b&token=REDACTED", "raise ValueError"]),
        "notes": (noted, ["note https://host/?a=b&token=REDACTED", "access_token=REDACTED", "last"]),
        "notes of any type": (
            with_odd_notes([1, None, WordlessError(), URL]),
            ["1", "None", "the note could not be made"],
        ),
        "a note that is no list": (with_odd_notes(f"just {URL}"), ["just https://host/?a=b&token=REDACTED"]),
        "notes that are a number": (with_odd_notes(7), ["noted\n7"]),
        "a member without a text": (wordless_member, ["WordlessError", "ValueError: beside"]),
    }


@pytest.mark.parametrize("kind", RAISING)
async def test_whatever_an_exception_consists_of_is_shown_without_secrets(
    kind: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    fail, expected = RAISING[kind]

    class Raising(RequestHandler):
        async def get(self) -> None:
            made = fail()
            if made is not None:
                await made

        def log_exception(self, *args: Any) -> None:
            """Not in the test's log."""

    init_tracing(each_recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Raising)])), raise_error=False)
    (log,) = (await only_span(each_recorder)).logs
    shown = {name: str(value) for name, value in log.items() if name != "error.object"}
    assert not [(name, secret) for secret in SECRETS for name, value in shown.items() if secret in value], shown
    for part in expected:
        assert part in shown["stack"]


def refuse() -> None:
    raise HTTPError(503, "upstream %s gave %s", "db1")


def be_wordless() -> None:
    raise WordlessError


@pytest.mark.parametrize(("fail", "kind", "status"), [(refuse, "HTTPError", 503), (be_wordless, "WordlessError", 500)])
async def test_an_exception_whose_text_cannot_be_made_has_its_kind_and_stack_all_the_same(
    fail: Callable[[], None],
    kind: str,
    status: int,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    class Raising(RequestHandler):
        def get(self) -> None:
            fail()

        def log_exception(self, *args: Any) -> None:
            """Which would fail, too."""

    init_tracing(each_recorder.tracer, trace_client=False)
    await client.fetch(servers.start(Application([("/", Raising)])), raise_error=False)
    span = await only_span(each_recorder)
    assert (span.status, span.is_error) == (status, True)
    (log,) = span.logs
    assert log["error.kind"] == kind
    assert "could not be made" in log["message"]
    assert f"in {fail.__name__}" in log["stack"]
    assert kind in log["stack"].splitlines()[-1]


class UnreadableError(Exception):
    """An exception of which nothing can be asked."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__cause__":
            raise ValueError
        return super().__getattribute__(name)


def test_of_an_exception_that_cannot_be_formatted_the_frames_are_shown() -> None:
    try:
        raise_(UnreadableError(f"see {URL}"))
    except UnreadableError as error:
        lines = format_exception(error).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].endswith("in raise_") or "raise error" in lines[-2]
    assert "UnreadableError: see https://host/?a=" in lines[-1]
    assert lines[-1].endswith("&token=REDACTED")


# Bounds.


def test_long_texts_are_cut_in_the_middle_with_a_mark() -> None:
    try:
        raise ValueError("begin " + "x" * 1_000_000 + " end")
    except ValueError as error:
        message, stack = exception_message(error), format_exception(error)
    assert len(message) <= LONGEST_VALUE
    assert (message[:7], message[-5:]) == ("begin x", "x end")
    assert "characters left out]..." in message
    assert len(stack) < LONGEST_VALUE + 1000


def test_a_stack_is_cut_in_the_middle_with_a_mark() -> None:
    error: BaseException = ValueError("first")
    for number in range(2000):
        try:
            raise ValueError(f"{number} " + "x" * 100) from error
        except ValueError as next_one:
            error = next_one
    stack = format_exception(error)
    assert len(stack) <= LONGEST_STACK
    assert stack.startswith("ValueError: ")
    assert "characters left out]..." in stack
    assert "in test_a_stack_is_cut_in_the_middle_with_a_mark" in stack[-1000:]


@pytest.mark.parametrize(
    "secret",
    [
        "token=" + "hidden" * 3000,
        "https://bob:" + "hidden" * 3000 + "@host/",
        "'password': '" + "hidden " * 3000 + "'",
        '"password": ["' + '", "'.join(["hidden"] * 3000) + '"]',
        "https://h/?next=https%3A%2F%2Fh%3Ftoken%3D" + "hidden" * 3000,
        "password='" + "hidden " * 3000 + "'",
    ],
    ids=lambda secret: secret[:20],
)
@pytest.mark.parametrize("before", [0, 3000, 8000, 8100, 8150, 10_000, 30_000])
def test_a_secret_that_the_cut_goes_through_is_not_shown(secret: str, before: int) -> None:
    for text in (f"{'a ' * (before // 2)}{secret} {'z ' * 5}", f"{'a ' * (before // 2)}{secret} {'z ' * 4000}"):
        shown = exception_message(ValueError(text), DEFAULT_REDACTED_QUERY_PARAMS)
        assert "hid" not in shown
        assert len(shown) <= LONGEST_VALUE


@pytest.mark.parametrize("size", [1_000, 60_000])
async def test_no_tag_is_longer_than_the_bound(
    size: int, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    class Answer(RequestHandler):
        def get(self) -> None:
            self.finish()

    names = ["uri", "query", "arguments", "headers", "full_url", "path"]
    init_tracing(
        recorder.tracer,
        traced_attributes=names,
        traced_request_headers=["X-Long"],
        operation_name=lambda handler: "x" * size * 2,
    )
    url = servers.start(Application([("/.*", Answer)]), max_header_size=1_000_000)
    await client.fetch(
        f"{url}/{'x' * (size // 3)}?a={'&key=' * 500}{'x' * (size // 3)}", headers={"X-Long": "x" * (size // 3)}
    )
    for span in recorder.finished:
        assert {name for name, value in span.tags.items() if len(str(value)) > LONGEST_VALUE} == set()
        assert len(span.name) <= LONGEST_VALUE
        assert set(names) <= span.tags.keys() or span.kind == "client"


# What the viewer keeps.


def test_what_the_applications_own_spans_say_of_an_exception_is_redacted_in_the_viewer() -> None:
    tracer = RecordingTracer()
    with pytest.raises(ValueError, match="see"), tracer.start_active_span("own"):
        raise ValueError(f"see {URL}")
    (log,) = tracer.traces()[0].spans[0].logs
    assert not [secret for secret in SECRETS if secret in repr(log.key_values)]
    assert "in test_what_the_applications_own_spans_say" in log.key_values["stack"]


def test_the_viewers_tracer_keeps_no_exceptions_own_text() -> None:
    """``error.object`` is the exception as it is; what is kept of it is shown in the browser."""
    tracer = RecordingTracer()
    with tracer.start_span("x") as span:
        span.log_kv({"event": "error", "error.object": ValueError(f"see {URL}")})
    (log,) = tracer.traces()[0].spans[0].logs
    assert "hid" not in repr(log.key_values)
    assert log.key_values["error.object"].endswith("&token=REDACTED")


def test_the_log_of_this_package_says_as_little(reports: list[logging.LogRecord]) -> None:
    from tornado_opentracing._guard import report

    for kind, (fail, _) in RAISING.items():
        try:
            made = fail()
            if made is not None:
                asyncio.run(made)
        except Exception:
            report(kind)
    texts = [logging.Formatter().format(record) for record in reports]
    assert len(texts) == len(RAISING)
    assert not [text for text in texts if any(secret in text for secret in SECRETS)]
