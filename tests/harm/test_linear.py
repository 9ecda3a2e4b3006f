# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Nothing that looks at what comes from outside takes time that grows faster than what it looks at.

In instructions, counted by callgrind, and not by the clock: twice as much of a hostile text takes about twice as many.
"""

from __future__ import annotations

import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import tornado

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))
instructions = pytest.importorskip("instructions")
linear = pytest.importorskip("harm.linear")

#: What is twice as long may take so many times as many instructions: a little more than twice, for memory is had in
#: steps. What grows with the square takes four times as many.
MOST = 2.2


def counted(names: list[str]) -> dict[str, float]:
    """Instructions by piece of work, group of shapes and size."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    command = [sys.executable, str(pathlib.Path(linear.__file__)), *names]
    found: dict[str, float] = instructions.count(command, {**os.environ, "PYTHONPATH": path})
    return found


@pytest.mark.skipif(not instructions.are_countable(), reason="valgrind, which counts, is not installed")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11) or tornado.version_info < (6, 6), reason="once is enough")
def test_what_is_twice_as_long_takes_twice_as_many_instructions() -> None:
    with ThreadPoolExecutor() as pool:
        halves = [["URLs", "values"], [name for name in linear.WORK if name not in ("URLs", "values")]]
        found = {name: number for part in pool.map(counted, halves) for name, number in part.items()}
    small, large = linear.SIZES
    growth = {
        (name, number): found[f"{name} {number} {large}"] / found[f"{name} {number} {small}"]
        for name, (_, groups) in linear.WORK.items()
        for number in range(len(groups))
    }
    assert {shapes: grown for shapes, grown in growth.items() if grown > MOST} == {}


def test_the_shapes_are_as_long_as_they_say() -> None:
    shapes = [shape for _, groups in linear.WORK.values() for group in groups for shape in group]
    assert {len(linear.text_of(shape, 1000)) for shape in shapes} == {1000}
