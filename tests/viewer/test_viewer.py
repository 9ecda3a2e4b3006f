"""The viewer without a browser: what the tracer keeps, what the pages answer and to whom, and traces as text."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentracing import Format, SpanContextCorruptedException, follows_from
from opentracing.mocktracer import MockTracer
from support import Servers
from support.serving import until
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, websocket_connect

from tornado_opentracing import ContextVarsScopeManager, init_tracing
from tornado_opentracing.viewer import RecordingTracer, _handlers, _pages, _tree, format_trace, viewer_routes
from tornado_opentracing.viewer._handlers import _HEADERS

PREFIX = "/-/traces"


class Plain(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)


class Raises(RequestHandler):
    def get(self) -> None:
        raise KeyError("secret of the handler")


@pytest.fixture
def tracer() -> RecordingTracer:
    return RecordingTracer(service="shop")


def serve(servers: Servers, tracer: RecordingTracer, debug: bool = True, **kwargs: Any) -> str:
    init_tracing(tracer, trace_client=False)
    rules: list[Any] = [("/", Plain), ("/raises", Raises), *viewer_routes(tracer, **kwargs)]
    return servers.start(Application(rules, debug=debug, autoreload=False))


async def get(url: str, **kwargs: Any) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(url, raise_error=False, **kwargs)


def spans(tracer: RecordingTracer) -> list[Any]:
    return [span for trace in tracer.traces() for span in trace.spans]


# What is kept


def test_the_oldest_traces_go_first() -> None:
    tracer = RecordingTracer(max_traces=3)
    for number in range(10):
        tracer.start_span(f"root {number}").finish()
    assert [trace.spans[0].operation_name for trace in tracer.traces()] == ["root 9", "root 8", "root 7"]


def test_a_trace_with_too_many_spans_says_how_many_were_dropped() -> None:
    tracer = RecordingTracer(max_spans_per_trace=5)
    with tracer.start_active_span("root"):
        for _ in range(7):
            tracer.start_span("child").finish()
    (trace,) = tracer.traces()
    assert (len(trace.spans), trace.dropped) == (5, 3)


@pytest.mark.parametrize("bound", ["max_traces", "max_spans_per_trace"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "9"])
def test_a_bound_that_is_none_is_refused_by_its_name(bound: str, value: Any) -> None:
    arguments: dict[str, Any] = {bound: value}
    with pytest.raises(ValueError, match=bound):
        RecordingTracer(**arguments)


def test_a_span_keeps_no_object_of_the_application_and_no_more_than_its_share(tracer: RecordingTracer) -> None:
    class Big:
        def __str__(self) -> str:
            return "x" * 1_000_000

    with tracer.start_span("work", tags={"start": Big()}) as span:
        for number in range(1000):
            span.set_tag(f"tag {number}", Big()).log_kv({"event": Big(), "error.object": KeyError(Big())})
        span.set_tag("start", "last")
    big = weakref.ref(Big())
    gc.collect()
    assert big() is None
    (kept,) = spans(tracer)
    assert len(json.dumps(_pages.as_json(tracer.traces()[0]))) < 5_000_000
    assert kept.tags["start"] == "last"
    assert not [obj for obj in gc.get_objects() if isinstance(obj, Big)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((value, value) for value in (1, True, 1.5, "a")),
        *((value, str(value)) for value in (None, [1], (2,), float("nan"))),
        ("\ud800", "\\ud800"),
    ],
)
def test_values_are_kept_as_they_are_or_as_text(tracer: RecordingTracer, value: object, kept: object) -> None:
    tracer.start_span("work").set_tag("value", value).finish()
    assert spans(tracer)[0].tags == {"value": kept}


def test_a_services_name_fits_into_a_page() -> None:
    assert RecordingTracer(service="\ud800").service == "\\ud800"


def test_an_error_without_stack_gets_one(tracer: RecordingTracer) -> None:
    with tracer.start_span("work") as span:
        span.log_kv({"event": "error", "error.object": KeyError("x")})
    assert spans(tracer)[0].logs[0].key_values["stack"] == "KeyError: 'x'"


def test_spans_may_come_from_any_thread(busy_threads: None) -> None:
    # Room for all: a trace that others push out while its thread waits would come back without its first span.
    tracer = RecordingTracer(max_traces=1000)

    def work() -> None:
        for _ in range(200):
            with tracer.start_active_span("work"):
                tracer.start_span("child").finish()
                tracer.traces()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(trace.spans) for trace in tracer.traces()] == [2] * 1000
    assert len({span.context.span_id for span in spans(tracer)}) == 2000


async def test_memory_stays_within_its_bound(servers: Servers) -> None:
    """The same number of objects after each round of requests once the bound is reached."""
    tracer = RecordingTracer(max_traces=20)
    url = serve(servers, tracer)

    async def count() -> int:
        for _ in range(5):
            await asyncio.gather(*(get(f"{url}/") for _ in range(10)))
        gc.collect()
        return len(gc.get_objects())

    await count()
    first = await count()
    assert await count() - first < 100
    assert len(tracer.traces()) == 20


def test_baggage_of_others_takes_no_more_memory_than_w3c_allows(tracer: RecordingTracer) -> None:
    traceparent = f"00-{1:032x}-{1:016x}-01"
    for header in ("a=" + "x" * 100_000, ",".join(f"{number}=x" for number in range(1000))):
        found: Any = tracer.extract(Format.HTTP_HEADERS, {"traceparent": traceparent, "baggage": header})
        assert len(found.baggage) <= 180
        assert sum(map(len, [*found.baggage, *found.baggage.values()])) <= 8192


@pytest.mark.parametrize(
    "moment",
    [time.time_ns(), float("nan"), float("inf"), -1, "now", Decimal(1), 10**5000],
    ids=["nanoseconds", "nan", "infinite", "negative", "text", "decimal", "huge"],
)
async def test_a_span_with_an_odd_time_is_shown_all_the_same(
    servers: Servers, tracer: RecordingTracer, moment: Any
) -> None:
    url = serve(servers, tracer)
    span = tracer.start_span(start_time=moment).set_tag("number", 2**63).set_operation_name("\ud800")
    span.set_baggage_item("k", "\ud800").log_kv({"event": "x"}, moment).finish(moment)
    trace = tracer.traces()[0]
    for path in ["", f"/{trace.trace_id:x}", f"/{trace.trace_id:x}.json"]:
        response = await get(f"{url}{PREFIX}{path}")
        assert response.code == 200
    assert json.loads(response.body)["spans"][0]["tags"] == {"number": str(2**63)}


def test_services_of_one_process_record_into_the_same_traces(tracer: RecordingTracer) -> None:
    stock = tracer.for_service("stock")
    with tracer.start_active_span("page") as scope:
        stock.start_span("count", child_of=scope.span).finish()
    (trace,) = tracer.traces()
    assert [(span.service, span.operation_name) for span in trace.spans] == [("shop", "page"), ("stock", "count")]
    assert tracer.finished_spans() == trace.spans
    tracer.reset()
    assert not tracer.traces()


# Carriers


def test_a_trace_goes_on_in_another_process(tracer: RecordingTracer) -> None:
    with tracer.start_span("fetch") as span:
        span.set_baggage_item("user", "ada, l=ö").set_baggage_item("odd", "\ud800")
        carrier: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, carrier)
    other = RecordingTracer(service="other")
    parent = other.extract(Format.HTTP_HEADERS, {name.title(): value for name, value in carrier.items()})
    with other.start_span("handler", child_of=parent) as handler:
        assert handler.get_baggage_item("user") == "ada, l=ö"
    assert (handler.context.trace_id, handler.parent_id) == (span.context.trace_id, span.context.span_id)


def test_a_trace_of_elsewhere_keeps_its_128_bits(tracer: RecordingTracer) -> None:
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    found: Any = tracer.extract(Format.HTTP_HEADERS, {"traceparent": header})
    carrier: dict[str, str] = {}
    tracer.inject(tracer.start_span("work", child_of=found).context, Format.HTTP_HEADERS, carrier)
    assert carrier["traceparent"].startswith("00-0af7651916cd43dd8448eb211c80319c-")


@pytest.mark.parametrize(
    "header",
    [
        *("", "00", "x" * 100_000),
        f"00-{0:032}-{1:016}-00",
        f"00-{1:032}-{0:016}-00",
        f"ff-{1:032}-{1:016}-00",
        f"00-{'g' * 32}-{1:016}-00",
    ],
)
def test_a_broken_traceparent_is_said_to_be_so(tracer: RecordingTracer, header: str) -> None:
    with pytest.raises(SpanContextCorruptedException):
        tracer.extract(Format.HTTP_HEADERS, {"traceparent": header})


def test_no_traceparent_is_no_parent(tracer: RecordingTracer) -> None:
    assert tracer.extract(Format.HTTP_HEADERS, {"baggage": "a=b"}) is None


# The tree and its critical path


def tree_of(*described: tuple[str, str | None, float, float]) -> dict[str, _tree.Node]:
    """Nodes by name, of (name, parent's name, beginning, end); an end of 0 is none yet."""
    tracer = MockTracer()
    made: dict[str | None, Any] = {}
    for name, parent, begin, end in described:
        made[name] = tracer.start_span(name, child_of=made.get(parent), start_time=begin)
        if end:
            made[name].finish(end)
    tree = _tree.build(made.values(), now=100)
    return {node.span.operation_name: node for node in tree.nodes}


def test_spans_are_beneath_their_parents_in_the_order_in_which_they_began() -> None:
    nodes = tree_of(("root", None, 0, 9), ("b", "root", 5, 6), ("a", "root", 1, 8), ("a1", "a", 2, 3))
    assert [(name, node.depth, node.lasts) for name, node in nodes.items()] == [
        ("root", 0, ()),
        ("a", 1, (False,)),
        ("a1", 2, (False, True)),
        ("b", 1, (True,)),
    ]


def test_the_critical_path_is_what_was_waited_for_last() -> None:
    nodes = tree_of(
        ("root", None, 0, 10), ("short", "root", 1, 3), ("long", "root", 1, 7), ("in long", "long", 2, 6),
        ("after", "root", 8, 9),
    )  # fmt: skip
    assert {name: node.critical for name, node in nodes.items()} == {
        "root": [(0, 1), (7, 8), (9, 10)],
        "short": [],
        "long": [(1, 2), (6, 7)],
        "in long": [(2, 6)],
        "after": [(8, 9)],
    }


def test_a_child_that_outlives_its_parent_holds_it_up_to_the_parents_end() -> None:
    for end in (12, 0):
        nodes = tree_of(("root", None, 0, 10), ("late", "root", 4, end))
        assert nodes["late"].end == (end or 100)
        assert (nodes["root"].critical, nodes["late"].critical) == ([(0, 4)], [(4, 10)])


def test_what_only_follows_from_a_span_did_not_hold_it_up(tracer: RecordingTracer) -> None:
    root = tracer.start_span("root", start_time=1)
    tracer.start_span("later", references=[follows_from(root.context)], start_time=2).finish(3)
    root.finish(3)
    first, second = _tree.build(tracer.traces()[0].spans).nodes
    assert (first.critical, second.critical) == ([(1, 3)], [])


def test_parents_of_each_other_are_shown_all_the_same() -> None:
    """Two ``MockTracer``s count alike, so that what one brings may seem to come from the other's own spans."""
    made: list[Any] = [MockTracer().start_span(str(number), start_time=number) for number in range(4)]
    for span, span_id, parent_id in zip(made, [1, 2, 3, 4], [3, 1, 2, None], strict=True):
        span.context.span_id, span.parent_id = span_id, parent_id
        span.finish()
    tree = _tree.build(made)
    assert sorted(node.span.operation_name for node in tree.nodes) == ["0", "1", "2", "3"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=30))
