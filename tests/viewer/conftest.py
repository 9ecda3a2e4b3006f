from __future__ import annotations

import pytest

from tornado_opentracing.viewer import RecordingTracer


@pytest.fixture
def tracer() -> RecordingTracer:
    return RecordingTracer(service="shop")
