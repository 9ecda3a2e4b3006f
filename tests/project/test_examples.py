# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The examples, each executed as a program of its own."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from tornado.testing import bind_unused_port

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
ITEMS = ["tea", "coffee", "cocoa"]

# Colours, widths and encodings are those of a pipe, whatever terminal the tests run in.
_TERMINAL = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES", "PYTHONIOENCODING"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in _TERMINAL}
ENVIRONMENT |= {"PYTHONUTF8": "1", "OTEL_TRACES_EXPORTER": "none"}  # no collector listens here


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return finished(command(name, *arguments))


def finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@functools.cache
def output(name: str) -> str:
    """What an example prints."""
    result = run(name)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_example_runs_alone_and_says_how(name: str) -> None:
    assert output(name)
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text("utf-8"))) or ""
    assert f"python examples/{name}.py" in docstring


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("gather", "otlp")])
def test_an_example_is_shorter_than_sixty_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) < 60


# --- The small examples, which print "span 3, child of span 1: GET" and indented lines about it. ---


@dataclasses.dataclass
class Printed:
    id: str
    parent: str | None
    name: str
    about: str


def printed_spans(text: str) -> list[Printed]:
    pattern = r"^span (\d+), (?:child of span (\d+)|root of \w+ trace): (.+)\n((?: {4}.+\n)*)"
    return [Printed(id_, parent or None, name, about) for id_, parent, name, about in re.findall(pattern, text, re.M)]


def one(spans: Iterable[Printed], name: str, about: str = "") -> Printed:
    [span] = [span for span in spans if span.name == name and about in span.about]
    return span


def test_simple_shows_two_concurrent_fetches_as_siblings_above_their_handlers() -> None:
    text = output("simple")
    assert "The page: the head and the body\n" in text
    spans = printed_spans(text)
    assert len(spans) == 6
    assert all("status 200" in span.about for span in spans)
    root = one(spans, "GET", "/,")
    page = one(spans, "Page")
    assert (root.parent, page.parent) == (None, root.id)
    for part in ["/part/head", "/part/body"]:
        fetch = one(spans, "GET", part)
        assert fetch.parent == page.id
        assert one(spans, "Part", part).parent == fetch.id


def test_decorator_shows_spans_of_decorated_handlers_only_with_the_attributes_named() -> None:
    text = output("decorator")
    assert "/untraced: not traced\n" in text
    spans = printed_spans(text)
    assert [span.name for span in spans] == ["Plain", "WithAttributes", "work"]
    plain, with_attributes, work = spans
    assert (plain.parent, with_attributes.parent, work.parent) == (None, None, with_attributes.id)
    assert "    uri = /attributes?a=1\n    version = HTTP/1.1\n" in with_attributes.about
    assert "uri" not in plain.about


def test_client_shows_that_the_headers_sent_carry_each_fetch_of_its_own() -> None:
    text = output("client")
    spans = printed_spans(text)
    compare = one(spans, "compare")
    assert compare.parent is None
    for path in ["/one", "/two"]:
        fetch = one(spans, "GET", f"{path}\n")
        assert fetch.parent == compare.id
        assert "http.status_code = 200" in fetch.about
        assert re.search(rf"{path} received\n    Ot-Tracer-Traceid: \w+\n    Ot-Tracer-Spanid: {fetch.id}\n", text)
    refused = one(spans, "GET", "/three\n")
    assert (refused.parent, "error = True" in refused.about) == (None, True)


def test_client_has_no_part_in_tornado_web() -> None:
    assert not re.search(r"^\s*(from|import) tornado\.web", (EXAMPLES / "client.py").read_text("utf-8"), re.M)


# --- The demo. ---


