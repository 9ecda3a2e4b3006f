# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Lines of headers in prose, such as ``Authorization: Bearer ...`` in an exception's message."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A name of several words, or one of these: no sentence has such before a colon.
_NAME = re.compile(r"(?<![\w-])(authorization|cookie|[a-z]\w*(?:-\w+)+)[ \t]*:[ \t]*", re.IGNORECASE)
_VALUE = re.compile(r"[^\r\n]+")

# Bokeh's clients, and others that cannot set headers, send a token as a subprotocol of a WebSocket.
_SECRET = re.compile(
    r"auth|cookie|token|secret|passw|passphrase|pwd|apikey|accesskey|masterkey|session|credential|signature|jwt|(?:^|[-_])keys?(?:$|[-_])|websocket-protocol",
    re.IGNORECASE,
)

_also_secret: list[re.Pattern[str]] = []


def redact_headers_also(pattern: re.Pattern[str]) -> None:
    """Take headers for secrets, too, in whose names a pattern is found."""
    if pattern not in _also_secret:
        _also_secret.append(pattern)


def is_secret_header(name: str) -> bool:
    """Whether a header's name looks like a secret's."""
    return _SECRET.search(name) is not None or any(pattern.search(name) for pattern in _also_secret)


def find(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the values of secret headers begin and end, and what to put there; a value goes on to the line's end."""
    position = 0
    while (match := _NAME.search(text, position)) is not None:
        position = match.end()
        # By the last word: an auth-service is none.
        if is_secret_header(match[1].rpartition("-")[2]) and (value := _VALUE.match(text, position)) is not None:
            position = value.end()
            yield value.start(), position, "REDACTED"
