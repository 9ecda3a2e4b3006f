# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What ``docs/applications.md`` says is what ``nox -s applications`` runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
RECIPES = PROJECT / "tests" / "applications" / "recipes"
PAGE = (PROJECT / "docs" / "applications.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
#: The versions in the table.
VERSIONS = re.findall(r" (\d+(?:\.\d+)+)", " ".join(re.findall(r"^\| ([A-Z].*? \d.*?) \|", PAGE, re.MULTILINE)))


def without_docstring(source: str) -> str:
    tree = ast.parse(source)
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    return ast.unparse(tree)


RUN = {without_docstring(path.read_text("utf-8")) for path in RECIPES.rglob("*.py")}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_recipe_is_one_that_is_run(block: str) -> None:
    assert without_docstring(block) in RUN


def test_the_page_has_recipes() -> None:
    assert len(BLOCKS) == 7


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_the_one_that_is_installed(version: str) -> None:
    assert f"=={version}" in (PROJECT / "noxfile.py").read_text("utf-8")


def test_the_page_has_versions() -> None:
    assert len(VERSIONS) >= 5
