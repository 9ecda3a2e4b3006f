# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The tree of a trace, its critical path, and traces as text."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentracing import follows_from
from opentracing.mocktracer import MockTracer

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing.viewer import RecordingTracer, _tree, format_trace


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
def test_the_critical_path_covers_what_nobody_waited_for_without_overlap(drawn: list[tuple[int, float, float]]) -> None:
    tracer = MockTracer()
    made: list[Any] = []
    for parent, begin, length in drawn:
        child_of = made[parent % len(made)] if made else None
        made.append(tracer.start_span("work", child_of=child_of, start_time=begin))
        made[-1].finish(begin + length)
    tree = _tree.build(made)
    assert sorted(id(node.span) for node in tree.nodes) == sorted(map(id, made))
    pieces = sorted(piece for node in tree.nodes for piece in node.critical)
    assert all(begin < end for begin, end in pieces)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(pieces))
    parents = {id(child): node for node in tree.nodes for child in node.children}
    whole = 0.0
    last = 0.0
    for node in sorted(tree.nodes, key=lambda node: node.begin):
        if (id(node) not in parents or node.begin >= parents[id(node)].end) and node.end > last:
            whole += node.end - max(node.begin, last)
            last = node.end
    assert sum(end - begin for begin, end in pieces) == pytest.approx(whole)
    assert all(0 <= node.self_time <= node.end - node.begin for node in tree.nodes)


def test_a_websockets_connection_is_what_waits_and_not_what_works() -> None:
    tracer = RecordingTracer()
    handshake = tracer.start_span("Chat", start_time=0)
    after = [follows_from(handshake.context)]
    idle = tracer.start_span("Chat.connection", references=after, tags={"websocket.messages.out": 0}, start_time=1)
    handshake.finish(1)
    tracer.start_span("Chat.on_message", references=after, start_time=5).finish(6)
    assert _tree.build(tracer.traces()[0].spans, now=20).end == 20
    idle.finish(3600)

    (trace,) = tracer.traces()
    tree = _tree.build(trace.spans)
    assert {node.span.operation_name: node.critical for node in tree.nodes} == {
        "Chat": [(0, 1)],
        "Chat.connection": [],
        "Chat.on_message": [(5, 6)],
    }
    assert [node.self_time for node in tree.nodes] == [1, 0, 1]
    assert (tree.end, trace.end) == (6, 6)


def test_the_critical_path_leads_over_all_roots_and_messages() -> None:
    """A WebSocket's messages come after the handshake that they are beneath; a second root may go on alone."""
    nodes = tree_of(
        ("handshake", None, 0, 1), ("first", "handshake", 2, 4), ("in first", "first", 3, 4),
        ("second", "handshake", 5, 6), ("other root", None, 3.5, 5),
    )  # fmt: skip
    assert {name: node.critical for name, node in nodes.items()} == {
        "handshake": [(0, 1)],
        "first": [(2, 3)],
        "in first": [(3, 3.5)],
        "second": [(5, 6)],
        "other root": [(3.5, 5)],
    }


def test_a_spans_own_time_is_when_no_child_ran() -> None:
    nodes = tree_of(
        ("root", None, 0, 10),
        ("a", "root", 1, 4),
        ("b", "root", 3, 5),
        ("late", "root", 9, 12),
        ("after", "root", 11, 12),
    )
    assert [node.self_time for node in nodes.values()] == [5, 3, 2, 3, 1]


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


def test_a_trace_as_text_is_hatched_where_the_loop_was_blocked() -> None:
    tracer = RecordingTracer(service="shop")
    root = tracer.start_span("Page", start_time=0)
    waiting = tracer.start_span("ask", child_of=root, start_time=0.25)
    root.log_kv({"event": "loop blocked", "duration": 0.5}, 1)
    waiting.log_kv({"event": "waited for blocked loop", "duration": 0.5}, 1)
    waiting.log_kv({"event": "loop blocked", "duration": "garbage"}, 0.4)
    waiting.log_kv({"event": "loop blocked", "duration": float("nan")}, 0.4)
    waiting.finish(1)
    root.finish(1)
    bars = [line.rpartition("  ")[2].strip() for line in format_trace(tracer.traces()[0].spans, width=81).splitlines()]
    assert bars[2:] == ["━" * 10 + "▒" * 10, "━" * 5 + "▒" * 10]


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
