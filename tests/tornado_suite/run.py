# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Run Tornado's own test suite bare and traced, and compare: no test may notice the difference.

    python tests/tornado_suite/run.py [arguments of tornado.test.runtests]

Compared is what became of each test: its outcome, what it logged, whether it wrote to stderr. A test that differs is
run again in both ways, three times alone and three times with its class: what then happens mostly, and only when it is
traced, cannot be put down to timing. Of the traced run every span has to be finished, once, no trace may reach from one
test into another, nothing may be left active, and the package must not have logged anything.
"""

# ruff: noqa: T201

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import tornado
from environment import EVENTS, ONLY, OUTSIDE, RESULT

import tornado_opentracing

#: Tests that differ: what becomes of them when they are traced, and why.
DIFFERENT = {
    "tornado.test.import_test.ImportTest.test_lazy_import": (
        "failed",
        "it asks that nothing in a new process has imported tornado.web yet, but tracing has",
    ),
}

#: Tests that leave server spans unfinished: how many, and why.
UNFINISHED = {
    "tornado.test.process_test.ProcessTest.test_multi_process": (5, "its handler ends the process by os._exit"),
}

HERE = Path(__file__).resolve().parent
TIMEOUT = 600
MOST_TO_RUN_AGAIN = 20
MOST_TO_PRINT = 50


@dataclasses.dataclass
class Run:
    """What came of running the suite, or part of it, once."""

    outcomes: dict[str, list[list[str]]]
    events: list[dict[str, Any]]
    seconds: float

    @property
    def tests(self) -> set[str]:
        return self.outcomes.keys() - {OUTSIDE}

    def outcome(self, test: str) -> str:
        """What became of a test, in a few words."""
        return " and ".join(sorted({what for what, _ in self.outcomes.get(test, [["not run", ""]])}))

    def in_full(self, test: str) -> str:
        return "\n".join(f"{what}\n{text}" if text else what for what, text in self.outcomes.get(test, []))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events if found["event"] == event]


def run(*, traced: bool, arguments: list[str], only: list[str] | None = None) -> Run:
    """Run the suite in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result, events, output = (Path(folder, name) for name in ("result.json", "events", "output"))
        events.touch()
        # Absolute, for the tests change their directory.
        paths = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        environment = {**os.environ, RESULT: str(result)}
        if only is not None:
            environment[ONLY] = json.dumps(only)
        if traced:
            environment[EVENTS] = str(events)
            paths = [str(HERE / "tracing"), str(HERE), *paths]
        if paths:
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        command = [sys.executable, str(HERE / "one_run.py"), *arguments]
        start = time.monotonic()
        status: object
        with output.open("w") as out:
            try:
                status = subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    timeout=TIMEOUT,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired as error:
                status = error
        if not result.exists():
            way = "traced" if traced else "bare"
            sys.exit(f"{output.read_text(errors='replace')}\nthe {way} run broke off: {status}")
        lines = events.read_text().splitlines()
        return Run(json.loads(result.read_text()), [json.loads(line) for line in lines], time.monotonic() - start)


def class_of(test: str) -> str:
    return test.rpartition(".")[0]


def differs_again(test: str, bare: Run, arguments: list[str]) -> bool:
    """Whether a test, run again, mostly has an outcome when it is traced that it never has when it is not."""
    possible = {bare.outcome(test)}
    for only in [test], [other for other in bare.outcomes if class_of(other) == class_of(test)]:
        outcomes = []
        for _ in range(3):
            possible.add(run(traced=False, arguments=arguments, only=only).outcome(test))
            outcomes.append(run(traced=True, arguments=arguments, only=only).outcome(test))
        if sum(outcome not in possible for outcome in outcomes) > 1:
            return True
    return False


