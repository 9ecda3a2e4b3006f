# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
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
from tornado_opentracing._command.replaced import follow
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
        store = _open_viewer(found) if found.viewer else None
        tracer = _otlp_tracer(found, store) if store is None or found.otlp else store.tracer
        init_tracing(tracer, **options)
    except (sqlite3.Error, zlib.error) as error:
        arguments.parser().error(f"argument --db: {error}")
    except (ImportError, OSError, TypeError, ValueError) as error:
        arguments.parser().error(str(error))
    if not opentracing.is_global_tracer_registered():
        opentracing.set_global_tracer(tracer)
    follow(found.own, before=(lambda: None) if store is None else store.hand_over)
    program.run(found.module, before=lambda: None if store is None else _announce(store, is_opened=found.open))


def _open_viewer(found: argparse.Namespace) -> OneStore:
    tracer = RecordingTracer(
        service=service_of(found), max_bytes=found.max_bytes, export_to="", log_records=not found.otlp
    )
    viewer = ViewerThread(tracer, found.port, found.host, found.hosts)
    if found.db is not None:
        atexit.register(Database(tracer._store, found.db).close)
    return OneStore(tracer, viewer)


def _announce(store: OneStore, *, is_opened: bool) -> None:
    sys.stderr.write(f"tornado_opentracing: the traces are at {store.url}\n")
    sys.stderr.flush()
    if is_opened and not store.is_reloaded:
        webbrowser.open(store.url)


def _otlp_tracer(found: argparse.Namespace, store: OneStore | None) -> Tracer:
    """What ``create_tracer()`` makes; its spans go to the viewer, too, if that is open."""
    # Needs what may not be installed, and says so.
    from tornado_opentracing.opentelemetry import create_tracer  # noqa: PLC0415

    os.environ.setdefault("OTEL_SERVICE_NAME", service_of(found))
    tracer = create_tracer()

    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    if store is not None and isinstance(provider, TracerProvider):
        exporter = OTLPSpanExporter(store.receiver)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200, max_export_batch_size=32))
    return tracer


def service_of(found: argparse.Namespace) -> str:
    """What the program is called: as it is told, or as it is named."""
    if found.service is not None:
        return str(found.service)
    named = os.environ.get("OTEL_SERVICE_NAME")
    return named or (found.module if found.module is not None else Path(found.program[0]).resolve().stem)
