# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``basictracer``, OpenTracing's own reference tracer, with its recorder in memory."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from basictracer import BasicTracer
from basictracer.recorder import InMemoryRecorder
from basictracer.text_propagator import TextPropagator
from opentracing import Format
from support import Recorded
from tracers.guarantees import Guarantees, TracerRecorder

# Even the older one warns.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated create function:DeprecationWarning")

#: From version 4 on, protobuf refuses the code that basictracer once generated with it.
HAS_OLD_PROTOBUF = int(version("protobuf").partition(".")[0]) < 4


def read(span: Any) -> Recorded:
    """A record of a span of ``basictracer``, and of whatever is built upon that."""
    return Recorded(
        span.operation_name,
        span.context.trace_id,
        span.context.span_id,
        span.parent_id,
        dict(span.tags),
        [dict(log.key_values) for log in span.logs],
        span.start_time,
        span.start_time + span.duration,
    )


class TestBasicTracer(Guarantees):
    corrupt_header = ("ot-tracer-traceid", "nonsense")

    def make_recorder(self, **kwargs: Any) -> TracerRecorder:
        memory = InMemoryRecorder()
        tracer = BasicTracer(memory, **kwargs)
        if HAS_OLD_PROTOBUF:
            tracer.register_required_propagators()
        else:
            tracer.register_propagator(Format.HTTP_HEADERS, TextPropagator())
        return TracerRecorder(tracer, memory.get_spans, read)


@pytest.mark.skipif(HAS_OLD_PROTOBUF, reason="protobuf is old enough")
def test_registering_every_format_needs_an_older_protobuf() -> None:
    with pytest.raises(TypeError, match="Descriptors cannot be created directly"):
        BasicTracer().register_required_propagators()
