# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the pages answer, and to whom."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Servers
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, websocket_connect
from viewer.serving import PREFIX, Plain, get, serve, spans

from tornado_opentracing import init_tracing
from tornado_opentracing.viewer import RecordingTracer, _listing, _live, _pages, viewer_routes
from tornado_opentracing.viewer._page import HEADERS


@pytest.mark.parametrize("path", ["", "/", "/live", "/static/viewer.css", "/static/trace.js", "/1", "/1.json"])
async def test_outside_of_debug_mode_nothing_is_shown_unless_allow_says_so(
    servers: Servers, tracer: RecordingTracer, path: str, caplog: pytest.LogCaptureFixture, reports: list[Any]
) -> None:
    asked: list[str] = []

    def allow(request: Any) -> bool:
        asked.append(request.path)
        return "token" in request.arguments

    closed = serve(servers, tracer, debug=False)
    response = await get(f"{closed}{PREFIX}{path}")
    assert response.code == 403
    assert b"viewer_routes needs allow=" in response.body
    assert "viewer_routes needs allow=" in caplog.text
    guarded = serve(servers, tracer, debug=True, allow=allow)
    assert (await get(f"{guarded}{PREFIX}{path}")).code == 403
    assert (await get(f"{guarded}{PREFIX}{path}?token=1")).code != 403
    assert asked == [f"{PREFIX}{path}"] * 2
    assert len(reports) == 2


