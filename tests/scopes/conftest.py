# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing.opentelemetry import create_tracer


@pytest.fixture(params=["contextvar", "opentelemetry"])
def manager(request: pytest.FixtureRequest) -> ContextVarsScopeManager:
    """The scope manager, and that of the bridge, which keeps the same scopes in OpenTelemetry's context."""
    if request.param == "contextvar":
        return ContextVarsScopeManager()
    made: Any = create_tracer(TracerProvider(shutdown_on_exit=False)).scope_manager
    return made  # type: ignore[no-any-return]
