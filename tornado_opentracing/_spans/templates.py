# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Path patterns as templates of low cardinality: what a regular expression says, for people to read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

#: A longer template is cut, and ends with a mark.
LONGEST = 80
MARK = "…"

# The pieces that a pattern consists of, by the name of the group that matches: the first one counts.
_PIECE = re.compile(
    r"""
      (?P<escape> \\. )
    | (?P<class> \[ \^? (?: \\. | [^\\] ) (?: \\. | [^\\\]] )* \\? (?: \] | \Z ) )
    | (?P<comment> \(\?\# [^)]* \)? )
    | (?P<flags> \(\? [aiLmsux]+ \) )
    | (?P<around> \(\? <? [=!] )
    | (?P<conditional> \(\? \( [^)]* \)? )
    | (?P<named> \(\?P<(?P<name>\w+)> )
    | (?P<optional_or_not> \(\?: )
    | (?P<other> \(\? )
    | (?P<numbered> \( )
    | (?P<close> \) )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING = ("around", "conditional", "named", "optional_or_not", "other", "numbered")
_OPTIONAL = ("?", "*")

_CATCH_ALL = re.compile(r"\^?/?(?:\((?:\?:|\?P<\w+>)?)*/?\.[*+]\??\)*(?:/\?)?\$?")


@functools.lru_cache(maxsize=4096)
def template(pattern: str) -> str:
    r"""The template form of a path pattern: each group becomes its name, or its number, in braces.

    ``/story/(?P<story_id>\d+)$`` gives ``/story/{story_id}``, ``/a/(\d+)/(\w+)`` gives ``/a/{0}/{1}``. A slash at the
    end that may be missing, an optional part without groups, flags and whatever only looks ahead or back are left out;
    an optional ending such as ``(?:\.json)?`` becomes ``{format}``. What else Tornado cannot reverse (alternatives,
    optional groups, conditionals, comments) stays as it is written. This takes time in proportion to the pattern's
    length, and never raises.
    """
    pieces = _pieces(pattern)
    begin = 0
    while begin < len(pieces) and (pieces[begin].kind == "flags" or pieces[begin].text in ("^", r"\A")):
        begin += 1
    end = len(pieces)
    if end > begin and pieces[end - 1].text in ("$", r"\Z"):
        end -= 1
    with_slash = end
    while (start := _start_of_optional_slash(pieces, begin, end)) is not None:
        end = start
    found = "".join(_rendered(pattern, pieces, begin, end)) or "/" * (with_slash > end)
    return found if len(found) <= LONGEST else found[: LONGEST - len(MARK)] + MARK


@functools.lru_cache(maxsize=4096)
def is_catch_all(pattern: str) -> bool:
    """Whether every path matches a pattern, as far as can be seen, so that it tells nothing of one."""
    return _CATCH_ALL.fullmatch(pattern) is not None


class _Piece:
    """A sign of a pattern, or what belongs together: an escape, a class, a comment, the beginning of a group."""

    __slots__ = ("close", "groups", "kind", "name", "start", "text")

    def __init__(self, found: re.Match[str], groups: int) -> None:
        self.kind = str(found.lastgroup)
        self.text = found[0]
        self.start = found.start()
        #: How many capturing groups begin before it.
        self.groups = groups
        #: What a capturing group is called.
        self.name = found["name"] or str(groups)
        #: Of the beginning of a group: which piece closes it.
        self.close = 0


def _pieces(pattern: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    opened: list[_Piece] = []
    groups = 0
    for found in _PIECE.finditer(pattern):
        piece = _Piece(found, groups)
        groups += piece.kind in ("named", "numbered")
        if piece.kind in _OPENING:
            opened.append(piece)
        elif piece.kind == "close" and opened:
            opened.pop().close = len(pieces)
        pieces.append(piece)
    for piece in opened:
        piece.close = len(pieces)
    return pieces


def _start_of_optional_slash(pieces: list[_Piece], begin: int, end: int) -> int | None:
    """Where a slash that may be missing begins, if the pieces before an end are one: ``/?``, ``[/]?`` or ``(/?)``."""
    if end - begin >= 4 and [piece.text for piece in pieces[end - 4 : end]] == ["(", "/", "?", ")"]:
        return end - 4
    if end - begin >= 2 and pieces[end - 1].text in _OPTIONAL and pieces[end - 2].text in ("/", r"\/", "[/]"):
        return end - 2
    return None


def _rendered(pattern: str, pieces: list[_Piece], position: int, end: int) -> Iterator[str]:
    while position < end:
        piece = pieces[position]
        after = piece.close + 1
        is_optional = after < len(pieces) and pieces[after].text in _OPTIONAL
        position += 1
        if piece.kind in ("named", "numbered"):
            is_ending = is_optional and pieces[position].text == r"\."
            yield "{format}" if is_ending and piece.kind == "numbered" else f"{{{piece.name}}}"
            position = after + is_ending
        elif piece.kind == "optional_or_not" and is_optional and pieces[position].text == r"\.":
            yield "{format}"
            position = after + 1
        elif piece.kind == "optional_or_not" and is_optional and pieces[piece.close].groups == piece.groups:
            position = after + 1
        elif piece.kind == "around":
            position = after
        elif piece.kind == "conditional":
            yield pattern[piece.start : pieces[after].start if after < len(pieces) else len(pattern)]
            position = after
        elif piece.kind == "escape" and not piece.text[1].isalnum():
            # An escaped letter is a class or a control character, an escaped sign stands for itself.
            yield piece.text[1]
        else:
            yield piece.text
