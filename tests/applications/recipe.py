# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Start an application for real, traced by its recipe alone, make requests, end it, and look at the spans.

python tests/applications/recipe.py NAME
"""

# ruff: noqa: T201

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tornado.testing import bind_unused_port

RECIPES = Path(__file__).resolve().parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """How an application is started, by Python, in the folder of the recipes; ``{port}`` is where it is to listen."""

    command: list[str]
    #: What is asked for, one after the other.
    paths: list[str]
    #: What has to come out: in what the exporter writes to the console, or, where there is none, on the last page.
    expected: list[str]
    #: Whether the application has the viewer in the exporter's place.
    is_viewer: bool = False


JUPYTER = ["-m", "jupyter_server", "--allow-root", "--no-browser", "--ip=127.0.0.1", "--port={port}"]
STREAMLIT = ["streamlit_serve.py", "run", "streamlit_app.py", "--server.port={port}", "--server.headless=true"]

STARTED = {
    "flower": [
        Recipe(
            [
                *("-m", "celery", "--broker=memory://", "flower", "--address=127.0.0.1", "--port={port}"),
                "--conf=flowerconfig.py",
            ],
            ["/healthcheck"],
            ['"name": "GET /healthcheck"'],
        )
    ],
    "jupyter-server": [
        Recipe([*JUPYTER, "--config=jupyter_server_config.py"], ["/api"], ['"name": "GET /api"']),
        Recipe(
            [*JUPYTER, "--config=jupyter_viewer_config.py"],
            ["/api", "/-/traces"],
            ["GET /api"],
            is_viewer=True,
        ),
    ],
    "bokeh": [
        Recipe(["-m", "bokeh", "serve", "bokeh_app", "--port={port}"], ["/bokeh_app"], ['"name": "GET /bokeh_app"'])
    ],
    "panel": [
        Recipe(
            ["-m", "panel", "serve", "panel_app.py", "--setup=panel_setup.py", "--port={port}"],
            ["/panel_app"],
            ['"name": "GET /panel_app"'],
        )
    ],
    "distributed": [
        Recipe(
            [
                *("-m", "dask", "scheduler", "--host=127.0.0.1", "--port=0", "--dashboard-address=127.0.0.1:{port}"),
                "--preload=trace_dask.py",
            ],
            ["/health", "/info/main/workers.html"],
            ['"name": "GET /health"', '"name": "GET /info/main/workers.html"'],
        )
    ],
    "streamlit": [
        Recipe(STREAMLIT, ["/_stcore/health"], ['"name": "GET /(?:healthz|_stcore/health)"']),
    ],
}


def follow(recipe: Recipe) -> tuple[bool, str]:
    """Do what a recipe says; whether everything was found, and what there was."""
    socket, port = bind_unused_port()
    socket.close()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *(word.format(port=port) for word in recipe.command)],
            cwd=RECIPES,
            env={
                **os.environ,
                "OTEL_TRACES_EXPORTER": "console",
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                # What applications write of their own does not belong into the project.
                "HOME": folder,
                "PYTHONDONTWRITEBYTECODE": "1",
                "JUPYTER_CONFIG_DIR": folder,
            },
            stdout=output,
            stderr=output,
        )
        deadline = time.monotonic() + 60
        page = "".join(ask(process, f"http://127.0.0.1:{port}{path}", deadline) for path in recipe.paths)
        written = page if recipe.is_viewer else ""
        while time.monotonic() < deadline and process.poll() is None and not recipe.is_viewer:
            written = Path(folder, "output").read_text()
            if all(text in written for text in recipe.expected):
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        found = all(text in written for text in recipe.expected)
        return found, f"{written}\n{Path(folder, 'output').read_text()}"


def ask(process: subprocess.Popen[bytes], url: str, deadline: float) -> str:
    """What is answered, once there is an answer."""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read(), "utf-8", "replace")
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return ""


def main(name: str) -> int:
    is_wrong = False
    for recipe in STARTED[name]:
        found, written = follow(recipe)
        print(f"{name}: {' '.join(recipe.command)}: {', '.join(recipe.expected)}: {'found' if found else 'missing'}")
        if not found:
            print(written)
            is_wrong = True
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
