# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""User names and passwords in front of a host: ``//bob:secret@host``, and ``bob:secret@host`` without a scheme."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANKS = re.compile(r"[\s<>]+")
_AUTHORITY = re.compile(r"[^/?]*")
_SCHEMELESS_AUTHORITY = re.compile(r"[^/?#]*")
#: What two slashes stand behind that begin an authority; elsewhere they are part of a path.
_BEFORE_SLASHES = frozenset(":=?&;#,|(<[{\"'`")
_ENDS = re.compile(r"[\s/@&=]")
_USER = re.compile(r"""(?:^|[\s"'`(<=,;?&#|])([^\s:"'`(<>=,;?&#|]+):""")
_USER_WITHIN = re.compile(_USER.pattern.replace("^|", ""))

Found = Iterator[tuple[int, int, str]]


def find(text: str, *, is_prose: bool) -> Found:
    """Where user info begins and ends, its ``@`` included, and what to put there: nothing."""
    begin = 0
    for blanks in _BLANKS.finditer(text) if is_prose else ():
        yield from _in_urls(text, begin, blanks.start())
        begin = blanks.end()
    yield from _in_urls(text, begin, len(text))
    yield from _without_scheme(text)


def find_at_start(url: str) -> Found:
    """The same for a URL that begins with its authority, where a user name may stand without a password."""
    begin = len(url) - len(url.lstrip())
    match = _SCHEMELESS_AUTHORITY.match(url, begin)
    at = -1 if match is None else url.rfind("@", begin, match.end())
    if at >= 0:
        yield begin, at + 1, ""


def _in_urls(text: str, begin: int, end: int) -> Found:
    # An ampersand in a password is one; behind a question mark it ends a parameter.
    query = text.find("?", begin, end)
    while query >= 0 and (query := text.find("&", query, end)) >= 0:
        yield from _in_one_value(text, begin, query)
        begin = query = query + 1
    yield from _in_one_value(text, begin, end)


def _in_one_value(text: str, begin: int, end: int) -> Found:
    last = text.rfind("@", begin, end)
    position = begin
    while (slashes := text.find("//", position, end)) >= 0:
        start = position = slashes + 2
        if last < start:
            return
        before = text[slashes - 1] if slashes else " "
        if before not in _BEFORE_SLASHES and not before.isspace():
            continue
        match = _AUTHORITY.match(text, start, end)
        position = start if match is None else match.end()
        at = text.rfind("@", start, position)
        if not _may_be_host(text[max(start, at + 1) : position]) or (at >= 0 and _is_no_query(text[position:last])):
            # A password with a slash or a question mark in it.
            at = last
        if at >= 0:
            yield start, at + 1, ""
            position = max(position, at + 1)


def _may_be_host(authority: str) -> bool:
    _, colon, port = authority.rpartition("]")[2].partition(":")
    return not colon or port.isdigit()


def _is_no_query(behind: str) -> bool:
    return behind.startswith("?") and "=" not in behind


def _without_scheme(text: str) -> Found:
    # In parts that nothing in user info divides; an ampersand does so in a query only.
    begin, is_start, is_value = 0, True, False
    for match in _ENDS.finditer(text):
        sign = match[0]
        if sign == "=":
            is_value = True
            continue
        if sign == "&" and not is_value:
            continue
        user = (_USER if is_start else _USER_WITHIN).search(text[begin : match.start()]) if sign == "@" else None
        if user is not None:
            yield begin + user.start(1), match.end(), ""
        is_start = user is not None or sign in "&" or sign.isspace() or text[begin : match.end()].endswith(":/")
        begin, is_value = match.end(), False