async def test_every_answer_forbids_what_the_pages_do_not_need(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    tracer.start_span("work").finish()
    trace = f"/{tracer.traces()[0].trace_id:x}"
    for path in ["", trace, f"{trace}.json", "/static/trace.js", "/static/viewer.css", "/0"]:
        response = await get(f"{url}{PREFIX}{path}")
        for name, value in HEADERS.items():
            assert response.headers[name] == (value if "static" not in path or name != "Cache-Control" else "no-cache")
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("prefix", ["/träces", "/my traces", '/a"b', "traces", "/", "", "/a/", "/a?b", "//a"])
def test_a_prefix_that_is_no_path_is_refused(tracer: RecordingTracer, prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        viewer_routes(tracer, prefix)


async def says_no(_: Any) -> bool:
    return False


@pytest.mark.parametrize("allow", [True, says_no])
def test_an_allow_that_cannot_be_asked_is_refused(tracer: RecordingTracer, allow: Any) -> None:
    with pytest.raises(TypeError, match="allow"):
        viewer_routes(tracer, allow=allow)


def test_another_tracer_is_refused() -> None:
    other: Any = MockTracer()
    with pytest.raises(TypeError, match="tracer"):
        viewer_routes(other)


@pytest.mark.parametrize("path", ["", "/live", "/static/trace.js"])
async def test_an_allow_that_answers_with_a_coroutine_or_raises_lets_nobody_in(
    servers: Servers, tracer: RecordingTracer, path: str
) -> None:
    for allow in (lambda _: asyncio.ensure_future(says_no(_)), lambda _: 1 / 0):
        url = serve(servers, tracer, allow=allow)
        response = await get(f"{url}{PREFIX}{path}")
        assert (response.code, response.body) == (500, b"The trace viewer failed.\n")


async def test_the_viewers_own_requests_are_not_traced(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer, prefix="/see")
    tracer.start_span("work").finish()
    for path in ["/see", "/see/static/trace.js", f"/see/{tracer.traces()[0].trace_id:x}", "/see/0", "/see?page=x"]:
        await get(url + path)
    connection = await websocket_connect(url.replace("http", "ws") + "/see/live")
    assert "work" in str(await connection.read_message())
    connection.close()
    await get(f"{url}/")
    await until(lambda: len(tracer.traces()) == 2)
    assert [trace.spans[0].operation_name for trace in tracer.traces()] == ["Plain", "work"]


async def test_what_is_fetched_to_allow_a_view_is_not_traced(servers: Servers, tracer: RecordingTracer) -> None:
    answers = servers.start(Application([("/", Plain)], opentracing_trace_all=False))
    fetches: list[asyncio.Task[HTTPResponse]] = []

    def allow(request: object) -> bool:
        asyncio.get_running_loop().call_soon(lambda: fetches.append(asyncio.create_task(get(answers))))
        return True

    url = serve(servers, tracer, allow=allow)
    init_tracing(tracer)
    await get(f"{url}{PREFIX}")
    await until(lambda: fetches)
    await asyncio.gather(*fetches)
    # The test's own.
    assert [span.tags["http.url"] for span in spans(tracer)] == [f"{url}{PREFIX}"]


# What is shown


async def test_the_address_says_what_is_listed_and_in_which_order(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    await get(f"{url}/")
    await get(f"{url}/raises")
    tracer.start_span("slow", start_time=1).finish(2)
    await until(lambda: len(tracer.finished_spans()) == 3)
    for query, names in {
        "": ["slow", "Raises", "Plain"],
        "q=PLAIN": ["Plain"],
        "q=%2Frai": ["Raises"],
        "q=status%3A5xx": ["Raises"],
        "q=duration%3A>999ms": ["slow"],
        "sort=-duration&q=": ["slow"],
        "sort=errors&q=http.method%3Dget": ["Plain", "Raises"],
        "sort=nothing&page=x": ["slow", "Raises", "Plain"],
        "page=2": [],
    }.items():
        for path in ("/list.json", ""):
            body = (await get(f"{url}{PREFIX}{path}?{query}")).body.decode()
            data = json.loads(body if path else body.partition('id="data">')[2].partition("</script>")[0])
            found = [data["rows"][trace_id]["operation"] for trace_id in data["order"]]
            assert found[: len(names)] == names, query


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '" onmouseover="x', "</script><b>", "{{ 1 }}", "&lt;"]
)
async def test_everything_recorded_is_escaped(servers: Servers, hostile: str) -> None:
    tracer = RecordingTracer(service=hostile)
    url = serve(servers, tracer)
    tags = {hostile: hostile, "http.url": hostile, "http.status_code": hostile}
    with tracer.start_active_span(hostile, tags=tags) as scope:
        scope.span.log_kv({hostile: hostile, "event": "error", "error.kind": hostile})
        scope.span.set_baggage_item(hostile, hostile)
    trace_id = f"{tracer.traces()[0].trace_id:x}"
    for path in [f"/{trace_id}", "/operations", ""]:
        body = (await get(f"{url}{PREFIX}{path}")).body.decode()
        assert "<script>alert" not in body
        assert "</script><b>" not in body
        assert '" onmouseover' not in body.partition('id="data">')[0]
    data = body.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data
    assert json.loads(data)["rows"][trace_id]["operation"] == hostile
    answer = await get(f"{url}{PREFIX}/{trace_id}.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body)["spans"][0]["tags"][hostile] == hostile
    query = HTTPRequest(f"{url}{PREFIX}?q=%22%3E%3Cscript%3Ealert(1)")
    assert "<script>alert" not in (await AsyncHTTPClient().fetch(query)).body.decode()


async def test_a_trace_can_be_downloaded(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    await get(f"{url}/raises")
    await until(lambda: len(tracer.finished_spans()) == 1)
    trace_id = f"{tracer.traces()[0].trace_id:x}"
    response = await get(f"{url}{PREFIX}/{trace_id}.json")
    assert response.headers["Content-Disposition"] == f'attachment; filename="trace-{trace_id}.json"'
    (span,) = json.loads(response.body)["spans"]
    assert (span["operation_name"], span["tags"]["http.status_code"], span["finished"]) == ("Raises", 500, True)
    assert span["logs"][0]["fields"]["error.kind"] == "KeyError"


@pytest.mark.parametrize("path", ["/0", "/f.json", "/xyz", "/static/../_text.py", "/static/base.html", "/" + "1" * 33])
async def test_what_is_not_there_is_not_found(servers: Servers, tracer: RecordingTracer, path: str) -> None:
    assert (await get(f"{serve(servers, tracer)}{PREFIX}{path}")).code == 404


async def test_the_list_is_live(servers: Servers, tracer: RecordingTracer) -> None:
    """Rows come when they change, filtered as asked for."""
    url = serve(servers, tracer)
    connection = await websocket_connect(url.replace("http", "ws") + f"{PREFIX}/live?q=wanted")
    assert json.loads(str(await connection.read_message()))["order"] == []
    tracer.start_span("other").finish()
    thread = threading.Thread(target=lambda: tracer.start_span("wanted").finish())
    thread.start()
    thread.join()
    page = json.loads(str(await asyncio.wait_for(connection.read_message(), 10)))
    assert [row["operation"] for row in page["rows"].values()] == ["wanted"]
    connection.close()


async def test_a_trace_is_live(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    root = tracer.start_span("root")
    connection = await websocket_connect(f"{url.replace('http', 'ws')}{PREFIX}/{root.context.trace_id:x}/live")

    async def spans_of() -> list[tuple[str, bool]]:
        found = json.loads(str(await asyncio.wait_for(connection.read_message(), 10)))
        return [(span["operation_name"], span["finished"]) for span in found["spans"]]

    assert await spans_of() == [("root", False)]
    tracer.start_span("of another trace").finish()
    child = tracer.start_span("child", child_of=root)
    assert await spans_of() == [("root", False), ("child", False)]
    child.finish()
    root.finish()
    assert await spans_of() == [("root", True), ("child", True)]
    connection.close()


async def test_a_page_is_not_sent_again_what_it_was_made_of(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    root = tracer.start_span("root")
    path = f"{PREFIX}/{root.context.trace_id:x}"
    state = json.loads((await get(f"{url}{path}.json")).body)["state"]
    connection = await websocket_connect(f"{url.replace('http', 'ws')}{path}/live?state={state}")
    root.finish()
    (span,) = json.loads(str(await asyncio.wait_for(connection.read_message(), 10)))["spans"]
    assert span["finished"]
    connection.close()


async def test_a_client_that_does_not_read_is_not_written_to(
    servers: Servers, tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[asyncio.Future[None]] = []

    def write_message(self: Any, message: str) -> asyncio.Future[None]:
        written.append(asyncio.get_running_loop().create_future())
        return written[-1]

    monkeypatch.setattr(_live, "_LIVE_INTERVAL_MS", 5)
    monkeypatch.setattr(_live._Live, "write_message", write_message)
    connection = await websocket_connect(serve(servers, tracer).replace("http", "ws") + f"{PREFIX}/live")
    await until(lambda: written)
    for _ in range(3):
        tracer.start_span("work").finish()
        await asyncio.sleep(0.02)
    assert len(written) == 1
    written[0].set_exception(WebSocketClosedError())
    await until(lambda: len(written) == 2)
    written[1].cancel()
    connection.close()


def test_the_list_looks_again_at_what_may_have_changed_and_at_nothing_else(
    tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    original = _pages.summary_of

    def summary_of(trace: Any) -> _pages.Summary:
        looked_at.append(trace.trace_id)
        return original(trace)

    monkeypatch.setattr(_pages, "summary_of", summary_of)
    listing = _listing.Listing(_listing.Wanted())

    def names() -> list[str]:
        looked_at.clear()
        return [summary.operation for summary in listing.summaries(tracer.traces())]

    over, running = tracer.start_span("over"), tracer.start_span("running")
    over.finish()
    assert (names(), len(looked_at)) == (["running", "over"], 2)
    assert (names(), looked_at) == (["running", "over"], [running.context.trace_id])
    running.finish()
    tracer.start_span("more", child_of=over).finish()
    assert (names(), len(looked_at)) == (["running", "over"], 2)
    assert (names(), looked_at) == (["running", "over"], [])
