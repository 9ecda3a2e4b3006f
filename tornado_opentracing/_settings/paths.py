# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What can be said of ``excluded_paths`` before there is a request: that a pattern can match no path at all."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

# What reads regular expressions for the re module; there is no other way to look into one.
_PARSER = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"
_SLASH = ord("/")
_CLASSES_WITH_A_SLASH = {"CATEGORY_NOT_WORD", "CATEGORY_NOT_DIGIT", "CATEGORY_NOT_SPACE"}

#: As the parser has them: kinds of elements, each with what belongs to it.
_Elements = Sequence[tuple[Any, Any]]


def warn_of_useless(patterns: Iterable[re.Pattern[str]], name: str, stacklevel: int) -> None:
    """Warn of each pattern that can match no path.

    :param name: what the developer calls the setting.
    :param stacklevel: as for :func:`warnings.warn`, seen from the caller.
    """
    for pattern in patterns:
        if not _can_match_a_path(pattern):
            warnings.warn(
                f"{name} contains {pattern.pattern!r}, which can match no path: a path begins with a slash",
                RuntimeWarning,
                stacklevel=stacklevel + 1,
            )


def _can_match_a_path(pattern: re.Pattern[str]) -> bool:
    """Whether there is a path that it matches as a whole; where that cannot be told, ``True``.

    A path begins with a slash, but for ``*`` (of ``OPTIONS``) and the URLs that a proxy is asked for. An empty pattern,
    as of a variable that is not set, is meant to match nothing.
    """
    if not pattern.pattern or pattern.pattern.startswith((r"\*", "http")):
        return True
    try:
        return _can_begin(tuple(importlib.import_module(_PARSER).parse(pattern.pattern, pattern.flags)))
    except Exception:  # another Python's parser, or one too deep for this
        return True


def _can_begin(elements: _Elements) -> bool:
    """Whether what these match can begin with a slash."""
    if not elements:
        return False
    (kind, value), rest = elements[0], tuple(elements[1:])
    is_first = _TAKES_A_CHARACTER.get(str(kind))
    if is_first is not None:
        return is_first(value)
    unfolded = _unfolded(str(kind), value, rest)
    return unfolded is None or any(map(_can_begin, unfolded))


def _unfolded(kind: str, value: Any, rest: _Elements) -> list[_Elements] | None:
    """What may stand in the place of an element and the rest; ``None`` for one that is not known."""
    if kind in ("AT", "ASSERT", "ASSERT_NOT"):  # they take no character
        return [rest]
    if kind == "BRANCH":
        return [(*branch, *rest) for branch in value[1]]
    if kind == "SUBPATTERN":
        return [(*value[-1], *rest)]
    if kind == "ATOMIC_GROUP":
        return [(*value, *rest)]
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, repeated = value
        return [(*repeated, *rest), *([rest] if least == 0 else [])]
    return None


def _has_a_slash(characters: Iterable[tuple[Any, Any]]) -> bool:
    """Whether a slash is one of a set of characters."""
    is_negated = found = False
    for kind, value in characters:
        name = str(kind)
        is_negated |= name == "NEGATE"
        found |= name == "LITERAL" and value == _SLASH
        found |= name == "RANGE" and value[0] <= _SLASH <= value[1]
        found |= name == "CATEGORY" and str(value) in _CLASSES_WITH_A_SLASH
    return found is not is_negated


_TAKES_A_CHARACTER: dict[str, Callable[[Any], bool]] = {
    "ANY": lambda _: True,
    "LITERAL": lambda character: character == _SLASH,
    "NOT_LITERAL": lambda character: character != _SLASH,
    "IN": _has_a_slash,
}
