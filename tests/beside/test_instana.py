# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``instana``, with its instrumentation of Tornado."""

from __future__ import annotations

import os
from typing import ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


class Instana(Peer):
    """It stays in place until the end of the process."""

    # Its span of the second handler is begun before the first, which hands the request on, ends the newest.
    loses = frozenset({"another Application"})
    headers: ClassVar = {"x-instana-t": f"{TRACE_ID:016x}", "x-instana-s": f"{SPAN_ID:016x}"}

    def switch_on(self) -> None:
        os.environ |= {"INSTANA_DISABLE_AUTO_INSTR": "true", "INSTANA_LOG_LEVEL": "critical"}
        import instana.singletons
        from instana.instrumentation.tornado import client, server  # noqa: F401 - they patch on import

        self.agent = instana.singletons.agent
        self.agent.can_send = lambda: True
        self.agent.get_from_structure = dict
        self.recorder = instana.singletons.span_recorder

    def take_records(self) -> list[Record]:
        spans = self.recorder.queued_spans()
        names = {SPAN_ID: "caller"} | {span.s: f"{span.n} {span.data['http']['url']}" for span in spans}
        return [
            {
                "name": names[span.s],
                "status": span.data["http"]["status"],
                "errors": span.ec,
                "error": span.data["http"]["error"],
                "parent": names.get(span.p),
                "trace is caller's": span.t == TRACE_ID,
            }
            for span in spans
        ]


class TestInstana(Guarantees):
    peer = Instana
