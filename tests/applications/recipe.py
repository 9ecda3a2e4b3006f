"""Start an application for real, traced by its recipe alone, make a request, end it, and look at the spans.

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
from pathlib import Path

from tornado.testing import bind_unused_port

RECIPES = Path(__file__).resolve().parent / "recipes"

#: By application: how it is started on a port, what is asked for, and how the span of that is called.
STARTED = {
    "flower": (
        ["celery", "--broker=memory://", "flower", "--address=127.0.0.1", f"--conf={RECIPES}/flowerconfig.py"],
        "--port={}",
        "/healthcheck",
        '"name": "GET /healthcheck"',
    ),
    "jupyter-server": (
        [
            *("jupyter_server", "--allow-root", "--no-browser", "--ip=127.0.0.1"),
            f"--config={RECIPES}/jupyter_server_config.py",
        ],
        "--port={}",
        "/api",
        '"name": "GET /api"',
    ),
}


def main(name: str) -> int:
    command, port_option, path, expected = STARTED[name]
    socket, port = bind_unused_port()
    socket.close()
    with tempfile.TemporaryDirectory() as folder, Path(folder, "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, port_option.format(port)],
            cwd=folder,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "100"},
            stdout=output,
            stderr=output,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        written = ""
        while time.monotonic() < deadline and process.poll() is None and expected not in written:
            time.sleep(0.2)
            written = Path(folder, "output").read_text()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        written = Path(folder, "output").read_text()
    found = expected in written
    print(f"{name}: {expected}: {'found' if found else 'missing'}")
    if not found:
        print(written)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
