# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One list for all that a program becomes: the workers that it forks, the processes that it starts, its reloads."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from tornado import autoreload

from tornado_opentracing import _forks
from tornado_opentracing._guard import report
from tornado_opentracing.viewer._otlp_in import decode
from tornado_opentracing.viewer._otlp_out import encode
from tornado_opentracing.viewer._recording import EXPORT_TO, RecordingTracer
from tornado_opentracing.viewer._remote import record
from tornado_opentracing.viewer._thread import ViewerThread

#: The process that was reloaded, and the file in which it left its traces.
_LEFT = "TORNADO_OPENTRACING_LEFT"


class OneStore:
    """The store of the command's own tracer, into which all spans come.

    What is forked sends its spans to it; so does every ``RecordingTracer`` of the program, here and in processes that
    are started from here, which find it by the environment. What ``tornado.autoreload`` replaces this process by finds
    the traces in a file.

    :param viewer: what shows it, and takes spans of other processes.
    """

    def __init__(self, tracer: RecordingTracer, viewer: ViewerThread) -> None:
        self.tracer = tracer
        self.url = viewer.url
        self.receiver = viewer.receiver
        #: Whether this process took the place of another one of this program.
        self.is_reloaded = self._take_over()
        os.environ[EXPORT_TO] = self.receiver
        autoreload.add_reload_hook(self.hand_over)
        _forks.look_after(self)

    def pause(self) -> None:
        """See ``_forks``; it has no thread."""

    go_on = pause

    def leave(self) -> None:
        """In a child: have nothing of the parent's, and send what comes to it."""
        self.tracer._store.after_fork()
        self.tracer.reset()
        self.tracer.export_to(self.receiver)

    def hand_over(self) -> None:
        """Leave the traces for what takes the place of this process."""
        spans = [span for trace in reversed(self.tracer.traces()) for span in trace.spans]
        try:
            number, name = tempfile.mkstemp(prefix="tornado_opentracing-", suffix=".json")
            with open(number, "w", encoding="utf-8") as file:
                json.dump(encode(spans), file)
            os.environ[_LEFT] = f"{os.getpid()} {name}"
        except OSError:
            report("keeping the traces for after the reload")

    def _take_over(self) -> bool:
        process, _, name = os.environ.pop(_LEFT, "").partition(" ")
        if process != str(os.getpid()):
            return False
        path = Path(name)
        try:
            record(self.tracer._store, decode(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError):
            report("taking over the traces from before the reload")
        with contextlib.suppress(OSError):
            path.unlink()
        return True
