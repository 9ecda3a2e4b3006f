# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``sentry-sdk``, with its integration for Tornado."""

from __future__ import annotations

from typing import Any, ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


class Sentry(Peer):
    """It stays in place until the end of the process."""

    headers: ClassVar = {"sentry-trace": f"{TRACE_ID:032x}-{SPAN_ID:016x}-1"}

    def switch_on(self) -> None:
        import sentry_sdk
        from sentry_sdk.integrations.tornado import TornadoIntegration
        from sentry_sdk.transport import Transport

        self.envelopes: list[Any] = []
        envelopes = self.envelopes

        class Keep(Transport):  # type: ignore[misc,unused-ignore]
            def capture_envelope(self, envelope: Any) -> None:
                envelopes.append(envelope)

        sentry_sdk.init(
            "http://key@localhost/1", transport=Keep(), traces_sample_rate=1.0, integrations=[TornadoIntegration()]
        )

    def take_records(self) -> list[Record]:
        events = [item.payload.json for envelope in self.envelopes for item in envelope.items]
        self.envelopes.clear()
        return [self._record(event) for event in events if event is not None and "contexts" in event]

    def _record(self, event: Any) -> Record:
        trace = event["contexts"]["trace"]
        return {
            "type": event.get("type", "event"),
            "name": event.get("transaction"),
            "op": trace.get("op"),
            "status": trace.get("status"),
            "exception": [value["type"] for value in event.get("exception", {}).get("values", [])],
            "parent is caller": trace.get("parent_span_id") == f"{SPAN_ID:016x}",
            "trace is caller's": trace["trace_id"] == f"{TRACE_ID:032x}",
            "spans": [span["description"] for span in event.get("spans", [])],
        }


class TestSentry(Guarantees):
    peer = Sentry
