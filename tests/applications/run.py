# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Run an application's own tests bare and traced, and compare by test: none may notice the difference.

    python tests/applications/run.py NAME FOLDER [arguments of pytest]

FOLDER is where the application's tests run. Of the traced runs (with ``MockTracer`` and with OpenTelemetry's tracer,
everything on) every span has to be finished once, but for those that are listed as left open with their reason, and the
package must not have logged anything. The file of a test that differs is run again in both ways, and the test counts if
it differs again.
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

#: By application: which spans its tests leave open (regular expressions for their names), and why.
LEFT_OPEN: dict[str, dict[str, str]] = {
    "flower": {},
    "jupyter-server": {},
    "bokeh": {},
    "distributed": {},
    "panel": {"WS .* on_message": "presumably answered still when a test stopped the loop of its server's thread"},
}

#: In place of this project's settings, for tests that have none of their own.
NO_SETTINGS = f"--config-file={os.devnull}"
#: By application: what its tests are, as arguments of pytest in their folder, options with "=".
TESTS = {
    "flower": [NO_SETTINGS, "tests/unit"],
    # Without what is about files, settings and processes alone.
    "jupyter-server": [
        *("tests/auth/test_login.py", "tests/auth/test_identity.py", "tests/base", "tests/test_files.py"),
        *("tests/test_view.py", "tests/test_gateway.py", "tests/test_terminal.py", "tests/services/api"),
        *("tests/services/config", "tests/services/contents/test_api.py", "tests/services/events"),
        *("tests/services/kernels/test_api.py", "tests/services/kernelspecs"),
    ],
    # Of Bokeh's server.
    "panel": [
        *(NO_SETTINGS, "--asyncio-mode=auto", "--pyargs", "panel.tests.test_server"),
        *("panel.tests.io.test_state", "panel.tests.io.test_location"),
    ],
    "bokeh": [
        "tests/unit/bokeh/server",
        "tests/unit/bokeh/client",
        "tests/unit/bokeh/command/subcommands/test_serve.py",
    ],
    "distributed": [
        *("distributed/http", "distributed/dashboard", "distributed/comm/tests/test_ws.py"),
        "distributed/tests/test_preload.py",
    ],
}
#: What no longer tells anything once the versions are pinned.
QUIET = ["-q", "-p", "no:cacheprovider", "-W", "ignore"]
FAILS = re.compile("failure|error")
#: What hangs fails, bare and traced, and the run goes on.
LIMIT = ["--timeout=60", "--timeout-method=signal"]


class Run:
    """What came of running the tests once, bare (``stack`` is empty) or traced."""

    def __init__(self, stack: str, folder: Path, arguments: list[str]) -> None:
        self.stack = stack
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
            spans = Path(made, "spans")
            spans.mkdir()
            environment = {**os.environ}
            if stack:
                paths = [str(HERE / "tracing"), *filter(None, [os.environ.get("PYTHONPATH")])]
                environment |= {
                    "PYTHONPATH": os.pathsep.join(paths),
                    "APPLICATION_STACK": stack,
                    "APPLICATION_SPANS": str(spans),
                }
            report = Path(made, "report.xml")
            written = ["--junitxml", str(report), "--override-ini=junit_family=xunit1", f"--rootdir={folder}"]
            written.append(f"--basetemp={made}/tests")
            command = [sys.executable, "-m", "pytest", *QUIET, *LIMIT, *written, *arguments]
            started = time.monotonic()
            output = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=3600
            )
            self.seconds = time.monotonic() - started
            # Tests that fail end in 1; a module that cannot be imported, or an option that is wrong, in more.
            if output.returncode > 1 or not report.exists():
                sys.exit(f"{output.stdout}\n{output.stderr}\nthe {stack or 'bare'} run broke off")
            self.outcomes, self.files = _outcomes(report)
            self.processes: list[dict[str, Any]] = [json.loads(path.read_text()) for path in spans.iterdir()]
        if stack and not self.spans:
            sys.exit(f"{output.stdout}\n{output.stderr}\nnothing was traced")

    def all(self, what: str) -> list[str]:
        return [each for process in self.processes for each in process[what]]

    @property
    def spans(self) -> int:
        return sum(process["spans"] for process in self.processes)


def _outcomes(report: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What became of each test, and the file that it is in."""
    found, files = {}, {}
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = sorted({child.tag for child in case if child.tag in ("failure", "error", "skipped")})
        found[name] = " and ".join(kinds) or "passed"
        files[name] = str(case.get("file"))
    return found, files


def differences(bare: Run, traced: Run) -> list[str]:
    names = {*bare.outcomes, *traced.outcomes}
    return sorted(name for name in names if bare.outcomes.get(name) != traced.outcomes.get(name))


def main(name: str, folder: Path, arguments: list[str]) -> int:
    arguments = arguments or TESTS[name]
    bare = Run("", folder, arguments)
    print(f"{name}: bare: {dict(Counter(bare.outcomes.values()))} in {bare.seconds:.0f} s")
    print(f"{name}: bare: fail: {[test for test, became in bare.outcomes.items() if FAILS.search(became)] or 'none'}")
    wrong = []
    for stack in ("mock", "opentelemetry"):
        traced = Run(stack, folder, arguments)
        print(f"{name}: {stack}: {dict(Counter(traced.outcomes.values()))} in {traced.seconds:.0f} s")
        differing = differences(bare, traced)
        if differing:
            print(f"{name}: {stack}: tried again: {', '.join(differing)}")
            files = sorted({{**bare.files, **traced.files}[test] for test in differing})
            options = [argument for argument in arguments if argument.startswith("-")]
            again = differences(Run("", folder, [*options, *files]), Run(stack, folder, [*options, *files]))
            differing = sorted({*differing} & {*again})
        wrong += [
            f"{stack}: {test}: {bare.outcomes.get(test)}, but traced {traced.outcomes.get(test)}" for test in differing
        ]
        left_open = Counter(traced.all("open"))
        print(f"{name}: {stack}: {traced.spans} spans, open at the end: {dict(left_open) or 'none'}")
        for span in left_open:
            reason = next((why for what, why in LEFT_OPEN[name].items() if re.fullmatch(what, span)), None)
            print(f"  {span}: {reason}")
            if reason is None:
                wrong.append(f"{stack}: {span} was left open")
        wrong += [f"{stack}: {span} was finished twice" for span in traced.all("finished twice")]
        wrong += [f"{stack}: logged {text}" for text in traced.all("reports")]
        print(f"{name}: {stack}: names: {', '.join(sorted({*traced.all('names')}))}")
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).resolve(), sys.argv[3:]))
