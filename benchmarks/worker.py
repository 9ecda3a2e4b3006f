# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The process that is measured: ``worker.py MEASURE CONTENDER [SCENARIO ...]`` prints a line for each scenario."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import collected
import held
import importing
import instructions
import served
from contenders import COLLECTED, CONTENDERS
from scenarios import FETCH, MESSAGE, REQUEST, SCENARIOS, acting

if TYPE_CHECKING:
    from contenders import Tracing
    from inprocess import Action

#: How many units, about, a measurement takes; a value of a time is of so many.
_COUNTED, _TIMED, _KEPT, _RESIDENT, _BURST = 100, 500, 5_000, 20_000, 300
#: Where memory is looked at.
_KEEPING = (REQUEST, FETCH, MESSAGE)


async def repeat(action: Action, times: int) -> None:
    for _ in range(times):
        await action()
    # What is still to be done when the action is.
    await asyncio.sleep(0)


async def count(action: Action, units: int, tracing: Tracing) -> str:
    """Units and process, between two marks."""
    times = max(1, _COUNTED // units)
    await repeat(action, 30 if units < 1_000 else 1)
    tracing.reset()
    gc.disable()
    instructions.mark()
    await repeat(action, times)
    instructions.mark()
    return f"{times * units}\t{os.getpid()}"


async def measure_time(action: Action, units: int, tracing: Tracing) -> str:
    """Microseconds per unit, in several values."""
    times = max(1, _TIMED // units)
    await repeat(action, times)
    values = []
    for _ in range(5 if units < 10_000 else 2):
        tracing.reset()
        gc.collect()
        start = time.perf_counter()
        await repeat(action, times)
        values.append((time.perf_counter() - start) / (times * units) * 1e6)
    return "\t".join(map(str, values))


async def measure_bursts(action: Action, units: int, _: Tracing) -> str:
    """Seconds of a burst, for each line that is read, as soon as that is over."""
    times = max(1, _BURST // units)
    await repeat(action, times)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for _line in sys.stdin:
        start = time.perf_counter()
        await repeat(action, times)
        print(time.perf_counter() - start, flush=True)
    return ""


async def measure_memory(action: Action, units: int, tracing: Tracing) -> str:
    """Bytes that are kept of each unit, and objects of each that only the cyclic garbage collector frees."""
    times = max(1, _KEPT // units)
    few = max(1, times // 5)
    await repeat(action, few)
    forget(tracing)
    gc.disable()
    tracemalloc.start()
    await repeat(action, few)
    garbage = forget(tracing)
    before, _ = tracemalloc.get_traced_memory()
    await repeat(action, times)
    forget(tracing)
    after, _ = tracemalloc.get_traced_memory()
    return f"{(after - before) / (times * units)}\t{garbage / (few * units)}"


async def measure_resident(action: Action, units: int, tracing: Tracing) -> str:
    """MiB that are resident after the first tenth of a long run, and KiB by which that grows until its end."""
    sizes = []
    for tenths in (1, 9):
        for _ in range(tenths * _RESIDENT // 10 // _COUNTED):
            await repeat(action, max(1, _COUNTED // units))
            tracing.reset()
        forget(tracing)
        sizes.append(held.resident_kib())
    first, last = sizes
    return f"{first / 1024}\t{last - first}"


def forget(tracing: Tracing) -> int:
    """Free what nobody needs; how many objects only the garbage collector could free."""
    tracing.reset()
    garbage = gc.collect()
    # CPython's cache of attributes keeps up to 4,096 names, some of them made for a single request.
    sys._clear_type_cache()
    return garbage


MEASURES: dict[str, Callable[[Any, int, Tracing], Coroutine[Any, Any, str]]] = {
    "instructions": count,
    "time": measure_time,
    "bursts": measure_bursts,
    "memory": measure_memory,
    "resident": measure_resident,
}


async def measured(measure: str, name: str, tracing: Tracing) -> None:
    with acting(name, tracing) as action:
        if action is not None:
            print(name, await MEASURES[measure](action, SCENARIOS[name].units, tracing), sep="\t")


def in_a_fork(work: Coroutine[Any, Any, None]) -> None:
    """Measure in a process that has seen none of the other scenarios."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(work)
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    work.close()
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit("a scenario failed")


def main(measure: str, contender: str, *names: str) -> None:
    for logger in map(logging.getLogger, ("tornado.access", "tornado.application", "tornado.general")):
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    part = CONTENDERS[contender].part
    if measure == "import":
        importing.measure(contender)
        return
    if measure == "collected":
        collected.measure(contender)
        return
    if part == COLLECTED:
        return
    tracing = CONTENDERS[contender].switch_on()
    if measure == "held":
        for name in () if part else held.HELD:
            in_a_fork(held.measure(name, tracing))
        return
    if measure == "sockets":
        if not part:
            asyncio.run(served.measure(tracing))
        return
    for name in names or (_KEEPING if measure in ("memory", "resident") else SCENARIOS):
        if name.startswith(part):
            in_a_fork(measured(measure, name, tracing))


if __name__ == "__main__":
    main(*sys.argv[1:])