def compare(bare: Run, traced: Run, arguments: list[str]) -> tuple[Counter[str], list[str]]:
    """How many tests have which difference, and what is wrong."""
    counts: Counter[str] = Counter()
    wrong = []
    for test in sorted({*bare.outcomes, *traced.outcomes}):
        before, after = bare.outcome(test), traced.outcome(test)
        if before == after:
            counts["the same"] += test != OUTSIDE
            if test in DIFFERENT:
                wrong.append(f"{test} is listed as different, but is the same")
            continue
        print(f"\n{test}\n  bare: {before}\n  traced: {after}")
        expected, reason = DIFFERENT.get(test, ("", ""))
        if after == expected:
            print(f"  listed: {reason}")
            counts["different as listed"] += 1
        elif test != OUTSIDE and len(wrong) < MOST_TO_RUN_AGAIN and not differs_again(test, bare, arguments):
            print("  but the same when run again")
            counts["the same when run again"] += 1
        else:
            print(f"--- bare\n{bare.in_full(test)}\n--- traced\n{traced.in_full(test)}\n---")
            counts["different"] += 1
            wrong.append(f"{test} is different")
    return counts, wrong


def check_spans(traced: Run) -> tuple[Counter[str], list[str]]:
    """How many spans have which end, and what is wrong."""
    finishes = Counter(event["span"] for event in traced.of("finish"))
    tests_of: defaultdict[int, set[str]] = defaultdict(set)
    unfinished: defaultdict[str, list[str]] = defaultdict(list)
    counts: Counter[str] = Counter()
    wrong = []
    for event in traced.of("start"):
        test, span, times = event["test"], f"{event['kind']} {event['name']}", finishes.pop(event["span"], 0)
        tests_of[event["trace"]].add(test)
        if times == 0:
            unfinished[test].append(span)
        elif times == 1:
            counts["finished once"] += 1
        else:
            counts["finished more than once"] += 1
            wrong.append(f"{test}: finished {times} times: {span}")
    for test in sorted({*unfinished, *(test for test in UNFINISHED if traced.outcome(test) == "passed")}):
        spans, (expected, reason) = unfinished[test], UNFINISHED.get(test, (0, ""))
        if len(spans) == expected and all(span.startswith("server ") for span in spans):
            print(f"\n{test}\n  unfinished: {', '.join(spans)}\n  listed: {reason}")
            counts["unfinished as listed"] += expected
        else:
            counts["unfinished"] += len(spans)
            wrong.append(f"{test}: unfinished, where {expected} are listed: {', '.join(spans) or 'none'}")
    wrong += [f"span {span} was finished, but never started" for span in finishes]
    wrong += [f"one trace in {', '.join(sorted(tests))}" for tests in tests_of.values() if len(tests) > 1]
    wrong += [f"{event['test']}: the package logged: {event['text']}" for event in traced.of("report")]
    return counts, wrong


def in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def main() -> None:
    arguments = sys.argv[1:]
    where = Path(tornado_opentracing.__file__).parent
    print(f"Tornado {tornado.version} on Python {platform.python_version()}, traced by {where}", flush=True)
    bare, traced = (run(traced=is_traced, arguments=arguments) for is_traced in (False, True))
    tests, wrong = compare(bare, traced, arguments)
    spans, wrong_spans = check_spans(traced)
    wrong += wrong_spans
    kinds = Counter(event["kind"] for event in traced.of("start"))
    is_whole = all(argument.startswith("-") for argument in arguments)
    if is_whole and kinds.keys() != {"server", "client", "consumer"}:
        wrong.append("not everything was traced")
    for line in wrong[:MOST_TO_PRINT]:
        print(f"\nWRONG: {line}")

    print()
    for way, result in ("bare", bare), ("traced", traced):
        # Why a test was skipped stands behind a colon.
        words = Counter(result.outcome(test).partition(":")[0] for test in result.tests)
        print(f"{way}: {len(result.tests)} tests in {result.seconds:.0f} s: {in_words(words)}")
    print(f"outcomes: {in_words(tests)}")
    print(f"spans: {kinds.total()} opened ({in_words(kinds)}): {in_words(spans)}")
    print(f"{len(wrong) or 'nothing'} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