def test_the_critical_path_covers_the_first_span_without_overlap(drawn: list[tuple[int, float, float]]) -> None:
    tracer = MockTracer()
    made: list[Any] = []
    for parent, begin, length in drawn:
        child_of = made[parent % len(made)] if made else None
        made.append(tracer.start_span("work", child_of=child_of, start_time=begin))
        made[-1].finish(begin + length)
    tree = _tree.build(made)
    assert sorted(id(node.span) for node in tree.nodes) == sorted(map(id, made))
    root = next(node for node in tree.nodes if node.span is tree.nodes[0].span)
    pieces = sorted(piece for node in tree.nodes for piece in node.critical)
    assert all(begin < end for begin, end in pieces)
    covered = sum(end - begin for begin, end in pieces)
    assert covered == pytest.approx(root.end - root.begin)


# As text


def test_a_trace_as_text_is_a_tree_with_bars() -> None:
    tracer = RecordingTracer(service="shop")
    root = tracer.start_span("Page", tags={"http.url": "/tea?x=1", "span.kind": "server"}, start_time=0)
    tags = {"span.kind": "client", "http.url": "http://a:1/stock", "http.status_code": 500, "error": True}
    tracer.start_span("GET", child_of=root, tags=tags, start_time=0.25).finish(0.75)
    tracer.start_span("render", child_of=root, start_time=0.75).finish(1)
    root.finish(1)
    assert format_trace(tracer.traces()[0].spans, width=80).splitlines() == [
        "/tea - spans: 3, failed: 1 " + "─" * 53,
        "operation                                   service      ms  0           1000 ms",
        "Page                                        shop     1000.0  ━━━━━━━━━━━━━━━━━━━",
        "├─ GET /stock ✗ 500                         shop      500.0      ━━━━━━━━━━",
        "└─ render                                   shop      250.0                ━━━━━",
    ]


