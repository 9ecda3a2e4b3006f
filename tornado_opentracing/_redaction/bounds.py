# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How long a text may be, and how one that is longer is cut."""

from __future__ import annotations

import re
from collections.abc import Callable

#: The most characters of a value: a tag's, a log field's, a name's.
LONGEST_VALUE = 16 * 1024
#: The most characters of a stack trace.
LONGEST_STACK = 64 * 1024

_ROOM = 64  # the mark never takes more

# What tells, in a word, that there may be something in it to redact; and what a value may begin with that has blanks.
_TELLING = re.compile(r"[=:@%\"'\\]")
_QUOTED = re.compile(r"[\"']\s*[:=,]|=\s*(?:\\*[A-Za-z]{0,2}[\"']|[\w.]*[\[({]|<)")


def clip(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text that holds no secrets, with its middle left out where it is too long."""
    if len(text) <= longest:
        return text
    kept = (longest - _ROOM) // 2
    return f"{text[:kept]}{_mark(len(text) - 2 * kept)}{text[-kept:]}"


def redact_ends(text: str, redact: Callable[[str], str], longest: int = LONGEST_VALUE) -> str:
    """A text that may hold secrets and is too long: its beginning and its end, each redacted, with a mark between them.

    What is left out is not redacted, for that takes its time. So neither end may hold a part of what can be told for a
    secret only with the rest of it: at the cut, both lose the word that may be one. Of text with names or values in
    quotes, such as JSON, there is no end: it may belong to a name that is left out.
    """
    kept = (longest - _ROOM) // 2
    begin, end = _before(text, kept), _after(text, len(text) - kept)
    return clip(f"{redact(text[:begin])}{_mark(end - begin)}{redact(text[end:])}", longest)


def redact_beginning(text: str, redact: Callable[[str], str], left_out: int) -> str:
    """The beginning of a text of which so much more is left out."""
    begin = _before(text, len(text))
    kept = redact(text[:begin])[: LONGEST_VALUE - _ROOM]
    return f"{kept}{_mark(left_out + len(text) - begin)}"


def _mark(left_out: int) -> str:
    return f" ...[{left_out} characters left out]... "


def _before(text: str, position: int) -> int:
    begin = _word_begin(text, position)
    return begin if _TELLING.search(text, begin, position) else position


def _after(text: str, position: int) -> int:
    if _QUOTED.search(text, 0, position):
        return len(text)
    if _TELLING.search(text, _word_begin(text, position), position):
        ends = (found for sign in "& \t\r\n" if (found := text.find(sign, position)) >= 0)
        return min(ends, default=len(text))
    return position


def _word_begin(text: str, position: int) -> int:
    return max(text.rfind(sign, 0, position) for sign in "& \t\r\n") + 1
