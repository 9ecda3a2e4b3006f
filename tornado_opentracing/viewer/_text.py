# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A trace as text: a tree of its spans, with a bar for the time in which each ran."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tornado_opentracing.viewer import _tree

_COLOURS = ["36", "32", "35", "33", "34"]  # cyan, green, magenta, yellow, blue
_DIM, _BOLD, _RED, _YELLOW = "2", "1", "1;31", "33"
_BLOCKED = ("loop blocked", "waited for blocked loop")
_OPERATION = 42  # at least, so that traces below each other line up


def format_trace(spans: Iterable[Any], *, width: int = 100, colour: bool = False) -> str:
    """Draw the spans of one trace: each beneath its parent, with a bar for the time in which it ran.

    A bar is hatched (``▒``) where the event loop was blocked, as ``blocked_after`` finds out.

    :param spans: spans of ``MockTracer`` or ``RecordingTracer``. One that is not finished lasts until now.
    :param width: the width in characters; no narrower than what is left of the bars.
    :param colour: whether to use a terminal's colours.
    :return: the lines, without a line break at the end; nothing where there are no spans.
    """
    tree = _tree.build(spans)
    if not tree.nodes:
        return ""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour and text.strip() else text

    services = sorted({service_of(node.span) for node in tree.nodes})
    codes = {service: _COLOURS[number % len(_COLOURS)] for number, service in enumerate(services)}
    rows = [(_branches(node), _printable(describe(node.span)), outcome(node)) for node in tree.nodes]
    names = [branches + " ".join(filter(None, [text, result])) for branches, text, result in rows]
    times = [f"{(node.end - node.begin) * 1000:.1f}" + "…" * node.is_open for node in tree.nodes]
    operations = max(_OPERATION, *map(_cells, names))
    service_cells = max(len("service"), *(_cells(_printable(service)) for service in services))
    time_cells = max(len(text) for text in ["ms", *times])
    left = operations + service_cells + time_cells + 6
    bar = max(width - left, 12)

    def cells(begin: float, end: float) -> tuple[int, int]:
        """Where a time begins and ends on the bar; one cell at least."""
        first = min(int(tree.fraction(begin) * bar), bar - 1)
        return first, max(first + 1, round(tree.fraction(end) * bar))

    blocked = {cell for node in tree.nodes for block in _blocks(node.span) for cell in range(*cells(*block))}

    axis = f"{tree.duration * 1000:.0f} ms"
    head = f"{_pad('operation', operations)}  {_pad('service', service_cells)}  {'ms':>{time_cells}}"
    lines = [_heading(tree, max(width, left + bar), paint), paint(f"{head}  0{axis:>{bar - 1}}", _DIM)]
    for node, (branches, text, result), name, duration in zip(tree.nodes, rows, names, times, strict=True):
        code = codes[service_of(node.span)]
        begin, end = cells(node.begin, node.end)
        signs = "".join("▒" if cell in blocked else "━" for cell in range(begin, end))
        shown = paint(branches, _DIM) + text + (" " + paint(result, _RED if node.is_error else _YELLOW)) * bool(result)
        service = _pad(_printable(service_of(node.span)), service_cells)
        lines.append(
            f"{shown}{' ' * (operations - _cells(name))}  {paint(service, code)}  {duration:>{time_cells}}  "
            f"{' ' * begin}{paint(signs, _RED if node.is_error else code)}"
        )
    return "\n".join(lines)


def service_of(span: Any) -> str:
    """The name of the service whose tracer made a span."""
    return str(getattr(span.tracer, "service", ""))


def path_of(span: Any) -> str:
    """The path of the request that a span is about; nothing where it is about none."""
    url = str(span.tags.get("http.url", "")).partition("?")[0]
    return f"/{url.rpartition('://')[2].partition('/')[2]}" if url else ""


def describe(span: Any) -> str:
    """What a span is called; a fetch by its path, too."""
    name = str(span.operation_name)
    return f"{name} {path_of(span)}".rstrip() if span.tags.get("span.kind") == "client" else name


# Numbers, UUIDs, and other ids in hexadecimal; each alone, or as a part of a path.
_IDS = re.compile(
    r"(?<![0-9A-Za-z_])(?:[0-9]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,64})(?![0-9A-Za-z_])"
)


def routes_by_parent(spans: Iterable[Any]) -> dict[int, str]:
    """The routes by which servers took what was asked of them, by the span that they are beneath: that of a fetch."""
    return {
        span.parent_id: str(span.tags["http.route"])
        for span in spans
        if span.parent_id is not None and "http.route" in span.tags
    }


def pattern_of(span: Any, routes: Mapping[int, str]) -> str:
    """What spans that do the same are called, whatever the numbers and ids: ``GET /stock/{n}``.

    :param routes: see :func:`routes_by_parent`; a fetch has its route in the place of its path.
    """
    route = routes.get(span.context.span_id) if span.tags.get("span.kind") == "client" else None
    if route is not None:
        return f"{span.operation_name} {route}"
    return _IDS.sub(lambda found: "{n}" if found[0].isdecimal() else "{id}", describe(span))


def outcome(node: _tree.Node) -> str:
    """How it went, where that was not well."""
    tags = node.span.tags
    status = str(tags.get("http.status_code", ""))
    kinds = [str(log.key_values["error.kind"]) for log in node.span.logs if "error.kind" in log.key_values]
    # A client's exception says no more than the status, if there is one.
    shown = [status] * (status >= "400") + kinds * (not (tags.get("span.kind") == "client" and status))
    return _printable(" ".join(["✗"] * node.is_error + shown))


def _blocks(span: Any) -> Iterator[tuple[float, float]]:
    """When the event loop was blocked, by this span or while it waited."""
    for log in span.logs:
        duration = log.key_values.get("duration")
        if log.key_values.get("event") in _BLOCKED and isinstance(duration, float) and duration > 0:
            yield log.timestamp - duration, log.timestamp


def _heading(tree: _tree.Tree, width: int, paint: Any) -> str:
    failed = sum(node.is_error for node in tree.nodes)
    title = f"{path_of(tree.nodes[0].span) or tree.nodes[0].span.operation_name} - spans: {len(tree.nodes)}"
    title = _printable(title) + (f", failed: {failed}" if failed else "")
    return f"{paint(title, _BOLD)} {paint('─' * (width - _cells(title) - 1), _DIM)}"


def _branches(node: _tree.Node) -> str:
    if not node.lasts:
        return ""
    *trunk, last = node.lasts
    return "".join("   " if is_last else "│  " for is_last in trunk) + ("└─ " if last else "├─ ")


def _printable(text: str) -> str:
    """What a terminal shows and does not obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _cells(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _pad(text: str, cells: int) -> str:
    return text + " " * (cells - _cells(text))
