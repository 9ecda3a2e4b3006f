# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Instructions, counted by callgrind: the worker marks where the counting begins and ends."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

#: A function of libc's that nothing else calls here: callgrind writes down what it has counted before each call of it.
_MARK = "getppid"


def mark() -> None:
    os.getppid()


def are_countable() -> bool:
    return shutil.which("valgrind") is not None


def count(command: Sequence[str], environment: Mapping[str, str], *, is_of_jumps: bool = False) -> dict[str, float]:
    """Instructions per unit of each scenario that the command, a worker, runs.

    :param is_of_jumps: whether to count instead how many indirect jumps a simulated processor mispredicts.
    """
    with tempfile.TemporaryDirectory() as directory:
        output = pathlib.Path(directory, "out")
        callgrind = ["valgrind", "--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={output}.%p"]
        if is_of_jumps:
            callgrind.append("--branch-sim=yes")
        run = subprocess.run(
            [*callgrind, *command],
            env={**environment, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        rows = [line.split("\t") for line in run.stdout.splitlines()]
        # The first part ends where the scenario begins, the second where it ends.
        return {
            name: _total(output.with_suffix(f".{process}.2"), is_of_jumps) / int(units) for name, units, process in rows
        }


def _total(part: pathlib.Path, is_of_jumps: bool) -> int:
    # Of jumps: instructions, conditional ones, those mispredicted, indirect ones, those mispredicted.
    match = re.search(r"^(?:totals|summary): ([\d ]+)", part.read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1].split()[4 if is_of_jumps else 0])
