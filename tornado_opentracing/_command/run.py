"""The command: switch tracing on, open the viewer, run the program."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import opentracing

from tornado_opentracing._command import arguments, program
from tornado_opentracing._install import init_tracing
from tornado_opentracing.viewer._recording import RecordingTracer
from tornado_opentracing.viewer._thread import ViewerThread

if TYPE_CHECKING:
    from opentracing import Tracer

#: What the command tells of itself, to itself where ``tornado.autoreload`` starts it again.
_STARTED = "TORNADO_OPENTRACING_STARTED"


def main() -> None:
    """Run the program that the command line names; does not return where the program ends the process itself."""
    original = sys.argv[1:]
    found = arguments.parse(original)
    program.prepare(found.module, found.program, original)
    try:
        options = arguments.options_of(found)
        tracer = _otlp_tracer() if found.otlp else _recording_tracer(found)
        init_tracing(tracer, **options)
    except (ImportError, TypeError, ValueError) as error:
        arguments.parser().error(str(error))
    if not opentracing.is_global_tracer_registered():
        opentracing.set_global_tracer(tracer)
    program.run(found.module)


def _otlp_tracer() -> Tracer:
    from tornado_opentracing.opentelemetry import create_tracer  # noqa: PLC0415 - needs what may not be installed

    return create_tracer()


def _recording_tracer(found: argparse.Namespace) -> RecordingTracer:
    tracer = RecordingTracer(service=service_of(found), max_bytes=found.max_bytes)
    viewer = ViewerThread(tracer, found.port, found.host, found.hosts)
    sys.stderr.write(f"tornado_opentracing: the traces are at {viewer.url}\n")
    if found.open and os.environ.get(_STARTED) != str(os.getpid()):
        webbrowser.open(viewer.url)
    os.environ[_STARTED] = str(os.getpid())
    return tracer


def service_of(found: argparse.Namespace) -> str:
    """What the program is called: as it is told, or as it is named."""
    if found.service is not None:
        return str(found.service)
    named = os.environ.get("OTEL_SERVICE_NAME")
    return named or (found.module if found.module is not None else Path(found.program[0]).resolve().stem)
