# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Spans that wait for their export are exported before the process ends, or is replaced by another."""

from __future__ import annotations

import functools
import os
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any

from tornado import autoreload

from tornado_opentracing._guard import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import TracerProvider

#: Seconds for which the end of a process waits for a collector that does not answer.
_PATIENCE = 5.0

_providers: weakref.WeakSet[Any] = weakref.WeakSet()


def export_before_reload(provider: Any) -> None:
    """Have a provider export what it has before ``tornado.autoreload`` replaces the process.

    That is by ``exec``, after which nothing of what Python does at its exit is done.
    """
    if not hasattr(provider, "force_flush"):
        return
    if not _providers:
        autoreload.add_reload_hook(_flush_all)
    _providers.add(provider)


def _flush_all() -> None:
    for provider in list(_providers):
        _patiently(provider.force_flush)


def export_before_sigterm(provider: TracerProvider) -> None:
    """Have a provider export what it has where SIGTERM ends the process, which Python does not take for an exit.

    Whoever has a handler of his own for SIGTERM decides himself; so does who sets one later.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def terminate(number: int, _frame: object) -> None:
        _patiently(provider.shutdown)
        # And now as it would have been.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, terminate)


def _patiently(export: Callable[[], object]) -> None:
    """Export in a thread of its own: what runs here may hold the very lock that the export needs."""
    thread = threading.Thread(target=functools.partial(_guarded, export), name="tornado_opentracing", daemon=True)
    try:
        thread.start()
        thread.join(_PATIENCE)
    except RuntimeError:  # Python is on its way out, and starts no threads any more
        report("exporting the last spans")


def _guarded(export: Callable[[], object]) -> None:
    try:
        export()
    except Exception:
        report("exporting the last spans")
