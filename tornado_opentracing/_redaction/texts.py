# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Texts without the secrets in them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection
from typing import Any

from tornado_opentracing._redaction import encoded, headers, params, quoted, user_info
from tornado_opentracing._redaction.bounds import LONGEST_VALUE, redact_ends
from tornado_opentracing._redaction.names import is_secret_name

REDACTED = "REDACTED"

#: How often what is encoded is decoded: a URL in a URL in a URL is looked at.
_DEEPEST = 4
#: What changes still when it is looked at again was made to.
_MOST_PASSES = 10


def redact_url(url: str, secrets: Collection[str]) -> str:
    """A URL without user name and password, and without the values of the parameters named."""
    if len(url) <= LONGEST_VALUE and not (
        "=" in url or "@" in url or "%" in url or '"' in url or "'" in url  # as nearly all are
    ):
        return url
    return _bounded(url, functools.partial(_redact, secrets=frozenset(secrets), is_url=True))


def redact_value(value: str, secrets: Collection[str]) -> str:
    """A text that is one value: a query string, a form's body, JSON, or anything in which blanks mean nothing."""
    return _bounded(value, functools.partial(_redact, secrets=frozenset(secrets)))


def redact_text(text: str, secrets: Collection[str]) -> str:
    """Prose, such as an exception's message, in which a blank ends a URL or a parameter."""
    return _bounded(text, functools.partial(_redact, secrets=frozenset(secrets), is_prose=True))


def _bounded(text: str, redact: Callable[[str], str]) -> str:
    for _ in range(_MOST_PASSES):
        redacted = redact_ends(text, redact) if len(text) > LONGEST_VALUE else redact(text)
        if redacted == text:
            return text
        # What was taken away may have stood between the two halves of something.
        text = redacted
    return REDACTED


def _redact(
    text: str, secrets: frozenset[str], *, is_prose: bool = False, is_url: bool = False, depth: int = _DEEPEST
) -> str:
    deeper = functools.partial(_redact, secrets=secrets, depth=depth - 1)
    if depth and text.lstrip()[:1] in ("{", "["):
        try:
            return _redact_json(text, secrets, deeper)
        except (ValueError, RecursionError):
            pass  # it only begins like JSON
    # Each looks at the same text: what one takes away must not be what another tells a secret by.
    found: list[tuple[int, int, str]] = []
    if "@" in text:
        found += user_info.find(text, is_prose=is_prose)
        found += user_info.find_at_start(text) if is_url else ()
    if "=" in text:
        found += params.find(text, secrets, is_prose=is_prose)
    if ":" in text and not is_url:
        found += headers.find(text)
    if '"' in text or "'" in text:
        found += quoted.find(text, secrets)
    text = _replaced(text, found) if found else text
    # Only now: to decode what is in user info would move its end.
    return encoded.redact(text, deeper) if depth and "%" in text else text


def _replaced(text: str, found: list[tuple[int, int, str]]) -> str:
    """A text with parts of it replaced; those that overlap are one."""
    merged: list[tuple[int, int, str]] = []
    for begin, end, replacement in sorted(found, key=lambda part: (part[0], -part[1])):
        if not merged or begin >= merged[-1][1]:
            merged.append((begin, end, replacement))
        elif end > merged[-1][1]:
            merged[-1] = (merged[-1][0], end, REDACTED)
    parts, position = [], 0
    for begin, end, replacement in merged:
        parts += [text[position:begin], replacement]
        position = end
    return "".join([*parts, text[position:]])


def _redact_json(text: str, secrets: frozenset[str], redact: Callable[[str], str]) -> str:
    value = json.loads(text, object_pairs_hook=_unambiguous)
    redacted = _redact_object(value, secrets, redact)
    return text if redacted == value else json.dumps(redacted, ensure_ascii=False, separators=(",", ":"))


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _redact_object(value: Any, secrets: frozenset[str], redact: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            redact(name): REDACTED if is_secret_name(name, secrets) else _redact_object(item, secrets, redact)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redact_object(item, secrets, redact) for item in value]
    return redact(value) if isinstance(value, str) else value
