# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A trace's spans as a tree, in the order in which they are shown, with the path that took its time."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tornado_opentracing.viewer._values import is_idle

FOLLOWS_FROM = "follows_from"


@dataclasses.dataclass
class Node:
    """A span in its place."""

    span: Any
    depth: int
    begin: float
    end: float
    #: Whether each ancestor, from the root's child down to the span itself, is the last of its parent's children.
    lasts: tuple[bool, ...]
    #: Whether it is a connection's, on which work is done by others, and which nobody waits for.
    is_idle: bool
    children: list[Node] = dataclasses.field(default_factory=list)
    #: The times in which nothing but this span held the trace up, from their beginning to their end.
    critical: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    @property
    def self_time(self) -> float:
        """The seconds in which the span ran and none of its children did; none of one that only waits."""
        if self.is_idle:
            return 0.0
        busy, last = 0.0, self.begin
        for child in sorted(self.children, key=lambda child: child.begin):
            begin, end = max(child.begin, last), min(child.end, self.end)
            if begin < end:
                busy, last = busy + end - begin, end
        return max(self.end - self.begin - busy, 0.0)

    @property
    def is_error(self) -> bool:
        """Whether the span is marked as failed."""
        return self.span.tags.get("error") in (True, "true", "True")

    @property
    def is_open(self) -> bool:
        """Whether the span is not finished yet."""
        return not self.span.finished


@dataclasses.dataclass
class Tree:
    """All spans of a trace; those whose parent is not among them are roots."""

    nodes: list[Node]
    begin: float
    end: float

    @property
    def duration(self) -> float:
        """In seconds, and never zero, so that times are fractions of it."""
        return max(self.end - self.begin, 1e-6)

    def fraction(self, moment: float) -> float:
        """Where a moment lies between the trace's beginning and its end, from 0 to 1."""
        return min(max((moment - self.begin) / self.duration, 0), 1)


def build(spans: Iterable[Any], now: float | None = None) -> Tree:
    """Put spans in order: each after its parent, siblings by their beginning.

    :param spans: spans of ``MockTracer`` or ``RecordingTracer``, of one trace.
    :param now: where spans that are not finished end, in seconds since the epoch; now if it is ``None``.
    """
    now = time.time() if now is None else now
    ordered = sorted(spans, key=lambda span: (span.start_time, span.context.span_id))
    known = {span.context.span_id for span in ordered}
    below: defaultdict[int | None, list[Any]] = defaultdict(list)
    for span in ordered:
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.context.span_id else None
        below[parent].append(span)

    nodes: list[Node] = []
    waiting: list[tuple[Any, int, tuple[bool, ...], Node | None]]
    waiting = [(span, 0, (), None) for span in reversed(below.pop(None, []))]
    while waiting or below:
        if not waiting:
            # Parents of each other: what two MockTracers count may have the same numbers.
            waiting = [(span, 0, (), None) for span in reversed(below.pop(next(iter(below))))]
        span, depth, lasts, parent_node = waiting.pop()
        node = Node(span, depth, span.start_time, _end_of(span, now), lasts, is_idle(span.tags))
        nodes.append(node)
        if parent_node is not None:
            parent_node.children.append(node)
        children = below.pop(span.context.span_id, [])
        waiting += [(child, depth + 1, (*lasts, child is children[-1]), node) for child in reversed(children)]
    _mark_critical(nodes)
    # What is running is shown up to now; how long a connection was idle at its end tells nothing.
    working = [node for node in nodes if node.is_open or not node.is_idle] or nodes
    return Tree(nodes, min((n.begin for n in nodes), default=now), max((n.end for n in working), default=now))


def _end_of(span: Any, now: float) -> float:
    start: float = span.start_time
    return max(span.finish_time if span.finished else now, start)


def _mark_critical(nodes: Sequence[Node]) -> None:
    """From the trace's end backwards, through whatever nobody waited for: roots, and what only follows from a span."""
    beneath = {id(child) for node in nodes for child in node.children if not _is_apart(child, node)}
    apart = [node for node in nodes if id(node) not in beneath and not node.is_idle]
    moment = math.inf
    for node in sorted(apart, key=lambda node: node.end, reverse=True):
        if node.begin < min(node.end, moment):
            _mark_waits(node, min(node.end, moment))
            moment = node.begin
    for node in nodes:
        node.critical.sort()


def _mark_waits(first: Node, until: float) -> None:
    """What a span waited for last held it up; where it waited for none, it was itself."""
    waiting = [(first, first.begin, until)]
    while waiting:
        node, begin, moment = waiting.pop()
        end = moment
        for child in sorted(node.children, key=lambda child: child.end, reverse=True):
            # A server's span may end a little after that of the client, who had the response by then.
            child_begin, child_end = max(child.begin, begin), min(child.end, end)
            if child_end > moment or child_begin >= child_end or _is_apart(child, node):
                continue
            if child_end < moment:
                node.critical.append((child_end, moment))
            waiting.append((child, child_begin, child_end))
            moment = child_begin
        if moment > begin:
            node.critical.append((begin, moment))


def _is_apart(child: Node, parent: Node) -> bool:
    """Whether a span was not waited for by its parent: a WebSocket's message, say, long after the handshake."""
    return child.begin >= parent.end or child.is_idle or parent.is_idle or _follows(child)


def _follows(node: Node) -> bool:
    references = getattr(node.span, "references", ())
    return bool(references) and all(kind == FOLLOWS_FROM for kind, _ in references)
