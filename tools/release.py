# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Make a release of what is checked out: its version, its date in the changelog, a commit and a tag; nothing is sent.

``nox -s release -- 2.0.0`` runs this. ``--check v2.0.0`` only looks whether a tag and what it stands on agree, and
prints what the changelog says of it.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib
import re
import subprocess
import sys

PYPROJECT, CHANGELOG = pathlib.Path("pyproject.toml"), pathlib.Path("CHANGELOG.md")
CITATION, README = pathlib.Path("CITATION.cff"), pathlib.Path("README.md")


class NotReadyError(Exception):
    """Why there can be no release now."""


def notes(changelog: str, version: str) -> str:
    """What the changelog says of a version, without its heading."""
    found = re.search(
        rf"^## \[{re.escape(version)}\] - [^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise NotReadyError(f"{CHANGELOG} says nothing of {version}: give it a section ## [{version}] - unreleased")
    return found[1].strip()


def dated(changelog: str, version: str, today: datetime.date) -> str:
    """The changelog with a version's date in it."""
    notes(changelog, version)
    heading = f"## [{version}] - unreleased"
    if heading not in changelog:
        raise NotReadyError(f"{CHANGELOG} has a date for {version} already")
    return changelog.replace(heading, f"## [{version}] - {today.isoformat()}", 1)


def with_value(text: str, pattern: str, value: str) -> str:
    """The text with another value where the one group of a pattern is."""
    changed, count = re.subn(
        pattern, lambda found: found[0].replace(found[1], value), text, count=1, flags=re.MULTILINE
    )
    if not count:
        raise NotReadyError(f"there is nothing like {pattern}")
    return changed


def git(*arguments: str) -> str:
    """What git says."""
    command = ["git", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def release(version: str, today: datetime.date) -> None:
    """Commit and tag a version."""
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise NotReadyError(f"{version} is no version, such as 2.0.0 or 2.1.0rc1")
    if git("status", "--porcelain"):
        raise NotReadyError("there are changes that are not committed")
    if git("tag", "--list", f"v{version}"):
        raise NotReadyError(f"there is a tag v{version} already")
    if README.exists() and "not released yet" in README.read_text("utf-8"):
        raise NotReadyError(f"{README} says that it is not released yet: say there how to install it")
    changelog = dated(CHANGELOG.read_text("utf-8"), version, today)
    citation = with_value(CITATION.read_text("utf-8"), r"^version: (\S+)$", version)
    citation = re.sub(r"^date-released: .*\n", "", citation, flags=re.MULTILINE)
    citation = citation.replace(f"version: {version}\n", f"version: {version}\ndate-released: {today.isoformat()}\n", 1)
    project = with_value(PYPROJECT.read_text("utf-8"), r'^version = "(.*)"$', version)
    for path, text in [(CHANGELOG, changelog), (CITATION, citation), (PYPROJECT, project)]:
        path.write_text(text, "utf-8")
    git("commit", "--all", "--message", f"Release {version}")
    git(
        "tag",
        "--annotate",
        f"v{version}",
        "--message",
        f"{version}\n\n{notes(changelog, version)}",
        "--cleanup=verbatim",
    )


def linked(text: str, tag: str) -> str:
    """The text with links that lead from anywhere to the project's files as they are at a tag."""
    address = re.findall(r'^Repository = "(.*)"$', PYPROJECT.read_text("utf-8"), re.MULTILINE)
    return re.sub(r"\]\((?![a-z]+:)", f"]({address[0]}/blob/{tag}/", text) if address else text


def check(tag: str) -> str:
    """The notes of a tag that was made by :func:`release`."""
    version = tag.removeprefix("v")
    if f'\nversion = "{version}"\n' not in PYPROJECT.read_text("utf-8"):
        raise NotReadyError(f"{PYPROJECT} has another version than {tag}")
    changelog = CHANGELOG.read_text("utf-8")
    if f"## [{version}] - unreleased" in changelog:
        raise NotReadyError(f"{CHANGELOG} has no date for {version}")
    return linked(notes(changelog, version), tag)


def main() -> int:
    """Run this as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", nargs="?", help="such as 2.0.0")
    parser.add_argument("--check", metavar="TAG", help="only look whether everything agrees with this tag")
    arguments = parser.parse_args()
    if not (arguments.version or arguments.check):
        parser.error("which version?")
    try:
        if arguments.check:
            print(check(arguments.check))
            return 0
        release(arguments.version, datetime.datetime.now(datetime.timezone.utc).date())
    except NotReadyError as error:
        print(f"No release: {error}.", file=sys.stderr)
        return 1
    print(f"Committed and tagged. git push --follow-tags publishes it; git reset --hard HEAD~ && git tag -d "
          f"v{arguments.version} takes it back.")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
