# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``newrelic``, with its hooks for Tornado."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from beside.guarantees import Guarantees
from beside.peer import SPAN_ID, TRACE_ID, Peer, Record


def called(node: Any) -> list[str]:
    """What was timed within a node, but for how long the event loop was busy with others."""
    children = [child for child in node.children if type(child).__name__ != "LoopNode"]
    names = [getattr(child, "name", None) or f"{child.method} {child.library}" for child in children]
    return [*names, *(name for child in children for name in called(child))]


class NewRelic(Peer):
    """It stays in place until the end of the process. In developer mode it makes up a backend."""

    headers: ClassVar = {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"}

    def switch_on(self) -> None:
        os.environ |= {
            "NEW_RELIC_DEVELOPER_MODE": "true",
            "NEW_RELIC_APP_NAME": "shop",
            "NEW_RELIC_LOG_LEVEL": "critical",
        }
        import newrelic.agent
        from newrelic.core.stats_engine import StatsEngine

        self.transactions: list[Any] = []
        transactions = self.transactions

        class Keep(StatsEngine):  # type: ignore[misc,unused-ignore]
            def record_transaction(self, transaction: Any) -> None:
                transactions.append(transaction)

        StatsEngine.record_transaction = Keep.record_transaction
        newrelic.agent.initialize()
        newrelic.agent.register_application(timeout=10)

    def take_records(self) -> list[Record]:
        transactions, self.transactions[:] = self.transactions[:], []
        return [
            {
                "name": transaction.path,
                "attributes": sorted(
                    (attribute.name, attribute.value)
                    for attribute in transaction.agent_attributes
                    if attribute.name in ("response.status", "http.statusCode", "request.method", "request.uri")
                ),
                "errors": [error.type for error in transaction.errors],
                "parent is caller": transaction.parent_span == f"{SPAN_ID:016x}",
                "trace is caller's": transaction.trace_id == f"{TRACE_ID:032x}",
                "calls": sorted(called(transaction.root)),
            }
            for transaction in transactions
        ]


class TestNewRelic(Guarantees):
    peer = NewRelic
