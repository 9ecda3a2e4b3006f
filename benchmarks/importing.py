# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How long it takes to import this package where Tornado is imported already."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from contenders import NOOP, OURS

NAME = "import, milliseconds"
_TIMES = 30
_CODE = """
import time, tornado.httpclient, tornado.httpserver, tornado.web, tornado.websocket
begin = time.perf_counter()
import tornado_opentracing
print((time.perf_counter() - begin) * 1e3)
"""


def measure(contender: str) -> None:
    """Print the least of many times, its bytecode being there."""
    if contender != f"{OURS}, {NOOP}":
        return
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": directory}

        def once() -> float:
            return float(subprocess.check_output([sys.executable, "-c", _CODE], env=environment, text=True))

        once()
        print(NAME, min(once() for _ in range(_TIMES)), sep="\t")
