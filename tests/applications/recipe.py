# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Start an application for real, traced by its recipe alone, make requests, end it, and look at the spans.

python tests/applications/recipe.py NAME
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.testing import bind_unused_port

HERE = Path(__file__).resolve().parent
RECIPES = HERE / "recipes"
VISITS = HERE / "visits"


@dataclass(frozen=True)
class Recipe:
    """How an application is started, by Python, in the folder of the recipes; ``{port}`` is where it is to listen."""

    command: list[str]
    #: What is asked for, one after the other.
    paths: list[str]
    #: The spans that have to come out, by name: of the exporter, or, where there is none, on the last page.
    expected: list[str]
    #: Which of them have to be in no request's trace.
    roots: tuple[str, ...] = ()
    #: The program in "visits" that uses the application, and at which path.
    visit: tuple[str, str] | None = None
    #: Whether the application has the viewer in the exporter's place.
    is_viewer: bool = False


JUPYTER = [
    "-m",
    "jupyter_server",
    "--allow-root",
    "--no-browser",
    "--ip=127.0.0.1",
    "--port={port}",
    "--IdentityProvider.token=visitor",
]
STREAMLIT = ["streamlit_serve.py", "run", "streamlit_app.py", "--server.port={port}", "--server.headless=true"]

STARTED = {
    "flower": [
        Recipe(
            [
                *("-m", "celery", "--broker=memory://", "flower", "--address=127.0.0.1", "--port={port}"),
                "--conf=flowerconfig.py",
            ],
            ["/healthcheck"],
            ["GET /healthcheck"],
        )
    ],
    "jupyter-server": [
        Recipe(
            [*JUPYTER, "--config=jupyter_server_config.py"],
            ["/api"],
            ["GET /api", "POST /api/kernels", "WS /api/kernels/{kernel_id}/channels on_message"],
            visit=("jupyter_kernel.py", ""),
        ),
        Recipe(
            [*JUPYTER, "--config=jupyter_viewer_config.py"],
            ["/api", "/-/traces"],
            ["GET /api"],
            is_viewer=True,
        ),
    ],
    "bokeh": [
        Recipe(
            ["-m", "bokeh", "serve", "bokeh_app", "--port={port}"],
            ["/bokeh_app"],
            ["GET /bokeh_app", "WS /bokeh_app/ws on_message"],
            visit=("bokeh_session.py", "/bokeh_app"),
        )
    ],
    "panel": [
        Recipe(
            ["-m", "panel", "serve", "panel_app.py", "--setup=panel_setup.py", "--port={port}"],
            ["/panel_app"],
            ["GET /panel_app", "WS /panel_app/ws on_message"],
            visit=("bokeh_session.py", "/panel_app"),
        )
    ],
    "distributed": [
        Recipe(
            [
                *("-m", "dask", "scheduler", "--host=127.0.0.1", "--port=0", "--dashboard-address=127.0.0.1:{port}"),
                "--preload=trace_dask.py",
            ],
            ["/health", "/info/main/workers.html"],
            ["GET /health", "GET /info/main/workers.html"],
        )
    ],
    "streamlit": [
        Recipe(
            STREAMLIT,
            ["/_stcore/health"],
            ["GET /(?:healthz|_stcore/health)", "WS /_stcore/stream on_message", "GET"],
            roots=("GET",),
            visit=("streamlit_run.py", ""),
        ),
    ],
}


def follow(recipe: Recipe) -> tuple[list[str], str]:
    """Do what a recipe says; what is missing then, and what there was."""
    socket, port = bind_unused_port()
    socket.close()
    url = f"http://127.0.0.1:{port}"
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
        page = "".join(ask(process, f"{url}{path}", deadline) for path in recipe.paths)
        if recipe.visit is not None:
            program, path = recipe.visit
            subprocess.run([sys.executable, str(VISITS / program), f"{url}{path}"], check=True, timeout=120)
            deadline += 60
        missing = [name for name in recipe.expected if name not in page]
        while time.monotonic() < deadline and process.poll() is None and not recipe.is_viewer:
            missing = missing_of(recipe, Path(folder, "output").read_text())
            if not missing:
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return missing, f"{page}\n{Path(folder, 'output').read_text()}"


def missing_of(recipe: Recipe, written: str) -> list[str]:
    """What is not there, or not as it has to be, among the spans that the exporter has written to the console."""
    spans: list[dict[str, Any]] = [json.loads(text) for text in re.findall(r"^\{$.*?^\}$", written, re.M | re.S)]
    roots = {span["name"] for span in spans if span["parent_id"] is None}
    names = {span["name"] for span in spans}
    return [
        *(name for name in recipe.expected if name not in names),
        *(name for name in recipe.roots if name not in roots),
    ]


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
        missing, written = follow(recipe)
        print(f"{name}: {' '.join(recipe.command)}: {', '.join(recipe.expected)}: missing: {missing or 'nothing'}")
        if missing:
            print(written)
            is_wrong = True
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
