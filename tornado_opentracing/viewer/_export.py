# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans of this process, sent to the store of another one."""

from __future__ import annotations

import atexit
import http.client
import json
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tornado import autoreload

from tornado_opentracing import _forks
from tornado_opentracing._guard import report
from tornado_opentracing.viewer._otlp_out import encode

if TYPE_CHECKING:
    from tornado_opentracing.viewer._span import RecordedSpan
    from tornado_opentracing.viewer._store import Store

#: Seconds between two looks for spans to send, and how long an answer, and the end of the process, is waited for.
_INTERVAL = 0.2
_PATIENCE = 5.0

#: Seconds between two times at which it is told what is running, and how long that was so for by then.
_RUNNING_INTERVAL = 1.0

#: Spans that wait while nobody takes them; of more, the oldest are lost.
_MOST_WAITING = 10_000
_MOST_BYTES_WAITING = 8 * 1024 * 1024
_MOST_AT_ONCE = 500


def address_of(url: str) -> str:
    """Where spans are posted to.

    :raises ValueError: for what is no address of a store.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"export_to must be an address like http://127.0.0.1:8765, not {url!r}")
    path = parts.path.rstrip("/")
    return f"http://{parts.netloc}{path or '/v1/traces'}"


class Exporter:
    """Sends the spans of a store to another, as OTLP in JSON, from a thread of its own.

    Finished ones some times a second, and before the process ends, unless a signal without a handler ends it, or is
    replaced by ``tornado.autoreload``; those that nobody takes wait, within bounds. Those that have been running for a
    second, once a second, until they are finished.
    """

    def __init__(self, store: Store, url: str) -> None:
        self._address = urlsplit(address_of(url))
        self._store = store
        self._sending = threading.Lock()
        #: When this process began, if it was forked: what was running then never ends here.
        self._forked = 0.0
        self._outbox: deque[RecordedSpan] = deque(maxlen=_MOST_WAITING)
        store.outbox = self._outbox
        self._told_to_end = threading.Event()
        self._thread: threading.Thread | None = None
        self.go_on()
        _forks.look_after(self)
        _exporters.add(self)

    def flush(self) -> None:
        """Send what there is, and wait for that, for some seconds at most."""
        deadline = time.monotonic() + _PATIENCE
        with self._sending:
            while self._outbox and time.monotonic() < deadline and self._send():
                pass

    def stop(self) -> None:
        """Send what there is, and nothing more."""
        self.pause()
        self._store.outbox = None
        self.flush()
        _forks.forget(self)
        _exporters.discard(self)

    def pause(self) -> None:
        """See ``_forks``."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._told_to_end.set()
            thread.join(_PATIENCE)

    def go_on(self) -> None:
        """See ``_forks``."""
        if self._thread is None:
            self._told_to_end = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._told_to_end,), name="tornado_opentracing.export", daemon=True
            )
            self._thread.start()

    def leave(self) -> None:
        """Send in a child what is the child's own."""
        self._sending = threading.Lock()
        self._forked = time.time()
        self._outbox.clear()
        self.go_on()

    def _run(self, told_to_end: threading.Event) -> None:
        told_of_running = time.monotonic()
        while not told_to_end.wait(_INTERVAL):
            with self._sending:
                # What is finished meanwhile is told afterwards.
                if time.monotonic() - told_of_running >= _RUNNING_INTERVAL:
                    self._send_running()
                    told_of_running = time.monotonic()
                while self._outbox and not told_to_end.is_set() and self._send():
                    pass

    def _send(self) -> bool:
        """Send some spans; return whether they were taken."""
        spans = [self._outbox.popleft() for _ in range(min(len(self._outbox), _MOST_AT_ONCE))]
        try:
            self._post(json.dumps(encode(spans)).encode())
        except Exception:
            report("sending spans to the store of traces")
            self._put_back(spans)
            return False
        return True

    def _send_running(self) -> None:
        running = self._store.running(self._forked, time.time() - _RUNNING_INTERVAL)
        own = [span for span in running if span not in self._store.elsewhere][-_MOST_AT_ONCE:]
        if own:
            try:
                self._post(json.dumps(encode(own, are_running=True)).encode())
            except Exception:
                report("telling the store of traces what is running")

    def _put_back(self, spans: list[RecordedSpan]) -> None:
        """Have spans wait again, the newest of all that wait, as far as there is room."""
        waiting = [*spans, *(self._outbox.popleft() for _ in range(len(self._outbox)))]
        size = 0
        while waiting and size < _MOST_BYTES_WAITING:
            size += waiting[-1].size
            self._outbox.appendleft(waiting.pop())

    def _post(self, body: bytes) -> None:
        host = self._address.hostname or ""
        # Neither Tornado's client, whose fetches are traced, nor what would ask a proxy.
        connection = http.client.HTTPConnection(host, self._address.port, timeout=_PATIENCE)
        try:
            connection.request("POST", self._address.path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != http.HTTPStatus.OK:
                raise ConnectionError(f"it was answered with {response.status}")
        finally:
            connection.close()


_exporters: weakref.WeakSet[Exporter] = weakref.WeakSet()


def _flush_all() -> None:
    for exporter in list(_exporters):
        exporter.flush()


atexit.register(_flush_all)
autoreload.add_reload_hook(_flush_all)
