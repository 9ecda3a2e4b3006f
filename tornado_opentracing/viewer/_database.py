# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The traces of a tracer in a file, from one run to the next."""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tornado_opentracing import _forks
from tornado_opentracing._guard import report
from tornado_opentracing.viewer._otlp_in import ReadSpan, decode
from tornado_opentracing.viewer._otlp_out import encode
from tornado_opentracing.viewer._remote import record

if TYPE_CHECKING:
    from tornado_opentracing.viewer._span import RecordedSpan
    from tornado_opentracing.viewer._store import Store

#: Seconds between two looks for what is new.
_INTERVAL = 0.5

_MAKE = """
CREATE TABLE IF NOT EXISTS tornado_opentracing_spans (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, start_time REAL NOT NULL, span BLOB NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID
"""
_KEEP = "INSERT OR REPLACE INTO tornado_opentracing_spans VALUES (?, ?, ?, ?)"
_LET_GO = "DELETE FROM tornado_opentracing_spans WHERE trace_id = ?"
_ALL = "SELECT span FROM tornado_opentracing_spans ORDER BY start_time"


class Database:
    """Keeps the finished spans of a store in a file of SQLite, as compressed OTLP in JSON; not what the store lets go.

    So the store's bounds are the file's, too: what is in the file takes fewer bytes than it does in memory. It is
    written from a thread, twice a second, and by :meth:`close`.

    :param store: what was in the file is put into it.
    :param path: the file; it is made where it is not there.
    :raises sqlite3.Error: it cannot be opened, or is no database.
    :raises ValueError, zlib.error: it is damaged.
    """

    def __init__(self, store: Store, path: str | Path) -> None:
        # Which threads take turns, under a lock.
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._writing = threading.Lock()
        self._store = store
        self._outbox: deque[RecordedSpan] = deque()
        self._let_go: deque[int] = deque()
        try:
            self._connection.execute("PRAGMA auto_vacuum = FULL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_MAKE)
            store.let_go = self._let_go
            record(store, self._read())
        except BaseException:
            self._connection.close()
            raise
        store.outbox = self._outbox
        self._told_to_end = threading.Event()
        self._thread: threading.Thread | None = None
        self.go_on()
        _forks.look_after(self)

    def close(self) -> None:
        """Write what is new, and close the file."""
        _forks.forget(self)
        self.pause()
        self._store.outbox = self._store.let_go = None
        with self._writing:
            self._write()
            self._connection.close()

    def pause(self) -> None:
        """See ``_forks``."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._told_to_end.set()
            thread.join()

    def go_on(self) -> None:
        """See ``_forks``."""
        self._told_to_end = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._told_to_end,), name="tornado_opentracing.database", daemon=True
        )
        self._thread.start()

    def leave(self) -> None:
        """A child has nothing to do with the file, which is the parent's."""
        _forks.forget(self)
        self._store.let_go = None
        if self._store.outbox is self._outbox:  # and not yet what sends the child's own spans
            self._store.outbox = None

    def _read(self) -> Iterator[ReadSpan | None]:
        for (span,) in self._connection.execute(_ALL):
            yield from decode(json.loads(zlib.decompress(span)))

    def _run(self, told_to_end: threading.Event) -> None:
        while not told_to_end.wait(_INTERVAL):
            try:
                with self._writing:
                    self._write()
            except Exception:
                report("writing traces to the file")

    def _write(self) -> None:
        spans = [self._outbox.popleft() for _ in range(len(self._outbox))]
        traces = [self._let_go.popleft() for _ in range(len(self._let_go))]
        if not spans and not traces:
            return
        rows = [
            (
                f"{span.context.trace_id:032x}",
                f"{span.context.span_id:016x}",
                span.start_time,
                zlib.compress(json.dumps(encode([span])).encode(), 1),
            )
            for span in spans
            if span.trace is not None  # or it is let go already
        ]
        with self._connection:
            self._connection.executemany(_KEEP, rows)
            self._connection.executemany(_LET_GO, [(f"{trace_id:032x}",) for trace_id in traces])
