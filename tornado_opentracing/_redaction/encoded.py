# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is percent-encoded, such as a URL that is a parameter of another."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from urllib.parse import quote, unquote

_BETWEEN = re.compile(r"([&\s<>]+)")


def redact(text: str, redact_decoded: Callable[[str], str]) -> str:
    """A text in which what is encoded is decoded, redacted, and encoded again where that changed it."""
    pieces = _BETWEEN.split(text)
    for number, piece in enumerate(pieces):
        if "%" in piece:
            name, equals, value = piece.partition("=")
            pieces[number] = f"{_redact(name, redact_decoded)}{equals}{_redact(value, redact_decoded)}"
    return "".join(pieces)


def _redact(piece: str, redact_decoded: Callable[[str], str]) -> str:
    decoded = unquote(piece)
    redacted = decoded if decoded == piece else redact_decoded(decoded)
    if redacted == decoded:
        return piece
    as_they_were = "".join({*string.punctuation}.intersection(piece) - {"%"})
    return quote(redacted, safe=as_they_were, errors="replace")
