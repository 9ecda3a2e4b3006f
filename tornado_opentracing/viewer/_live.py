# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What keeps a page up to date, over a WebSocket."""

from __future__ import annotations

import abc
import contextlib
import time
from typing import Any

from tornado.ioloop import PeriodicCallback
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tornado_opentracing._guard import report
from tornado_opentracing.viewer import _pages
from tornado_opentracing.viewer._listing import Listing
from tornado_opentracing.viewer._page import Page

_LIVE_INTERVAL_MS = 250

#: Seconds after which whoever has a page open is asked about again, though nothing is sent.
_ASK_AGAIN = 1.0
_POLICY_VIOLATION = 1008


class _Live(Page, WebSocketHandler, abc.ABC):
    """Sends something whenever it has changed."""

    @abc.abstractmethod
    def change(self) -> str | None:
        """What to send; ``None`` where nothing has changed."""

    def open(self) -> None:
        self._version = self.tracer.version
        self._sending: Any = None
        self._asked = time.monotonic()
        self._check = PeriodicCallback(self._send_if_changed, _LIVE_INTERVAL_MS)
        self._check.start()
        self._send()

    def _send_if_changed(self) -> None:
        is_changed = self.tracer.version != self._version
        if (is_changed or time.monotonic() > self._asked + _ASK_AGAIN) and not self._may_still_see():
            self._check.stop()
            self.close(_POLICY_VIOLATION)
            return
        # What a client has not read yet is not added to.
        if is_changed and (self._sending is None or self._sending.done()):
            self._version = self.tracer.version
            self._send()

    def _may_still_see(self) -> bool:
        self._asked = time.monotonic()
        try:
            return self.may_see()
        except Exception:
            report("allow")
            return False

    def _send(self) -> None:
        text = self.change()
        if text is not None:
            with contextlib.suppress(WebSocketClosedError):
                self._sending = self.write_message(text)
                self._sending.add_done_callback(lambda sending: sending.cancelled() or sending.exception())

    def on_message(self, message: str | bytes) -> None:
        """Nothing is expected."""

    def on_close(self) -> None:
        self._check.stop()


class ListLive(_Live):
    """The list, as the address asks for it; of rows that were sent, those alone that have changed."""

    def open(self) -> None:
        self._listing = Listing(self.wanted())
        super().open()

    def change(self) -> str | None:
        return self._listing.change(self.tracer.traces())


class TraceLive(_Live):
    """One trace, for as long as it is kept."""

    def open(self, trace_id: str) -> None:  # type: ignore[override]  # Tornado passes what the path has
        self._trace_id = int(trace_id, 16)
        #: What the page shows; it comes with the state of what it was made of.
        self._seen = self.get_query_argument("state", "")
        super().open()

    def change(self) -> str | None:
        trace = self.tracer.trace(self._trace_id)
        # What a span got while it ran is there when it is finished, at the latest.
        if trace is None:
            return None
        if (state := _pages.state_of(trace)) == self._seen:
            return None
        self._seen = state
        return _pages.to_text(_pages.as_json(trace))