def test_text_shows_what_a_terminal_would_obey_and_counts_what_is_wide() -> None:
    tracer = MockTracer(ContextVarsScopeManager())
    tracer.start_span("\x1b[31m\n茶", start_time=1).finish(2)
    lines = format_trace(tracer.finished_spans()).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("\\x1b[31m\\n茶" + " " * (42 - 12))


def test_text_has_colours_where_they_are_asked_for() -> None:
    tracer = MockTracer()
    tracer.start_span("work", tags={"error": True}).finish()
    plain, colourful = (format_trace(tracer.finished_spans(), colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[1;31m✗" in colourful
    assert format_trace([]) == ""


# Who may see it


@pytest.mark.parametrize("path", ["", "/", "/live", "/static/viewer.css", "/static/viewer.js", "/1", "/1.json"])
async def test_outside_of_debug_mode_nothing_is_shown_unless_allow_says_so(
    servers: Servers, tracer: RecordingTracer, path: str, caplog: pytest.LogCaptureFixture, reports: list[Any]
) -> None:
    asked: list[str] = []

    def allow(request: Any) -> bool:
        asked.append(request.path)
        return "token" in request.arguments

    closed = serve(servers, tracer, debug=False)
    response = await get(f"{closed}{PREFIX}{path}")
    assert (response.code, response.body) == (403, b"The trace viewer is not open to you.\n")
    assert "viewer_routes needs allow=" in caplog.text
    guarded = serve(servers, tracer, debug=True, allow=allow)
    assert (await get(f"{guarded}{PREFIX}{path}")).code == 403
    assert (await get(f"{guarded}{PREFIX}{path}?token=1")).code != 403
    assert asked == [f"{PREFIX}{path}"] * 2
    assert len(reports) == 1


async def test_every_answer_forbids_what_the_pages_do_not_need(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    tracer.start_span("work").finish()
    trace = f"/{tracer.traces()[0].trace_id:x}"
    for path in ["", trace, f"{trace}.json", "/static/viewer.js", "/static/viewer.css", "/0"]:
        response = await get(f"{url}{PREFIX}{path}")
        for name, value in _HEADERS.items():
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


@pytest.mark.parametrize("path", ["", "/live", "/static/viewer.js"])
async def test_an_allow_that_answers_with_a_coroutine_or_raises_lets_nobody_in(
    servers: Servers, tracer: RecordingTracer, path: str
) -> None:
    for allow in (lambda _: asyncio.ensure_future(says_no(_)), lambda _: 1 / 0):
        url = serve(servers, tracer, allow=allow)
        response = await get(f"{url}{PREFIX}{path}")
        assert (response.code, response.body) == (500, b"The trace viewer failed.\n")


@pytest.mark.parametrize(("host", "code"), [("evil.example", 403), ("shop.localhost:1", 200), ("[::1]:1", 200)])
async def test_a_page_of_elsewhere_cannot_have_a_name_of_its_own_lead_here(
    servers: Servers,
    tracer: RecordingTracer,
    host: str,
    code: int,
    caplog: pytest.LogCaptureFixture,
    reports: list[Any],
) -> None:
    response = await get(f"{serve(servers, tracer)}{PREFIX}", headers={"Host": host})
    assert response.code == code
    assert len(reports) == (code == 403)
    guarded = serve(servers, tracer, allow=lambda _: True)
    assert (await get(f"{guarded}{PREFIX}", headers={"Host": host})).code == 200


async def test_the_viewers_own_requests_are_not_traced(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer, prefix="/see")
    tracer.start_span("work").finish()
    for path in ["/see", "/see/static/viewer.js", f"/see/{tracer.traces()[0].trace_id:x}", "/see/0", "/see?min_ms=x"]:
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


async def test_the_list_is_filtered_by_operation_status_and_duration(servers: Servers, tracer: RecordingTracer) -> None:
    url = serve(servers, tracer)
    await get(f"{url}/")
    await get(f"{url}/raises")
    tracer.start_span("slow", start_time=1).finish(2)
    await until(lambda: len(tracer.finished_spans()) == 3)
    for query, names in {
        "": ["slow", "Raises", "Plain"],
        "operation=PLAIN": ["Plain"],
        "operation=%2Frai": ["Raises"],
        "status=5xx": ["Raises"],
        "status=200": ["Plain"],
        "status=error": ["Raises"],
        "min_ms=999": ["slow"],
        "min_ms=nan": ["slow", "Raises", "Plain"],
        "status=2xx&operation=raises": [],
    }.items():
        body = (await get(f"{url}{PREFIX}?{query}")).body.decode()
        found = [line.partition(">")[2].partition("<")[0] for line in body.split("<a href=")[1:]]
        assert found == names, query


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
    for path in ["", f"/{trace_id}"]:
        body = (await get(f"{url}{PREFIX}{path}")).body.decode()
        assert "<script>alert" not in body
        assert "</script><b>" not in body
        assert '" onmouseover' not in body.partition('id="data">')[0]
    data = body.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data
    assert json.loads(data)["spans"][0]["tags"][hostile] == hostile
    query = HTTPRequest(f"{url}{PREFIX}?operation=%22%3E%3Cscript%3Ealert(1)")
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
    connection = await websocket_connect(url.replace("http", "ws") + f"{PREFIX}/live?operation=wanted")
    assert "No traces here" in str(await connection.read_message())
    tracer.start_span("other").finish()
    thread = threading.Thread(target=lambda: tracer.start_span("wanted").finish())
    thread.start()
    thread.join()
    rows = str(await asyncio.wait_for(connection.read_message(), 10))
    assert (rows.count("<tr"), ">wanted</a>" in rows) == (1, True)
    connection.close()


async def test_a_client_that_does_not_read_is_not_written_to(
    servers: Servers, tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[asyncio.Future[None]] = []

    def write_message(self: Any, message: str) -> asyncio.Future[None]:
        written.append(asyncio.get_running_loop().create_future())
        return written[-1]

    monkeypatch.setattr(_handlers, "_LIVE_INTERVAL_MS", 5)
    monkeypatch.setattr(_handlers._Live, "write_message", write_message)
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
    known: dict[int, _pages.Summary] = {}

    def names() -> list[str]:
        looked_at.clear()
        return [summary.operation for summary in _pages.summaries(tracer.traces(), _pages.Filter(), known)]

    over, running = tracer.start_span("over"), tracer.start_span("running")
    over.finish()
    assert (names(), len(looked_at)) == (["running", "over"], 2)
    assert (names(), looked_at) == (["running", "over"], [running.context.trace_id])
    running.finish()
    tracer.start_span("more", child_of=over).finish()
    assert (names(), len(looked_at)) == (["running", "over"], 2)
    assert (names(), looked_at) == (["running", "over"], [])
