"""The command: switch tracing on, open the viewer, run the program."""

from __future__ import annotations

import argparse
import atexit
import os
import sqlite3
import sys
import webbrowser
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import opentracing

from tornado_opentracing._command import arguments, program
from tornado_opentracing._command.one_store import OneStore
from tornado_opentracing._install import init_tracing
from tornado_opentracing.viewer._database import Database
from tornado_opentracing.viewer._recording import RecordingTracer
from tornado_opentracing.viewer._thread import ViewerThread

if TYPE_CHECKING:
    from opentracing import Tracer


def main() -> None:
    """Run the program that the command line names; does not return where the program ends the process itself."""
    original = sys.argv[1:]
    found = arguments.parse(original)
    program.prepare(found.module, found.program, original)
    try:
        options = arguments.options_of(found)
        tracer = _otlp_tracer() if found.otlp else _recording_tracer(found)
        init_tracing(tracer, **options)
    except (ImportError, OSError, TypeError, ValueError, sqlite3.Error, zlib.error) as error:
        arguments.parser().error(str(error))
    if not opentracing.is_global_tracer_registered():
        opentracing.set_global_tracer(tracer)
    program.run(found.module)


def _otlp_tracer() -> Tracer:
    from tornado_opentracing.opentelemetry import create_tracer  # noqa: PLC0415 - needs what may not be installed

    return create_tracer()


def _recording_tracer(found: argparse.Namespace) -> RecordingTracer:
    tracer = RecordingTracer(service=service_of(found), max_bytes=found.max_bytes, export_to="", log_records=True)
    viewer = ViewerThread(tracer, found.port, found.host, found.hosts)
    if found.db is not None:
        atexit.register(Database(tracer._store, found.db).close)
    store = OneStore(tracer, viewer.receiver)
    sys.stderr.write(f"tornado_opentracing: the traces are at {viewer.url}\n")
    sys.stderr.flush()
    if found.open and not store.is_reloaded:
        webbrowser.open(viewer.url)
    return tracer


def service_of(found: argparse.Namespace) -> str:
    """What the program is called: as it is told, or as it is named."""
    if found.service is not None:
        return str(found.service)
    named = os.environ.get("OTEL_SERVICE_NAME")
    return named or (found.module if found.module is not None else Path(found.program[0]).resolve().stem)
