# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the pages of the documentation show runs, where their links lead there is something, and README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import DOCS, PAGES, ROOT, blocks_of, run_page, text_of

#: Programs that run a loop of their own, or set up the log: test_recipes.py runs them, each in a process. What belongs
#: into applications, "nox -s applications" runs there.
ALONE = {"README.md", "tutorial.md", "logs.md", "applications.md"}
LINKING = {**PAGES, **{name: ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
REPOSITORY = re.findall(r'^Repository = "(.*)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[0]


@pytest.mark.parametrize("page", sorted({page for page in PAGES if blocks_of(page)} - ALONE))
async def test_the_code_of_a_page_is_a_program_that_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in ("TRACES", "METRICS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    namespace = run_page(page)
    for value in namespace.values():
        if hasattr(value, "shutdown") and not isinstance(value, type):
            value.shutdown()


def anchors(path: Path) -> set[str]:
    """What the headings of a page can be linked to by."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(LINKING))
def test_every_link_within_the_project_leads_somewhere(page: str) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", LINKING[page].read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if target.startswith(REPOSITORY):
            target = re.sub(r"^/(blob|raw|tree)/main/", "", target.removeprefix(REPOSITORY)) or "README.md"
            path = ROOT / target
        elif target.startswith("http"):
            continue
        else:
            path = LINKING[page].parent / target if target else LINKING[page]
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("page", sorted(LINKING))
def test_every_block_of_code_has_an_end(page: str) -> None:
    """One without would take the rest of the page, and nothing else would say so."""
    fences = re.findall(r"^ *```.*$", LINKING[page].read_text("utf-8"), re.MULTILINE)
    assert all(fence.strip() == "```" for fence in fences[1::2])
    assert len(fences) % 2 == 0


def test_every_page_is_in_the_table_of_contents() -> None:
    index = text_of("index.md")
    listed = {line for toc in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL) for line in toc.splitlines()}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= listed


def test_readme_is_short_and_reads_as_well_where_the_package_is_published() -> None:
    text = text_of("README.md")
    assert len(text.splitlines()) <= 150
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []
    for command in ("python -m pip install nox && nox -s demo", "python -m pip install nox && nox"):
        assert f"```sh\n{command}\n```" in text
    assert "OpenTracing is archived" in text.partition("![")[0]


def test_the_project_has_one_address() -> None:
    """``nox -s address`` changes it; one that was forgotten would lead elsewhere."""
    for path in [*LINKING.values(), ROOT / "pyproject.toml"]:
        for address in re.findall(r"https?://[^\s)\"'>]*tornado[-_]opentracing[^\s)\"'>]*", path.read_text("utf-8")):
            assert address.startswith(REPOSITORY), (path.name, address)
