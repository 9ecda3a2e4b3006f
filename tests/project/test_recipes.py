# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the recipes of the documentation are for, they achieve: each is run as it stands on its page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Servers
from support.pages import DOCS, blocks_of, environment, run_page, run_script, text_of
from support.ports import free_port
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.web import Application, RequestHandler
from tornado.websocket import websocket_connect

import tornado_opentracing
from tornado_opentracing import ContextVarsScopeManager, init_tracing

PACKAGE = str(Path(tornado_opentracing.__file__).parents[1])


async def finished(tracer: Any, *names: str) -> dict[str, Any]:
    """The newest spans of these names, once there are such; other spans may be finished, too."""
    await until(lambda: {span.operation_name for span in tracer.finished_spans()} >= set(names))
    return {span.operation_name: span for span in tracer.finished_spans()}


def server_spans(tracer: Any) -> list[Any]:
    return [span for span in tracer.finished_spans() if span.tags.get("span.kind") == "server"]


# --- Programs that a reader pastes and starts. ---


def test_the_first_application_prints_what_readme_says(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(blocks_of("README.md")[0].replace("8888", str(free_port())), encoding="utf-8")
    spans = [line.split() for line in run_script(script).stdout.splitlines()]
    by_id = {span: (name, parent) for name, _, span, _, parent in spans}
    assert len(by_id) == 8
    assert sorted((name, by_id.get(parent, ("", ""))[0]) for name, parent in by_id.values()) == [
        ("GET", ""),
        *[("GET", "Page")] * 3,
        *[("Item", "GET")] * 3,
        ("Page", "GET"),
    ]


SHOW = """
async def look(recording):
    shown = asyncio.create_task(show())
    await asyncio.sleep(0)
    await AsyncHTTPClient().fetch("http://127.0.0.1:8888/")
    while not any("Page" in str(trace.spans) for trace in recording.traces()):
        await asyncio.sleep(0.01)
    print((await AsyncHTTPClient().fetch("http://127.0.0.1:8888/-/traces")).code)
    shown.cancel()
"""


def test_readme_goes_on_to_the_viewer_and_to_opentelemetry(tmp_path: Path) -> None:
    first, viewer, opentelemetry = blocks_of("README.md")
    script = tmp_path / "first.py"
    program = first.replace("asyncio.run(main())", "") + viewer + SHOW + "asyncio.run(look(recording))" + opentelemetry
    script.write_text(program.replace("8888", str(free_port())), encoding="utf-8")
    assert run_script(script).stdout.splitlines() == ["200"]


def test_the_tutorial_shows_what_it_says(tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    program = "".join(blocks_of("tutorial.md")) + SHOW + "asyncio.run(look(tracer))"
    script.write_text(program.replace("8888", str(free_port())), encoding="utf-8")
    output = run_script(script, check=False).stdout
    answers = re.findall(r"^(\d{3})\b ?(.*)$", output, re.MULTILINE)
    assert [code for code, _ in answers] == ["200", "200", "500", "200", "200", "200"]
    assert [text for code, text in answers if code == "200"] == [
        *["tea: 3, coffee: 4"] * 2,
        "[(12,)]",
        "tea: 3, coffee: 4",
        "",
    ]
    drawn = [re.split(r"(?<=\S)  ", line)[0] for line in output.splitlines() if "━" in line]
    (picture,) = re.findall(r"```text\n(.*?)```", text_of("tutorial.md"), re.DOTALL)
    expected = [re.split(r"(?<=\S)  ", line)[0] for line in picture.splitlines()]
    assert drawn[: len(expected)] == expected
    assert "'http.status_code': 500" in output
    assert "'cocoa'" in output
    assert "└─ query stock" in output


LOGGED = """
from opentracing.mocktracer import MockTracer
from tornado_opentracing import ContextVarsScopeManager, init_tracing
tracer = MockTracer(scope_manager=ContextVarsScopeManager())
init_tracing(tracer)
with tracer.start_active_span("work") as scope:
    logging.getLogger("shop.stock").info("within")
    print(f"{scope.span.context.trace_id:032x} {scope.span.context.span_id:016x}")
logging.getLogger("shop.stock").info("outside")
"""


@pytest.mark.parametrize("number", [0, 1, 2], ids=["basicConfig", "handlers that are there", "dictConfig"])
def test_a_log_has_the_ids_of_its_trace(number: int, tmp_path: Path) -> None:
    recipe = blocks_of("logs.md")[number]
    if number == 1:
        imports = "import logging\nfrom tornado_opentracing import TraceIdFilter\n"
        recipe = imports + "logging.basicConfig(level=logging.INFO)\n" + recipe
    script = tmp_path / "log.py"
    script.write_text(recipe.lstrip() + LOGGED, encoding="utf-8")
    result = run_script(script)
    trace_id, span_id = result.stdout.split()
    within, outside = result.stderr.splitlines()
    assert trace_id in within
    assert within.endswith("within")
    assert "0" * 32 in outside
    assert number == 1 or span_id in within
    assert number != 2 or "shop" in within


def test_the_test_case_passes_as_it_stands(tmp_path: Path) -> None:
    script = tmp_path / "greeting_test.py"
    script.write_text("".join(blocks_of("testing.md")[:2]) + "\n\nimport unittest\nunittest.main()\n", encoding="utf-8")
    result = run_script(script, check=False)
    assert result.returncode == 0, result.stderr
    assert "Ran 2 tests" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_server_that_forks_sends_every_span_before_it_ends(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "server.py"
    script.write_text(blocks_of("processes.md")[1].replace("8888", str(port)), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(script)],
        # Unbuffered, a span is one write: those of two processes do not get mixed up.
        env=environment(PYTHONPATH=PACKAGE, OTEL_TRACES_EXPORTER="console", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    answers: list[bytes] = []
    try:
        deadline = time.monotonic() + 60
        # Until both have answered, and so are ready to be told to stop.
        while len(set(answers)) < 2:
            assert time.monotonic() < deadline
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
                    answers.append(response.read())
            except OSError:
                time.sleep(0.02)
        os.killpg(process.pid, signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    decoder, spans, rest = json.JSONDecoder(), [], output.strip()
    while rest:
        span, end = decoder.raw_decode(rest)
        spans.append(span["name"])
        rest = rest[end:].strip()
    assert spans == ["GET /"] * len(answers), errors


# --- Recipes for handlers. ---


async def test_a_user_is_on_the_span_of_a_request_that_asked(servers: Servers, client: AsyncHTTPClient) -> None:
    page = run_page("names-and-tags.md")
    asked: list[str] = []

    account: Any = page["Account"]

    class Silent(account):  # type: ignore[misc]
        def get_current_user(self) -> None:
            asked.append("nobody did")

        def get(self) -> None:
            self.write("nothing")

    url = servers.start(Application([("/account", page["Account"]), ("/silent", Silent)]))
    await client.fetch(f"{url}/account", headers={"Cookie": "user=ann", "X-Tenant": "acme"})
    await client.fetch(f"{url}/silent", headers={"Cookie": "user=ann"})
    spans = await finished(page["tracer"], "GET /account", "GET /silent")
    assert spans["GET /account"].tags["user.id"] == "ann"
    assert spans["GET /account"].tags["tenant"] == "acme"
    assert spans["GET /account"].tags["tornado.handler"] == "Account"
    assert spans["GET /account"].context.baggage == {"origin": "shop"}
    assert "user.id" not in spans["GET /silent"].tags
    assert asked == []
    await until(lambda: len(page["tracer"].finished_spans()) == 4)
    fetches = [span for span in page["tracer"].finished_spans() if span.tags["span.kind"] == "client"]
    assert all("http.queued_seconds" in span.tags for span in fetches)


class Hello(RequestHandler):
    def get(self) -> None:
        self.write("hello")


async def test_what_is_excluded_has_no_span(servers: Servers, client: AsyncHTTPClient) -> None:
    page = run_page("exclude.md")
    url = servers.start(Application([("/.*", Hello)]))
    await client.fetch(f"{url}/metrics")
    spans = await finished(page["tracer"], "Hello")
    assert spans.keys() == {"Hello"}

    namespace: dict[str, Any] = {}
    exec(blocks_of("exclude.md")[0], namespace)
    for path, agent in [("/health", "a browser"), ("/static/a.css", "a browser"), ("/", "kube-probe"), ("/", "curl")]:
        await client.fetch(f"{url}{path}", user_agent=agent)
    await until(lambda: server_spans(namespace["tracer"]))
    assert [span.tags["http.url"] for span in server_spans(namespace["tracer"])] == ["/"]


async def test_a_proxy_says_whose_request_it_is(client: AsyncHTTPClient) -> None:
    page = run_page("proxy.md")
    tracer = page["tracer"]
    server = page["listen"](0)
    (socket,) = server._sockets.values()
    url = f"http://127.0.0.1:{socket.getsockname()[1]}/"
    for headers in ({"X-Real-Ip": "203.0.113.7", "X-From": "our-proxy"}, {"X-Real-Ip": "203.0.113.8"}):
        with tracer.start_active_span("caller"):
            await client.fetch(url, headers=headers)
    await until(lambda: len(server_spans(tracer)) == 2)
    server.stop()
    ours, strangers = server_spans(tracer)
    assert [span.tags["peer.ipv4"] for span in (ours, strangers)] == ["203.0.113.7", "203.0.113.8"]
    assert "peer.port" not in ours.tags
    assert ours.parent_id is not None
    assert strangers.parent_id is None


async def test_a_task_from_a_queue_is_in_the_trace_that_sent_it() -> None:
    page = run_page("processes.md")
    with page["tracer"].start_active_span("request") as scope:
        task = page["task_for_queue"]("ship")
    page["run_from_queue"](json.loads(json.dumps(task)))
    page["run_from_queue"](page["task_for_queue"]("alone"))
    spans = await finished(page["tracer"], "ship", "alone")
    assert spans["ship"].parent_id == scope.span.context.span_id
    assert spans["alone"].parent_id is None


async def test_a_library_is_traced_with_what_counts_there(servers: Servers, client: AsyncHTTPClient) -> None:
    page = run_page("libraries.md")
    await page["cached_query"]("without any tracing")
    tracer = MockTracer(ContextVarsScopeManager())
    init_tracing(tracer)

    class Page(RequestHandler):
        async def get(self) -> None:
            await page["cached_query"]("SELECT 1")

    await client.fetch(servers.start(Application([("/", Page)])))
    spans = await finished(tracer, "query", "cached query", "Page")
    assert spans["query"].parent_id == spans["cached query"].context.span_id
    assert spans["cached query"].parent_id == spans["Page"].context.span_id
    assert spans["query"].tags == {"db.statement": "SELECT 1"}


@pytest.mark.parametrize("installed", [None, ModuleType("tornado_opentracing")], ids=["nothing", "version 1"])
def test_a_library_works_where_this_package_is_not(
    installed: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where it has None, to import it fails.
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    monkeypatch.setitem(modules, "tornado_opentracing", installed)
    page: dict[str, Any] = {}
    exec(blocks_of("libraries.md")[1], page)
    with page["span"]("alone") as nothing:
        assert nothing is None


async def test_work_that_a_request_does_not_own_is_no_part_of_it(servers: Servers, client: AsyncHTTPClient) -> None:
    page = run_page("background-work.md")
    application: Any = Application([("/", page["Order"])])
    await client.fetch(servers.start(application), method="POST", body="")
    await application.job
    await application.other_job
    spans = await finished(page["tracer"], "ship", "ship later", "Order")
    assert spans["ship"].parent_id is None
    assert spans["ship later"].parent_id == spans["Order"].context.span_id


@pytest.mark.parametrize(
    ("name", "handler", "method", "body", "answer", "child"),
    [
        ("threads.md", "Report", "GET", None, b"a report", "build report"),
        ("streaming.md", "Upload", "PUT", "12345", b"5 bytes", "store chunk"),
        ("single-handlers.md", "Story", "GET", None, b"a story", None),
    ],
)
async def test_a_handler_answers_and_has_its_spans(
    name: str,
    handler: str,
    method: str,
    body: str | None,
    answer: bytes,
    child: str | None,
    servers: Servers,
    client: AsyncHTTPClient,
) -> None:
    page = run_page(name)
    response = await client.fetch(servers.start(Application([("/", page[handler])])), method=method, body=body)
    assert response.body == answer
    spans = await finished(page["tracer"], handler, *[child] if child else [])
    if child:
        assert spans[child].parent_id == spans[handler].context.span_id
    else:
        assert spans[handler].tags["reader"] == "anonymous"
        assert spans[handler].tags["uri"] == "/"
    if "executor" in page:
        page["executor"].shutdown()


async def test_each_message_of_a_websocket_has_a_span(servers: Servers) -> None:
    page = run_page("websockets.md")
    url = servers.start(Application([("/", page["Echo"])]))
    connection = await websocket_connect(url.replace("http", "ws"))
    await connection.write_message("hello")
    assert await connection.read_message() == "hello"
    connection.close()
    spans = await finished(page["tracer"], "Echo", "Echo.on_message", "Echo.on_close")
    assert spans["Echo.on_message"].tags["websocket.message.size"] == 5


async def test_what_is_secret_is_redacted(servers: Servers, client: AsyncHTTPClient) -> None:
    page = run_page("secrets.md")
    headers = {"X-Request-Id": "17", "Cookie": "session=1"}
    await client.fetch(servers.start(Application([("/", Hello)])) + "/?ticket=hidden&token=too&page=2", headers=headers)
    span = (await finished(page["tracer"], "Hello"))["Hello"]
    assert span.tags["http.url"] == "/?ticket=REDACTED&token=REDACTED&page=2"
    assert span.tags["http.request.header.cookie"] == "REDACTED"
    assert span.tags["http.request.header.x-request-id"] == "17"
    assert span.tags["http.response.header.content-type"].startswith("text/html")


async def test_a_public_service_keeps_its_traces(servers: Servers, client: AsyncHTTPClient) -> None:
    namespace: dict[str, Any] = {}
    exec(blocks_of("boundaries.md")[0], namespace)
    tracer = namespace["tracer"]
    url = servers.start(Application([("/.*", Hello)]))
    elsewhere: dict[str, str] = {}
    tracer.inject(tracer.start_span("a stranger's").context, "http_headers", elsewhere)
    response = await client.fetch(HTTPRequest(url, headers=dict(elsewhere)))
    await client.fetch(f"{url}/metrics")
    await until(lambda: len(server_spans(tracer)) == 2)
    assert [span.parent_id for span in server_spans(tracer)] == [None, None]
    fetches = [span for span in tracer.finished_spans() if span.tags["span.kind"] == "client"]
    assert len(fetches) == 1
    assert not any(name.lower().startswith("ot-tracer") for name in response.headers)
    exec(blocks_of("boundaries.md")[1], namespace)
    response = await client.fetch(url)
    assert any(name.lower().startswith("ot-tracer") for name in response.headers)


async def test_a_template_has_a_span() -> None:
    from tornado.template import Template

    page = run_page("templates.md")
    Template("hello", name="page.html").generate()
    assert (await finished(page["tracer"], "render page.html"))["render page.html"]


async def test_both_apis_are_in_one_trace(
    servers: Servers, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    page = run_page("opentracing.md")
    seen: list[Any] = []

    basket: Any = page["Basket"]

    class Basket(basket):  # type: ignore[misc]
        async def get(self) -> None:
            seen.append(page["otel"].get_current_span().get_span_context())
            await super().get()

    response = await client.fetch(servers.start(Application([("/", Basket)])))
    assert response.body == b"3 pieces"
    assert seen[0].is_valid


# --- The reference. ---


def hooks_listed() -> list[tuple[str, str]]:
    """Each hook of the table, in order, and what is active there."""
    rows = re.findall(r"^\| \d+ \| (.*?) \| \w+'?s? \| (.*?) \|", text_of("hooks.md"), re.MULTILINE)
    return [(name.partition("`")[2].partition("`")[0], active) for name, active in rows]


def test_the_picture_of_the_hooks_has_what_the_table_has() -> None:
    drawn = re.findall(r">(\d+)  ([a-z_]+)", (DOCS / "hooks.svg").read_text(encoding="utf-8"))
    assert drawn == [(str(number), name) for number, (name, _) in enumerate(hooks_listed(), 1)]


async def test_the_hooks_fire_in_the_order_and_place_that_the_table_says(
    servers: Servers, client: AsyncHTTPClient
) -> None:
    fired: list[tuple[str, str]] = []
    tracer: Any = MockTracer(ContextVarsScopeManager())

    def note(name: str, result: Any = None) -> Callable[..., Any]:
        def hook(*arguments: Any, **_: Any) -> Any:
            span = tracer.active_span
            fired.append((name, "nothing" if span is None else "the request's span"))
            return result

        return hook

    class Page(RequestHandler):
        set_default_headers = note("set_default_headers")
        initialize = note("initialize")
        prepare = note("prepare")
        log_exception = note("log_exception")
        on_finish = note("on_finish")

        async def get(self) -> None:
            note("get")()
            await client.fetch(f"{elsewhere}/")
            raise ValueError

        def write_error(self, status_code: int, **_: Any) -> None:
            note("write_error")()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    other = await asyncio.start_server(answer, "127.0.0.1")
    elsewhere = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    init_tracing(
        tracer,
        start_span_cb=note("start_span_cb"),
        finish_span_cb=note("finish_span_cb"),
        operation_name=note("operation_name", "page"),
        request_filter=note("request_filter"),
        accept_parent=note("accept_parent", True),
        client_filter=note("client_filter"),
        propagation_filter=note("propagation_filter"),
    )
    url = servers.start(Application([("/", Page)], log_function=note("log_function")))
    headers: dict[str, str] = {}
    tracer.inject(tracer.start_span("caller").context, "http_headers", headers)
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    lines = [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(["GET / HTTP/1.1", "Host: localhost", *lines, "", ""]).encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    await until(lambda: len(tracer.finished_spans()) == 2)
    other.close()
    await other.wait_closed()
    listed = hooks_listed()
    assert [name for name, _ in fired] == [name for name, _ in listed]
    # Where the callback of a fetch that is over runs is not promised.
    assert [seen for seen, said in zip(fired, listed, strict=True) if said[1] not in (seen[1], "not defined")] == []


def test_the_settings_table_lists_every_option() -> None:
    from tornado_opentracing._settings.options import _CHECKS

    table = text_of("settings.md").partition("## Which one counts")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(_CHECKS) | {"tracer"}
