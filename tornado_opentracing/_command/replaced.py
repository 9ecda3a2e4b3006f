# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A program that replaces itself by another one of Python's (``jupyter server`` does) goes on under the command."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

_MODULE = "tornado_opentracing"

#: Options of Python itself that are followed by a value.
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def follow(options: Sequence[str], before: Callable[[], object]) -> None:
    """Have ``os.exec*`` run Python's programs under this command, with the same options.

    What is run by another Python, by ``-c``, or is no program of Python's, is left as it is; so is what is run without
    ``exec``.

    :param options: this command's own.
    :param before: called before one of them takes the place of this process.
    """
    for name in ("execv", "execve"):  # by which all others go
        setattr(os, name, _following(getattr(os, name), list(options), before))


def _following(original: Callable[..., Any], options: list[str], before: Callable[[], object]) -> Callable[..., Any]:
    @functools.wraps(original)
    def replacement(path: Any, argv: Any, *env: Any) -> Any:
        found = under_command(path, argv, options)
        if found is None:
            return original(path, argv, *env)
        before()
        return original(sys.executable, found, *env)

    return replacement


def under_command(path: Any, argv: Any, options: list[str]) -> list[str] | None:
    """The arguments of Python that run a program under the command; ``None`` where that is not to be."""
    try:
        file, arguments = os.fsdecode(path), [os.fsdecode(argument) for argument in argv]
    except TypeError:
        return None
    if os.path.abspath(file) != os.path.abspath(sys.executable):
        is_script = bool(arguments) and _is_script_of_this_python(file)
        return [sys.executable, "-m", _MODULE, *options, file, *arguments[1:]] if is_script else None
    position = 1
    while position < len(arguments) and arguments[position].startswith("-") and arguments[position] != "-m":
        if arguments[position].startswith("-c") or arguments[position] == "-":
            return None
        position += 2 if arguments[position] in _WITH_VALUE else 1
    program = arguments[position:]
    if not program or program[:2] in (["-m", _MODULE], ["-m", f"{_MODULE}.__main__"]):  # a reload, say
        return None
    return [*arguments[:position], "-m", _MODULE, *options, *program]


def _is_script_of_this_python(file: str) -> bool:
    try:
        with open(file, "rb") as opened:
            first = opened.readline(500)
    except OSError:
        return False
    interpreter = os.fsdecode(first[2:].strip().partition(b" ")[0]) if first.startswith(b"#!") else ""
    here = os.path.dirname(os.path.abspath(sys.executable))
    return os.path.basename(interpreter).startswith("python") and os.path.dirname(interpreter) == here
