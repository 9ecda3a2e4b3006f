"""The process that is measured: ``worker.py MEASURE CONTENDER [SCENARIO ...]`` prints a line for each scenario."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import instructions
import served
from contenders import CONTENDERS
from scenarios import SCENARIOS, acting

if TYPE_CHECKING:
    from contenders import Tracing
    from inprocess import Action

#: How many units, about, a measurement takes.
_COUNTED, _TIMED, _KEPT = 100, 500, 10_000


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
    """Seconds per unit, in several values."""
    times = max(1, _TIMED // units)
    await repeat(action, times)
    values = []
    for _ in range(5):
        tracing.reset()
        gc.collect()
        start = time.perf_counter()
        await repeat(action, times)
        values.append((time.perf_counter() - start) / (times * units))
    return "\t".join(map(str, values))


async def measure_memory(action: Action, units: int, tracing: Tracing) -> str:
    """Bytes that are kept of each unit, and objects that only the cyclic garbage collector frees."""
    times = max(1, _KEPT // units)
    await repeat(action, times)
    tracing.reset()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    await repeat(action, times)
    tracing.reset()
    garbage = gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    await repeat(action, times)
    tracing.reset()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    return f"{(after - before) / (times * units)}\t{garbage / (times * units)}"


MEASURES: dict[str, Callable[[Any, int, Tracing], Coroutine[Any, Any, str]]] = {
    "instructions": count,
    "time": measure_time,
    "memory": measure_memory,
}


async def measured(measure: str, name: str, tracing: Tracing) -> None:
    with acting(name, tracing) as action:
        if action is not None:
            print(name, await MEASURES[measure](action, SCENARIOS[name].units, tracing), sep="\t")


def in_a_fork(function: Callable[[], object]) -> None:
    """Run a function in a process that has seen none of the other scenarios."""
    child = os.fork()
    if child == 0:
        try:
            function()
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def main(measure: str, contender: str, *names: str) -> None:
    for logger in map(logging.getLogger, ("tornado.access", "tornado.application", "tornado.general")):
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    tracing = CONTENDERS[contender].switch_on()
    if measure == "sockets":
        asyncio.run(served.measure(tracing))
        return
    for name in names or SCENARIOS:
        in_a_fork(functools.partial(asyncio.run, measured(measure, name, tracing)))


if __name__ == "__main__":
    main(*sys.argv[1:])
