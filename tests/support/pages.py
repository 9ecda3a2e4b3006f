# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The pages of the documentation, README among them, and the programs on them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import tornado_opentracing

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {path.name: path for path in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]}


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks_of(page: str) -> list[str]:
    """The blocks of Python on a page, each with as many empty lines before it as it has lines above it there."""
    text = text_of(page)
    found = re.finditer(r"^ *```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return ["\n" * text.count("\n", 0, match.start(1)) + _dedented(match[1]) for match in found]


def _dedented(block: str) -> str:
    indent = len(block) - len(block.lstrip(" "))
    return re.sub(rf"^ {{{indent}}}", "", block, flags=re.MULTILINE)


def run_page(page: str, **given: Any) -> dict[str, Any]:
    """Run a page's blocks, in order and as one program, and return what they define."""
    namespace: dict[str, Any] = {"__name__": page, **given}
    for block in blocks_of(page):
        exec(compile(block, page, "exec"), namespace)
    return namespace


def run_script(script: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which finds the package where this process has it."""
    folder = str(Path(tornado_opentracing.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *arguments, str(script)],
        env=environment(PYTHONPATH=folder),
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=check,
    )


def environment(**variables: str) -> dict[str, str]:
    """The environment of a program that has no collector to send to."""
    import os

    nowhere = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    return {**os.environ, **nowhere, **variables}
