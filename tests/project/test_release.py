# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What ``nox -s release`` does, but for the publishing: in a repository of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.pages import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

TOOL = ROOT / "tools" / "release.py"
FILES = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1.9.0"\n\n[project.urls]\nRepository = "https://x.example/x"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.9.0\ndate-released: 2020-01-01\n",
    "CHANGELOG.md": "# Changelog\n\n## [2.0.0] - unreleased\n\n- New: `#1` [Page](docs/a.md)\n\n"
    "## [1.9.0] - 2020-01-01\n\n- Old\n",
}
#: Nobody's name, settings and hooks but these.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in a repository with a version that is ready to be released."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
        )

    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Begin"]):
        assert run("git", *arguments).returncode == 0
    return run


def test_a_release_is_a_commit_and_a_tag_with_its_date_and_notes(run: Run, tmp_path: Path) -> None:
    result = run(sys.executable, str(TOOL), "2.0.0")
    assert result.returncode == 0, result.stderr
    assert run("git", "status", "--porcelain").stdout == ""
    assert run("git", "log", "-1", "--format=%s %D").stdout.startswith("Release 2.0.0 HEAD")
    assert (
        run("git", "tag", "--list", "--format=%(contents)").stdout.strip() == "2.0.0\n\n- New: `#1` [Page](docs/a.md)"
    )
    assert 'version = "2.0.0"' in (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    changelog = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    date = changelog.partition("## [2.0.0] - ")[2].partition("\n")[0]
    assert len(date) == len("2020-01-01")
    citation = (tmp_path / "CITATION.cff").read_text(encoding="utf-8")
    assert citation == f"cff-version: 1.2.0\nversion: 2.0.0\ndate-released: {date}\n"
    checked = run(sys.executable, str(TOOL), "--check", "v2.0.0")
    assert (checked.returncode, checked.stdout) == (
        0,
        "- New: `#1` [Page](https://x.example/x/blob/v2.0.0/docs/a.md)\n",
    )


@pytest.mark.parametrize(
    ("version", "change", "why"),
    [
        ("2.0.0", "echo more >> CHANGELOG.md", "not committed"),
        ("2.0.0", "git tag v2.0.0", "a tag v2.0.0 already"),
        ("1.9.0", "true", "has a date for 1.9.0 already"),
        ("3.0.0", "true", "says nothing of 3.0.0"),
        ("2.0", "true", "is no version"),
        ("2.0.0", "echo It is not released yet > README.md; git add .; git commit -qm README", "how to install it"),
    ],
)
def test_what_is_not_ready_is_not_released(version: str, change: str, why: str, run: Run) -> None:
    assert run("sh", "-c", change).returncode == 0
    before = run("git", "log", "--format=%H").stdout
    result = run(sys.executable, str(TOOL), version)
    assert result.returncode == 1
    assert result.stderr.startswith("No release: ")
    assert why in result.stderr
    assert run("git", "log", "--format=%H").stdout == before


def test_a_tag_that_says_another_version_is_refused(run: Run) -> None:
    assert "another version than v2.0.0" in run(sys.executable, str(TOOL), "--check", "v2.0.0").stderr


def test_the_project_itself_is_ready() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = project.partition('\nversion = "')[2].partition('"')[0]
    assert f"## [{version}] - " in changelog
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
