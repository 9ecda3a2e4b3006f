# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Build the sdist and the wheel into ``dist``, and check what no other tool does: twice the same, and complete."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

DIST = pathlib.Path("dist")
#: What is tracked but no part of the sdist.
LEFT_OUT = (".github/", ".gitignore")


def build(directory: pathlib.Path) -> dict[str, str]:
    """Build both, the wheel out of the sdist, and return the digest of each."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), "."]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.iterdir())}


def missing(sdist: pathlib.Path) -> list[str]:
    """What is tracked and not in an sdist; nothing where this is no repository."""
    command = ["git", "ls-files"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    with tarfile.open(sdist) as archive:
        packed = {member.name.partition("/")[2] for member in archive}
    return [path for path in listed.stdout.splitlines() if path not in packed and not path.startswith(LEFT_OUT)]


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
    if lacking := missing(sdist):
        print(f"The sdist lacks {', '.join(lacking)}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
