# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A pattern that can match no path is warned of, and none that can match one."""

from __future__ import annotations

import re

import pytest
from support import MockRecorder
from tornado.web import Application

from tornado_opentracing import TornadoTracing, init_tracing

CANNOT: list[str | re.Pattern[str]] = [
    "health", "^health$", "health/.*", "(health|ready)", "metrics|health", "h?ealth", "(?:health)?", "a*b*",
    r"\w+", "[a-z]+", "[^/]*", r"\d+/x", "(?i)Health", "(?P<page>about)/?", re.compile("health"), "(?>a)b", "$",
]  # fmt: skip
CAN: list[str | re.Pattern[str]] = [
    "", "/health", ".*", "[^x]+", "h?/x", "(a|/b)", "/a|b", r"\W.*", r"\*", "http://proxied/.*", "^/a$", "(?i)/A",
    "(?P<first>/)a", "(?=/).*", "[!-~]+", "(?!/static).*", "/?x", r"[\w/]+", "(/a)?(/b)?", r"\S+", re.compile("/a"),
]  # fmt: skip


def patterns(listed: list[str | re.Pattern[str]]) -> list[str | re.Pattern[str]]:
    found = []
    for pattern in listed:
        try:
            re.compile(pattern)
        except re.error:  # an atomic group, before Python 3.11
            continue
        found.append(pattern)
    return found


@pytest.mark.parametrize("pattern", patterns(CANNOT), ids=str)
def test_a_pattern_that_can_match_no_path_is_warned_of(pattern: str | re.Pattern[str]) -> None:
    said = re.escape(f"contains {re.compile(pattern).pattern!r}, which can match no path: a path begins with a slash")
    with pytest.warns(RuntimeWarning, match=f"^excluded_paths {said}$") as warned:
        TornadoTracing(excluded_paths=["/a", pattern])
    with pytest.warns(RuntimeWarning, match=f"^excluded_paths {said}$") as also_warned:
        init_tracing(MockRecorder().tracer, excluded_paths=["/a", pattern])
    init_tracing(MockRecorder().tracer)
    with pytest.warns(RuntimeWarning, match=f"^opentracing_excluded_paths {said}$") as finally_warned:
        Application([], opentracing_excluded_paths=[pattern])
    assert [warning.filename for found in (warned, also_warned, finally_warned) for warning in found] == [__file__] * 3


@pytest.mark.parametrize("pattern", CAN, ids=str)
def test_a_pattern_that_can_match_a_path_is_taken(pattern: str | re.Pattern[str]) -> None:
    assert TornadoTracing(excluded_paths=[pattern]).options.excluded_paths == (re.compile(pattern),)


def test_one_that_is_too_deep_to_be_looked_into_is_taken() -> None:
    TornadoTracing(excluded_paths=["a?" * 5000 + "/"])
