# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What recording a span costs, in calls of Python's functions, of which each takes some hundred instructions."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from opentracing.mocktracer import MockTracer

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing.viewer import RecordingTracer


def calls_of_a_child(tracer: Any) -> int:
    """How many functions are called for a span beneath another one."""
    count = 0

    def profile(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    with tracer.start_active_span("parent"):
        sys.setprofile(profile)
        try:
            with tracer.start_active_span("child", tags={"span.kind": "client", "http.url": "http://x/y"}) as scope:
                scope.span.set_tag("http.status_code", 200)
        finally:
            sys.setprofile(None)
    return count


def test_recording_a_span_calls_no_more_than_mocktracer_does() -> None:
    assert calls_of_a_child(RecordingTracer()) <= calls_of_a_child(MockTracer(ContextVarsScopeManager()))
