# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``opentracing.harness``, unmodified: what every scope manager has to do, and what every tracer can under ours."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import unittest.mock
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentracing.mocktracer import MockTracer

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing.opentelemetry import create_tracer

# The harness imports the distribution "mock", which is a copy of what Python has brought since 3.3.
sys.modules.setdefault("mock", unittest.mock)

from opentracing.harness.api_check import APICompatibilityCheckMixin  # noqa: E402
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin  # noqa: E402


class TestScopes(ScopeCompatibilityCheckMixin):
    """In the main thread, without an event loop."""

    def scope_manager(self) -> ContextVarsScopeManager:
        return ContextVarsScopeManager()


class TestScopesInACoroutine(TestScopes):
    def run_test(self, test_fn: Callable[[], object]) -> None:
        async def coroutine() -> None:
            test_fn()

        asyncio.run(coroutine())


class TestScopesInAContextOfItsOwn(TestScopes):
    def run_test(self, test_fn: Callable[[], object]) -> None:
        contextvars.Context().run(test_fn)


class TestScopesInAThread(TestScopes):
    def run_test(self, test_fn: Callable[[], object]) -> None:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(test_fn).result(10)


class TestTracer(APICompatibilityCheckMixin):
    """``MockTracer`` under our scope manager."""

    def tracer(self) -> MockTracer:
        return MockTracer(ContextVarsScopeManager())

    def is_parent(self, parent: Any, span: Any) -> bool:
        return bool(span.parent_id == (None if parent is None else parent.context.span_id))


class TestBridge(APICompatibilityCheckMixin):
    """OpenTelemetry's SDK, through this package's bridge."""

    provider = TracerProvider(shutdown_on_exit=False)

    def tracer(self) -> Any:
        return create_tracer(self.provider)

    def is_parent(self, parent: Any, span: Any) -> bool:
        found = span.unwrap().parent
        return bool((found and found.span_id) == (None if parent is None else parent.context.span_id))

    @pytest.fixture(autouse=True)
    def _in_a_context_of_its_own(self) -> Iterator[None]:
        """One of the checks leaves a scope open."""
        token = context.attach(context.get_current())
        yield
        context.detach(token)
