# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Names in quotes with a value behind them, as in JSON and in what Python shows of a ``dict`` and of pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tornado_opentracing._redaction.names import is_secret_name

_NAME_ENDS = re.compile(r"[\"']\s*([:=,])\s*")
_PAIR_BEGINS = re.compile(r"\(\s*[A-Za-z]{0,2}\\*$")
_SIGNS = re.compile(r"[\[\](){}<>\"',&\s]")
_LONGEST_NAME = 200
_LONGEST_BEFORE = 10


def find(text: str, secrets: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Where the values of secret names begin and end, and what to put there."""
    position = 0
    while (match := _NAME_ENDS.search(text, position)) is not None:
        begin, closing, quote = match.end(), match.start(), text[match.start()]
        before = text[max(position, closing - _LONGEST_NAME) : closing]
        unescaped = before.rstrip("\\")
        start, _, name = unescaped.rpartition(quote)
        position = begin
        if is_secret_name(name, secrets) and (match[1] != "," or _PAIR_BEGINS.search(start[-_LONGEST_BEFORE:])):
            position = end_of_value(text, begin)
            escaped = before[len(unescaped) :] + quote
            yield begin, position, f"{escaped}REDACTED{escaped}"


def end_of_value(text: str, position: int) -> int:
    """Where a value ends: a string, a number, or anything in brackets. At the text's end, where it does not end."""
    depth = 0
    begin = position
    while (match := _SIGNS.search(text, position)) is not None:
        sign, position = match[0], match.end()
        if sign in "\"'":
            position = _end_of_string(text, position, sign, _backslashes(text, begin, match.start()))
        elif sign in "[({<":
            depth += 1
        elif depth == 0:
            return match.start()
        elif sign in "])}>":
            depth -= 1
        begin = position
    return len(text)


def _end_of_string(text: str, position: int, quote: str, escapes: int) -> int:
    """Where a string ends whose opening quote had so many backslashes: more of them where it is within another."""
    while (closing := text.find(quote, position)) >= 0:
        found = _backslashes(text, position, closing)
        position = closing + 1
        # A backslash within the string is two, or more; with fewer than its own, the string around it ends.
        if found % (2 * escapes + 2) <= escapes:
            return position
    return len(text)


def _backslashes(text: str, begin: int, end: int) -> int:
    before = text[begin:end]
    return len(before) - len(before.rstrip("\\"))
