# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is kept of the values that spans are given: no object of the application's, and nothing that fits no page."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

#: Characters of one value.
LONGEST = 10_000

_YEAR_10000 = 253402300800
LARGEST_EXACT_INT = 2**53  # in JavaScript


def kept(value: Any) -> Any:
    """A number or a truth value as it is, all else as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no others
    if isinstance(value, int) and abs(value) > LARGEST_EXACT_INT:
        return text(value)
    return value if isinstance(value, (bool, int)) else text(value)


def moment(value: Any) -> float:
    """A time in seconds since the epoch; now, where it is none: one in nanoseconds, say."""
    is_time = isinstance(value, (int, float)) and 0 <= value < _YEAR_10000
    return float(value) if is_time else time.time()


def text(value: Any, longest: int = LONGEST) -> str:
    """A value as text, cut where it is long."""
    try:
        found = value if type(value) is str else str(value)
    except Exception:
        found = f"<{type(value).__name__}>"
    if not found.isascii():
        found = found.encode("utf-8", "backslashreplace").decode()  # a lone surrogate fits into no page
    return found if len(found) <= longest else found[:longest] + "…"


def length_of(value: Any) -> int:
    """How long a value is that is kept; a number has no length."""
    return len(value) if type(value) is str else 0


def plain_length(tags: dict[str, Any]) -> int | None:
    """The length of what can be kept as it is, as most tags can; ``None`` where that needs a further look."""
    try:
        names = "".join(tags)
    except TypeError:
        return None
    length = len(names)
    if not names.isascii():
        return None
    for value in tags.values():
        kind = type(value)
        if kind is str:
            if not value.isascii():
                return None
            length += len(value)
        elif kind is int:
            if not -LARGEST_EXACT_INT <= value <= LARGEST_EXACT_INT:
                return None
        elif kind is not bool:
            return None
    return length if length <= LONGEST else None


def is_idle(tags: Mapping[str, Any]) -> bool:
    """Whether a span is, by its tags, that of a WebSocket's connection: it waits for messages, and does no work."""
    return "websocket.messages.out" in tags
