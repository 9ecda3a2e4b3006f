# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Parameters: a name, ``=`` and a value, in a query, in a form's body, and in prose."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tornado_opentracing._redaction import quoted
from tornado_opentracing._redaction.names import is_secret_name

# What a name begins behind is what it cannot contain: so nothing is looked at twice. An equals sign is among it, for a
# value may be a query itself.
_PARAM = re.compile(r"""(^|[?&;#=\s"'`(<>{,|:])([^?&;#=\s"'`(<>{,|:]+)\s*:?=+\s*""")
_BLANK = re.compile(r"[&\s]")
# What Python shows of a value that may have blanks in it: ``b'...'``, ``\\'...\\'``, ``SecretStr('...')``, ``<...>``.
_ENCLOSED = re.compile(r"""\\*[A-Za-z]{0,2}["']|[\w.]*[\[({]|<""")


def find(text: str, secrets: frozenset[str], *, is_prose: bool) -> Iterator[tuple[int, int, str]]:
    """Where the values of secret parameters begin and end, and what to put there.

    A value goes on to the next parameter, in prose to the next blank: more may be lost than the secret, but nothing of
    it is left.
    """
    position = 0
    while (match := _PARAM.search(text, position)) is not None:
        before, name = match.groups()
        position = match.end() - 1  # where the next may begin
        # A path may have equals signs: /token=1/edit.
        if ("/" not in name or before in ("?", "&", ";")) and is_secret_name(name, secrets):
            begin = match.end()
            position = _end_in_prose(text, begin) if is_prose else text.find("&", begin)
            position = len(text) if position < 0 else position
            yield begin, position, "REDACTED"


def _end_in_prose(text: str, position: int) -> int:
    if _ENCLOSED.match(text, position):
        position = quoted.end_of_value(text, position)
    match = _BLANK.search(text, position)
    return len(text) if match is None else match.start()