@functools.cache
def demonstration() -> list[str]:
    """What the demo prints under the command, as ``nox -s demo`` runs it: before the loop is blocked, and then."""
    result = finished([sys.executable, "-m", "tornado_opentracing", "--port=0", str(EXAMPLES / "gather.py")])
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"tornado_opentracing: the traces are at http://127\.0\.0\.1:\d+/-/traces\n", result.stderr)
    before, heading, after = result.stdout.partition("Another one asks for a page")
    return [before, heading + after]


@dataclasses.dataclass
class Line:
    """A span as the demo draws it."""

    path: tuple[str, ...]
    service: str
    milliseconds: float
    bar: tuple[int, int]
    blocked: float  #: How much of it, from 0 to 1.

    @property
    def parent(self) -> tuple[str, ...]:
        return self.path[:-1]


def drawn(text: str) -> list[Line]:
    """The lines of one trace; each with the names of the spans from the root to this one."""
    lines: list[Line] = []
    path: list[str] = []
    for line in text.splitlines():
        match = re.fullmatch(r"([│├└─ ]*)(.*\S) {2,}(\w+) +([0-9.]+)  ( *)([━▒]+) *", line)
        if match:
            tree, name, service, milliseconds, blank, bar = match.groups()
            path[len(tree) // 3 :] = [name]
            place = len(blank), len(blank) + len(bar)
            lines.append(Line(tuple(path), service, float(milliseconds), place, bar.count("▒") / len(bar)))
    return lines


def drawn_traces(text: str) -> dict[str, list[Line]]:
    """The traces in what the demo printed, by the path of the page that they are about."""
    _, *parts = re.split(r"^(/.*) - spans: ", text, flags=re.M)
    return {path: drawn(rest) for path, rest in zip(parts[::2], parts[1::2], strict=True)}


def expected(item: str) -> list[tuple[tuple[str, ...], str]]:
    """Every span of a page: the names from the page down to it, and its service."""
    failed = item == "cocoa"
    page = ("ProductPage",)
    price = (*page, f"GET /price/{item}", "Price")
    discount = (*page, f"GET /discount/{item}" + " ✗ 500" * failed)
    tree = [
        (page, "shop"),
        ((*page, f"GET /stock/{item}"), "shop"),
        ((*page, f"GET /stock/{item}", "Stock"), "stock"),
        (price[:2], "shop"),
        (price, "prices"),
        ((*price, "read price list"), "prices"),
        ((*price, f"GET /stock/{item}"), "prices"),
        ((*price, f"GET /stock/{item}", "Stock"), "stock"),
        (discount, "shop"),
        ((*discount, "Discount" + " ✗ 500 KeyError" * failed), "prices"),
        ((*page, f"GET /reviews/{item}"), "shop"),
        ((*page, f"GET /reviews/{item}", "Reviews"), "reviews"),
        ((*page, f"GET /reviews/{item}", "Reviews", "count stars"), "reviews"),
        ((*page, "recommend"), "shop"),
        ((*page, "render page"), "shop"),
    ]
    if item == "coffee":
        first_try = (*page, "GET /price/coffee ✗ 503", "Price ✗ 503 HTTPError", "read price list")
        tree += [(first_try[:2], "shop"), (first_try[:3], "prices"), (first_try, "prices")]
    for other in ITEMS:
        if other != item:
            fetch = (*page, "recommend", f"GET /stock/{other}")
            tree += [(fetch, "shop"), ((*fetch, "Stock"), "stock")]
    return tree


@pytest.mark.parametrize("item", ITEMS)
def test_the_demo_draws_each_span_beneath_the_one_that_caused_it(item: str) -> None:
    """Concurrent children are siblings, and each handler is beneath the fetch that it answered, in another service."""
    lines = drawn_traces(demonstration()[0])[f"/{item}"]
    root = (f"GET /{item}",)
    beneath = [((*root, *path), service) for path, service in expected(item)]
    assert sorted((line.path, line.service) for line in lines) == sorted([(root, "browser"), *beneath])


def test_the_demo_marks_what_failed_and_nothing_else() -> None:
    """The page, which goes without the discount, has not failed."""
    tree = demonstration()[0].partition("✗")[2].partition("\n")[2]  # what comes after the legend
    assert re.findall(r"(\w+(?: /\S+)?) (✗.*?)  ", tree) == [
        ("GET /price/coffee", "✗ 503"),
        ("Price", "✗ 503 HTTPError"),
        ("GET /discount/cocoa", "✗ 500"),
        ("Discount", "✗ 500 KeyError"),
    ]
    assert "/cocoa - spans: 20, failed: 2 " in tree
    assert "/tea - spans: 20 " in tree


@pytest.mark.parametrize("item", ITEMS)
def test_the_demo_shows_by_bars_what_ran_at_the_same_time(item: str) -> None:
    lines = {line.path: line for line in drawn_traces(demonstration()[0])[f"/{item}"]}
    for line in lines.values():
        if line.parent:
            parent = lines[line.parent]
            assert line.milliseconds <= parent.milliseconds
            assert parent.bar[0] <= line.bar[0] < line.bar[1] <= parent.bar[1] + 1
    page = (f"GET /{item}", "ProductPage")
    lines.pop((*page, "GET /price/coffee"), None)  # the second try
    *concurrent, render = [line.bar for line in lines.values() if line.parent == page]
    assert len(concurrent) == 5
    assert max(begin for begin, _ in concurrent) <= min(end for _, end in concurrent)
    assert render[0] >= max(end for _, end in concurrent) - 1


def test_the_demo_shows_each_message_of_a_websocket_as_a_trace_of_its_own() -> None:
    _, *parts = re.split(r"^(/.*) - spans: ", demonstration()[0], flags=re.M)
    basket = [drawn(rest) for path, rest in zip(parts[::2], parts[1::2], strict=True) if path == "/basket"]
    paths = sorted([line.path for line in lines] for lines in basket)
    message = ("Basket.on_message",)
    fetches = [(*message, f"GET /stock/{item}") for item in ("cocoa", "tea")]
    assert paths == [
        [("Basket.on_close",)],
        *([message, fetch, (*fetch, "Stock")] for fetch in fetches),
        [("Basket.open",)],
        [("GET /basket",), ("GET /basket", "Basket")],
    ]


def test_the_demo_shows_who_blocked_the_loop_and_who_waited() -> None:
    traces = drawn_traces(demonstration()[1])
    assert set(traces) == {"/tea", "/receipt/cocoa"}
    assert not [line for trace in drawn_traces(demonstration()[0]).values() for line in trace if line.blocked]
    printing = traces["/receipt/cocoa"][-1]
    assert printing.path[-1] == "print receipt"
    assert printing.milliseconds >= 150
    assert printing.blocked > 0.8
    assert 0.2 < traces["/tea"][0].blocked < 1


def test_the_demo_explains_itself_and_fits_a_page_without_colours() -> None:
    text = "".join(demonstration())
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    legend = text.partition("/tea - spans")[0]
    for word in ["A shop's product page", "lines", "bars", "✗", "It failed.", "▒", "blocked"]:
        assert word in legend
    assert "--serve" in text


# --- The demo, kept up. ---


@contextlib.contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``gather.py --serve`` on a free port, and its URL."""
    # A job in the background of a shell ignores SIGINT, and so would what it starts.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command("gather", "--serve", "--port", "0"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=ENVIRONMENT,
    )
    signal.signal(signal.SIGINT, handler)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        invitation = "".join(lines_until(process, "Ctrl-C"))
        found = re.search(r"Open (http://127\.0\.0\.1:\d+)/tea ", invitation)
        assert found, invitation
        yield process, found[1]
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], last: str) -> Iterator[str]:
    """Lines of a program's output, up to the first with ``last`` in it."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if last in line:
            return


def next_trace(process: subprocess.Popen[str]) -> tuple[str, list[Line]]:
    """The heading and the spans of the next trace that is drawn; an empty line ends it."""
    *_, heading = lines_until(process, "- spans:")
    assert process.stdout is not None
    return heading, drawn("".join(iter(process.stdout.readline, "\n")))


def fetch(url: str, headers: dict[str, str] | None = None) -> int:
    """The status of a response; from ``urllib``, which nothing traces."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def fetch_or_fail(url: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        fetch(url)


def test_serve_draws_each_request_that_it_gets() -> None:
    with serving() as (process, url):
        for path, item in [("/cocoa", "cocoa"), ("/", "tea")]:
            assert fetch(url + path) == 200
            heading, lines = next_trace(process)
            assert heading.startswith(f"{path} - spans: 19")
            assert sorted((line.path, line.service) for line in lines) == sorted(expected(item))


def test_serve_draws_requests_that_match_no_route_or_come_from_elsewhere() -> None:
    """A 404 is no failure; a parent that is in another process does not hide the spans that are here."""
    with serving() as (process, url):
        assert fetch(f"{url}/milk?a=http://b/c", {"traceparent": f"00-{1:032x}-{2:016x}-01"}) == 404
        heading, lines = next_trace(process)
        assert heading.startswith("/milk - spans: 1 ")
        assert [line.path for line in lines] == [("ErrorHandler 404",)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_ctrl_c_ends_serve_cleanly(busy: bool) -> None:
    with serving() as (process, url):
        client = threading.Thread(target=fetch_or_fail, args=(f"{url}/tea",))
        if busy:
            client.start()
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=30)
        if busy:
            client.join()
    assert process.returncode == 0, errors
    assert errors == ""
    assert text.endswith("Closed.\n")


def test_a_port_in_use_is_one_clear_line() -> None:
    socket, port = bind_unused_port()
    with socket:
        result = run("gather", "--serve", "--port", str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(
        rf"Cannot listen on port {port} \(.*in use.*\)\. Choose another one with --port\.\n", result.stderr
    )


def test_a_port_that_does_not_exist_is_refused() -> None:
    """Some systems would take 70000 for 4464."""
    result = run("gather", "--serve", "--port", "70000")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith("error: there is no port 70000\n")


SPAN_LINE = re.compile(r"^span (\d+), (?:child of span (\d+)|root of the trace): (.*)$", re.MULTILINE)


def tree_of(text: str) -> list[tuple[str, str]]:
    """Each span's name and that of its parent, as an example printed them."""
    found = SPAN_LINE.findall(text)
    names = {span: name for span, _, name in found}
    return [(name, names.get(parent, "")) for _, parent, name in found]


def test_websocket_shows_every_message_as_a_trace_of_its_own() -> None:
    assert tree_of(output("websocket")) == [
        ("GET", ""),
        ("Echo", "GET"),
        ("Echo.open", ""),
        ("Echo.on_message", ""),
        ("think", "Echo.on_message"),
        ("Echo.on_message", ""),
        ("think", "Echo.on_message"),
        ("Echo.on_close", ""),
    ]
    assert "    text, 5 bytes" in output("websocket")
    assert "    binary, 5 bytes" in output("websocket")


def test_streaming_shows_every_chunk_in_its_span() -> None:
    text = output("streaming")
    tree = tree_of(text)
    assert tree[:3] == [("upload", ""), ("PUT", "upload"), ("Upload", "PUT")]
    assert set(tree[3:]) == {("store chunk", "Upload")}
    assert "The client received b'stored, '" in text
    assert "in no span" not in text


def test_executor_shows_what_ran_in_threads_beneath_its_request() -> None:
    tree = [(name.partition(" (")[0], parent.partition(" (")[0]) for name, parent in tree_of(output("executor"))]
    assert tree == [
        ("ByTornado", ""),
        ("in Tornado's thread", "ByTornado"),
        ("ByAsyncio", ""),
        ("in asyncio's thread", "ByAsyncio"),
        ("in a decorated method", "ByAsyncio"),
    ]
    assert output("executor").count("(event loop)") == 2
