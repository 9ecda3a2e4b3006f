# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``elastic-apm``, with its instrumentation of Tornado."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record

if TYPE_CHECKING:
    from tornado.web import Application


class Elastic(Peer):
    """It puts back what it found, which takes off whatever lies on top."""

    headers: ClassVar = {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"}
    can_be_removed_beneath = True

    def switch_on(self) -> None:
        import elasticapm

        self.events: list[tuple[str, Any]] = []
        events = self.events

        class Keep(elasticapm.Client):  # type: ignore[misc,unused-ignore]
            def queue(self, event_type: str, data: Any, flush: bool = False) -> None:
                events.append((event_type, data))

        self.client = Keep(
            service_name="shop", disable_send=True, central_config=False, cloud_provider="none", metrics_interval="0ms"
        )
        elasticapm.instrument()

    def equip(self, application: Application) -> None:
        from elasticapm.contrib.tornado import ElasticAPM

        ElasticAPM(application, client=self.client)

    def switch_off(self) -> None:
        import elasticapm

        elasticapm.uninstrument()

    def take_records(self) -> list[Record]:
        events, self.events[:] = self.events[:], []
        return [self._record(kind, data) for kind, data in events if kind in ("transaction", "span", "error")]

    def _record(self, kind: str, data: Any) -> Record:
        return {
            "kind": kind,
            "name": data.get("name"),
            "result": data.get("result"),
            "outcome": data.get("outcome"),
            "status": data.get("context", {}).get("response", {}).get("status_code"),
            "exception": data.get("exception", {}).get("type"),
            "parent is caller": data.get("parent_id") == f"{SPAN_ID:016x}",
            "trace is caller's": data.get("trace_id") == f"{TRACE_ID:032x}",
        }


class TestElastic(Guarantees):
    peer = Elastic
