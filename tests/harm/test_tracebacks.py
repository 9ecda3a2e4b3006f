# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A stack trace shows what Python's own would, though it is put together from what was shown before."""

from __future__ import annotations

import builtins
import sys
import traceback
from typing import Any

import pytest

from tornado_opentracing import _tracebacks
from tornado_opentracing._tracebacks import format_exception


def fails(depth: int) -> None:
    if depth == 0:
        raise ValueError("at the bottom")
    fails(depth - 1)


def caught(depth: int) -> BaseException:
    try:
        fails(depth)
    except ValueError as error:
        return error
    raise AssertionError


def without_carets(text: str) -> list[str]:
    """They are left out where that saves time."""
    return [line for line in text.splitlines() if not line.strip() or set(line.strip()) - set("^~")]


def as_python_shows(error: BaseException) -> list[str]:
    return without_carets("".join(traceback.format_exception(error)))


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4, 50])
def test_the_frames_are_those_that_python_shows_also_the_second_time(depth: int) -> None:
    for _ in range(2):
        error = caught(depth)
        assert without_carets(format_exception(error)) == as_python_shows(error)


def test_causes_and_contexts_are_there() -> None:
    error = KeyError("above")
    error.__cause__ = caught(1)
    assert without_carets(format_exception(error)) == as_python_shows(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_members_of_a_group_are_there() -> None:
    group: Any = vars(builtins)["ExceptionGroup"]("several", [caught(0), caught(1)])
    assert without_carets(format_exception(group)) == as_python_shows(group)


def test_an_exception_that_was_never_raised_has_no_frames() -> None:
    assert format_exception(ValueError("never")) == "ValueError: never"


def test_what_is_kept_of_programs_that_make_code_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tracebacks, "_MOST_SHOWN", 3)
    for number in range(10):
        with pytest.raises(ZeroDivisionError) as raised:
            exec(compile("1 / 0", f"<made {number}>", "exec"))
        assert f'File "<made {number}>", line 1' in format_exception(raised.value)
        assert len(_tracebacks._shown) <= 3
