# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m tornado_opentracing.viewer``: the viewer alone, for processes that send their spans to it over OTLP."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sqlite3
import sys
import threading
import webbrowser
import zlib

from tornado_opentracing.viewer._database import Database
from tornado_opentracing.viewer._recording import RecordingTracer
from tornado_opentracing.viewer._thread import ViewerThread


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 65535")
    return int(text)


def main() -> None:
    """Serve traces until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tornado_opentracing.viewer", description=__doc__)
    parser.add_argument("--db", help="the file in which traces are kept; without one they are in memory")
    parser.add_argument("--port", type=_port, default=8765, help="where to listen (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="on which address (default: %(default)s)")
    parser.add_argument("--hosts", default="", metavar="NAME,...", help="by which names it may be asked for, too")
    parser.add_argument("--max-bytes", type=int, default=64 * 1024 * 1024, help="of traces that are kept")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    found = parser.parse_args()
    told_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_end.set())
    with contextlib.ExitStack() as opened:
        try:
            tracer = RecordingTracer(max_bytes=found.max_bytes, max_traces=100_000, export_to="")
            if found.db is not None:
                opened.callback(Database(tracer._store, found.db).close)
            hosts = [name for name in found.hosts.split(",") if name]
            viewer = ViewerThread(tracer, found.port, found.host, hosts, any_port=False)
        except (sqlite3.Error, zlib.error) as error:
            parser.error(f"argument --db: {error}")
        except (OSError, ValueError) as error:
            parser.error(str(error))
        opened.callback(viewer.stop)
        sys.stderr.write(
            f"tornado_opentracing: the traces are at {viewer.url}, and OTLP is taken at {viewer.receiver}\n"
        )
        sys.stderr.flush()
        if found.open:
            webbrowser.open(viewer.url)
        while not told_to_end.wait(3600):
            pass


if __name__ == "__main__":
    main()
