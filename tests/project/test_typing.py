# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The programs in ``typing`` type-check but for the lines that expect an error, as in ``# expect: arg-type``."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tornado_opentracing

FOLDER = Path(__file__).parents[1] / "typing"
PROGRAMS = sorted(FOLDER.glob("*.py"))

#: Where there are errors: the program's name and the line.
Place = tuple[str, int]


def expected() -> dict[Place, set[str]]:
    """The codes that errors may have, by place: some differ between versions of mypy."""
    return {
        (program.name, number): set(match[1].split(", "))
        for program in PROGRAMS
        for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), 1)
        if (match := re.search("# expect: (.+)", line))
    }


def output_of(checker: str, *arguments: str, cwd: Path) -> str:
    """What a type checker says, run where it finds the package as any other that is installed, by its py.typed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tornado_opentracing.__file__).parent.parent)}
    command = [sys.executable, "-m", checker, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False).stdout


def needs(checker: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(checker) is None, reason=f"{checker} is not installed")


@needs("mypy")
def test_mypy_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    output = output_of(
        "mypy", "--strict", "--config-file=", f"--cache-dir={os.devnull}", *map(str, PROGRAMS), cwd=tmp_path
    )
    found = {
        ((Path(path).name, int(line)), code)
        for path, line, code in re.findall(r"^(.+):(\d+): error: .+  \[([\w-]+)\]$", output, re.MULTILINE)
    }
    assert {place for place, _ in found} == expected().keys(), output
    assert [place for place, code in found if code not in expected()[place]] == [], output


@needs("pyright")
def test_pyright_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    """It has codes of its own."""
    output = output_of("pyright", "--outputjson", f"--project={FOLDER}", f"--pythonpath={sys.executable}", cwd=tmp_path)
    found = {
        (Path(diagnostic["file"]).name, diagnostic["range"]["start"]["line"] + 1)
        for diagnostic in json.loads(output)["generalDiagnostics"]
    }
    assert found == expected().keys(), output
