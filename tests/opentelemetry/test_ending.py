# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""No span is lost where a process ends, or is replaced, in a way that Python or Tornado knows of."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tornado.testing import bind_unused_port

from tornado_opentracing.opentelemetry import _environment

# The exporter prints, but not before five seconds have passed, or something is done to have it do so.
BEGINS = """
import asyncio, os, signal, sys, threading, time
from tornado_opentracing.opentelemetry import create_tracer

def idle():
    while True:  # a signal that comes just before signal.pause() does not wake it
        time.sleep(0.05)
{before}
tracer = create_tracer()
tracer.start_span("last").finish()
print("ready", file=sys.stderr, flush=True)
{after}
"""


class Start(Protocol):
    def __call__(self, after: str, before: str = "", **environment: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program; none outlives its test."""
    with contextlib.ExitStack() as started:

        def start(after: str, before: str = "", **environment: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-c", BEGINS.format(before=before, after=after)],
                env={**os.environ, "OTEL_TRACES_EXPORTER": "console", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.enter_context(process)
            started.callback(process.kill)
            return process

        yield start


def names(printed: str) -> list[str]:
    """Of the spans that were printed as one JSON text after the other."""
    found: list[str] = []
    decoder, left = json.JSONDecoder(), printed.strip()
    while left:
        span, end = decoder.raw_decode(left)
        found.append(span["name"])
        left = left[end:].strip()
    return found


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"


@pytest.mark.parametrize(
    ("after", "code"),
    [("", 0), ("sys.exit(3)", 3), ("raise ValueError", 1), ("asyncio.run(asyncio.sleep(0))", 0)],
    ids=["end of the program", "exit", "exception", "end of the loop"],
)
def test_a_regular_end_exports_what_is_left(start: Start, after: str, code: int) -> None:
    process = start(after)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, names(printed)) == (code, ["last"])


@pytest.mark.parametrize("after", ["idle()", "asyncio.run(asyncio.sleep(60))"], ids=["plain", "loop"])
def test_sigterm_exports_what_is_left_and_ends_the_process_as_ever(start: Start, after: str) -> None:
    process = start(after)
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, names(printed)) == (-signal.SIGTERM, ["last"])


def test_sigterm_does_not_wait_for_ever_for_a_collector_that_is_silent(start: Start) -> None:
    silent, port = bind_unused_port()
    process = start(
        "idle()",
        before="from tornado_opentracing.opentelemetry import _ending; _ending._PATIENCE = 0.2",
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
    )
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    process.communicate()
    silent.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_of_the_applications_own_decides_what_sigterm_does(start: Start, when: str) -> None:
    own = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    process = start(f"{own if when == 'after' else ''}\nprint('set', file=sys.stderr, flush=True)\nidle()",
                    before=own if when == "before" else "")  # fmt: skip
    until_ready(process)
    assert process.stderr is not None
    assert process.stderr.readline() == "set\n"
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, names(printed)) == (7, ["last"])


def test_a_signal_that_is_ignored_stays_so(start: Start) -> None:
    process = start("os.kill(os.getpid(), signal.SIGTERM)", before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    printed, _ = process.communicate(timeout=30)
    assert (process.returncode, names(printed)) == (0, ["last"])


def test_a_tracer_may_be_made_in_another_thread(start: Start) -> None:
    process = start("", before="thread = threading.Thread(target=create_tracer); thread.start(); thread.join()")
    printed, complaint = process.communicate(timeout=30)
    assert (process.returncode, names(printed), complaint) == (0, ["last"], "ready\n")


def test_a_provider_of_the_applications_own_leaves_the_signal_to_it(start: Start) -> None:
    process = start(
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL",
        before="from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry import trace; trace.set_tracer_provider(TracerProvider())",
    )
    process.communicate(timeout=30)
    assert process.returncode == 0


RELOADS = """
import asyncio, pathlib, sys
from tornado import autoreload
from tornado_opentracing.opentelemetry import create_tracer

here, marker = pathlib.Path(__file__), pathlib.Path(__file__).with_suffix(".marker")

async def main():
    {provider}
    tracer = create_tracer({argument})
    if marker.exists():
        return
    marker.touch()
    tracer.start_span("before the reload").finish()
    autoreload.start(20)
    await asyncio.sleep(0.1)
    here.write_text(here.read_text() + "\\n")
    await asyncio.sleep(20)

asyncio.run(main())
"""
OWN = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
"""


@pytest.mark.parametrize("own", [False, True], ids=["made by create_tracer", "the application's"])
def test_a_reload_exports_what_is_left(tmp_path: Path, own: bool) -> None:
    program = tmp_path / "program.py"
    program.write_text(RELOADS.format(provider=OWN.strip() if own else "", argument="provider" if own else ""))
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "console", "PYTHONPATH": os.pathsep.join(["", *sys.path])}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert names(done.stdout) == ["before the reload"]


FORKS = """
import os, signal
from tornado.process import fork_processes, task_id
from tornado_opentracing.opentelemetry import create_tracer

{early}
fork_processes(2, max_restarts=0)
{late}
tracer.start_span(f"worker {{task_id()}}").finish()
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("when", ["early", "late"])
def test_each_forked_worker_exports_its_spans(when: str) -> None:
    """Also where the tracer was made before: the SDK gives each process a thread to export with."""
    made = {"early": "", "late": "", when: "tracer = create_tracer()"}
    done = subprocess.run(
        [sys.executable, "-c", FORKS.format(**made)],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "console"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(names(done.stdout)) == ["worker 0", "worker 1"]


# Batches


class Counts(SpanExporter):
    """Notes how many spans it is given at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.sizes.append(len(spans))
        return SpanExportResult.SUCCESS


@pytest.mark.parametrize(
    ("environment", "most"),
    [({}, 32), ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"}, 100), ({"OTEL_BSP_MAX_QUEUE_SIZE": "5"}, 5)],
    ids=["by default", "as asked for", "than there is room for"],
)
def test_no_more_spans_are_exported_at_once(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], most: int
) -> None:
    """So that to encode them does not hold up the loop."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    counts = Counts()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_environment._in_batches(counts))
    tracer = provider.get_tracer("test")
    for _ in range(min(most, 50) + 3):
        tracer.start_span("work").end()
        if most < 32:
            provider.force_flush()
    provider.shutdown()
    assert sum(counts.sizes) == min(most, 50) + 3
    assert max(counts.sizes) <= most
    assert most != 100 or max(counts.sizes) > 32
