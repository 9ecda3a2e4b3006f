# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Time as a ratio: two contenders take turns, in bursts, on one processor; what disturbs one disturbs the other."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
from collections.abc import Generator, Sequence

#: How many bursts each has.
ROUNDS = 60
_RESAMPLES = 2_000


@contextlib.contextmanager
def _on_one_processor() -> Generator[None]:
    """Who is started within runs there, and so does who that one forks."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(all_of_them)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


@contextlib.contextmanager
def _bursting(command: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    """A worker that waits for a line before each burst, and ends where there are no more."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.communicate()


def _told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _burst(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(_told(process))


def ratio(command: Sequence[str], against: Sequence[str], rounds: int = ROUNDS) -> list[float] | None:
    """How much longer one takes than the other: the median of the rounds' ratios, and its interval of 95%.

    Two processes differ by where their memory lies; they are the same ones for all rounds, so that this remains.

    :return: ``None`` where one of them has no part in the scenario.
    """
    with _on_one_processor(), _bursting(command) as one, _bursting(against) as other:
        if not (_told(one) and _told(other)):
            return None
        ratios = [_burst(one) / _burst(other) for _ in range(rounds)]
    chance = random.Random(1)  # noqa: S311 - not for secrets
    medians = sorted(statistics.median(chance.choices(ratios, k=rounds)) for _ in range(_RESAMPLES))
    return [statistics.median(ratios), medians[_RESAMPLES // 40], medians[-_RESAMPLES // 40]]
