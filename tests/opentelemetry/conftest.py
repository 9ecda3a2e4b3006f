# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Servers
from support.otel import OpenTelemetry, shop

from tornado_opentracing import init_tracing


@pytest.fixture
def otel() -> OpenTelemetry:
    return OpenTelemetry()


@pytest.fixture(autouse=True)
def _no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.get_records("call") if record.name.startswith("opentelemetry")]


@pytest.fixture
async def url(otel: OpenTelemetry, servers: Servers) -> str:
    init_tracing(otel.tracer)
    return shop(servers, otel)
