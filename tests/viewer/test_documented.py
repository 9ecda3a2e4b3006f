"""What the viewer's page of the documentation shows runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tornado import autoreload

PAGE = Path(__file__).parents[2] / "docs" / "viewer.md"


def test_what_it_shows_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoreload, "start", lambda: None)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), namespace)
    assert namespace["routes"]
