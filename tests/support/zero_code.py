# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Programs that are run by ``opentelemetry-instrument``, with nothing but the environment to configure tracing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tornado_opentracing

ROOT = Path(tornado_opentracing.__file__).parents[1]
INSTRUMENT = Path(sys.executable).parent / "opentelemetry-instrument"

#: Asks itself for the paths that are its arguments, and counts what is answered.
PROGRAM = """
import asyncio
import sys

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler


class Book(RequestHandler):
    def get(self, number):
        self.set_header("X-Shelf", "7")
        self.set_header("X-Answer", "yes")
        self.write(number)


async def main(paths):
    socket, port = bind_unused_port()
    server = HTTPServer(Application([(r"/book/(.*)", Book)]))
    server.add_sockets([socket])
    headers = {"X-Reader": "ann", "X-Card": "4711", "X-Question": "who"}
    for path in paths:
        response = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}{path}", headers=headers)
        assert response.code == 200
    server.stop()
    await server.close_all_connections()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
"""


class ZeroCode:
    """A folder in which programs are run; the package is found there as if it were installed."""

    def __init__(self, folder: Path) -> None:
        if not INSTRUMENT.exists():
            pytest.skip("opentelemetry-instrumentation is not installed")
        self._folder = folder
        # An entry point is found where a distribution's metadata lie, on whatever path.
        metadata = folder / "tornado_opentracing-2.0.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: tornado-opentracing\nVersion: 2.0.0\nRequires-Dist: tornado\n"
        )
        (metadata / "entry_points.txt").write_text(self._entry_points())
        (folder / "shop.py").write_text(PROGRAM)

    @staticmethod
    def _entry_points() -> str:
        """What pyproject.toml says, as it is installed."""
        lines = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        start = lines.index("[project.entry-points.opentelemetry_instrumentor]")
        return f"[opentelemetry_instrumentor]\n{lines[start + 1].replace(chr(34), '')}\n"

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run ``python`` with arguments, under variables of the environment."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment["PYTHONPATH"] = os.pathsep.join([str(self._folder), str(ROOT)])
        environment |= {
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        return subprocess.run(
            [str(INSTRUMENT), sys.executable, *arguments],
            env={**environment, **variables},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    def spans(self, *arguments: str, **variables: str) -> list[Any]:
        """The spans that a run exported to its standard output; it said nothing else."""
        result = self.run(*arguments, **variables)
        assert not result.stderr, result.stderr
        return exported(result.stdout)

    def write(self, name: str, program: str) -> None:
        """Have another program there."""
        (self._folder / name).write_text(program)


def exported(output: str) -> list[Any]:
    """What OpenTelemetry's exporters to the console wrote."""
    found, position, decoder = [], 0, json.JSONDecoder()
    while (position := output.find("{", position)) >= 0:
        value, position = decoder.raw_decode(output, position)
        found.append(value)
    return found


def of_kind(spans: list[Any], kind: str) -> list[Any]:
    """The spans of a kind (``SERVER``, ``CLIENT``)."""
    return [span for span in spans if span["kind"] == f"SpanKind.{kind}"]
