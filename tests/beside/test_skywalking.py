# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``apache-skywalking``, with its plugin for Tornado."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class SkyWalking(Peer):
    """It stays in place until the end of the process. Its agent is not started, for that one looks for a backend."""

    headers: ClassVar = {
        "sw8": "-".join(["1", encoded(f"{TRACE_ID:x}"), encoded(f"{SPAN_ID:x}"), "0", *map(encoded, "abcd")])
    }

    def switch_on(self) -> None:
        from skywalking import config
        from skywalking.agent import agent
        from skywalking.plugins import sw_tornado

        self.segments: list[Any] = []
        config.init(agent_name="shop", agent_logging_level="CRITICAL", agent_profile_active=False)
        config.finalize()
        agent.is_segment_queue_full = lambda: False
        agent.archive_segment = self.segments.append
        sw_tornado.install()

    def take_records(self) -> list[Record]:
        segments, self.segments[:] = self.segments[:], []
        return [
            {
                "name": span.op,
                "kind": span.kind.name,
                "error": span.error_occurred,
                "tags": [(tag.key, tag.val) for tag in span.iter_tags()],
                "callers": [reference.segment_id for reference in span.refs if reference.segment_id == f"{SPAN_ID:x}"],
                "references": len(span.refs),
                "depth in segment": span.sid,
            }
            for segment in segments
            for span in segment.spans
        ]


class TestSkyWalking(Guarantees):
    peer = SkyWalking
