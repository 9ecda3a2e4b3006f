# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tornado_opentracing.viewer import RecordingTracer


@pytest.fixture
def tracer() -> RecordingTracer:
    return RecordingTracer(service="shop")
