# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Build sdist and wheel into ``dist``, and check what no other tool does: twice the same, all of it, and no more."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

DIST = pathlib.Path("dist")
#: What is tracked but no part of the sdist, and what is a part of each, tracked or not.
LEFT_OUT, MADE = (".github/", ".gitignore"), {"PKG-INFO", ".gitignore"}


def build(directory: pathlib.Path) -> dict[str, str]:
    """Build both, the wheel out of the sdist, and return the digest of each."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), "."]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def wrong(sdist: pathlib.Path) -> str:
    """What an sdist lacks of what is tracked, or has beside it; nothing where this is no repository."""
    command = ["git", "ls-files"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    tracked = set(listed.stdout.splitlines())
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive}
    if lacking := {path for path in tracked - packed if not path.startswith(LEFT_OUT)}:
        return f"The sdist lacks {', '.join(sorted(lacking))}."
    if tracked and (beside := packed - tracked - MADE):
        return f"The sdist has what git does not know: {', '.join(sorted(beside))}. Add it, or put it elsewhere."
    return ""


def main() -> int:
    """Run this as a command."""
    shutil.rmtree(DIST, ignore_errors=True)
    digests = build(DIST)
    with tempfile.TemporaryDirectory() as again:
        if build(pathlib.Path(again)) != digests:
            print("A second build is another one.", file=sys.stderr)
            return 1
    for name, digest in digests.items():
        print(f"{digest}  {name}")
    (sdist,) = DIST.glob("*.tar.gz")
    message = wrong(sdist)
    if message:
        print(message, file=sys.stderr)
    return 1 if message else 0


if __name__ == "__main__":
    sys.exit(main())
