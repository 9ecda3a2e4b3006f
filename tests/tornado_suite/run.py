"""Run Tornado's own test suite bare and traced, and compare: no test may notice the difference.

    python tests/tornado_suite/run.py [arguments of tornado.test.runtests]

Compared is what became of each test: its outcome, what it logged, whether it wrote to stderr. A test that differs is
run again in both ways, three times alone and once with its class: what happens then only when it is traced cannot be
put down to timing. Of the traced run every span has to be finished, once, no trace may reach from one test into
another, nothing may be left active, and the package must not have logged anything.
"""

# ruff: noqa: T201

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import tornado
from one_run import ONLY, OUTSIDE, RESULT
from recording import EVENTS

import tornado_opentracing

#: Tests that differ, and why.
DIFFERENT = {
    "tornado.test.import_test.ImportTest.test_lazy_import": (
        "asks that nothing in a new process has imported tornado.web yet, but tracing has"
    ),
}

#: Tests that leave spans unfinished, and why.
UNFINISHED = {
    "tornado.test.process_test.ProcessTest.test_multi_process": "its handlers end their process by os._exit",
}

HERE = Path(__file__).resolve().parent
TIMEOUT = 600
MOST_TO_RUN_AGAIN = 20
MOST_TO_PRINT = 50

Outcome = list[list[str]]


@dataclasses.dataclass
class Run:
    """What came of running the suite, or part of it, once."""

    outcomes: dict[str, Outcome]
    events: list[dict[str, Any]]
    seconds: float

    def outcome(self, test: str) -> str:
        """What became of a test, in a few words."""
        counted = Counter(what for what, _ in self.outcomes.get(test, [["not run", ""]]))
        return ", ".join(sorted(counted))

    def in_full(self, test: str) -> str:
        return "\n".join(f"{what}\n{text}" if text else what for what, text in self.outcomes.get(test, []))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events if found["event"] == event]


def run(*, traced: bool, arguments: list[str], only: list[str] | None = None) -> Run:
    """Run the suite in a process of its own."""
    way = "traced" if traced else "bare"
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
        with (
            output.open("w") as out,
            subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            ) as process,
        ):
            try:
                status: object = process.wait(TIMEOUT)
            except subprocess.TimeoutExpired as error:
                process.kill()
                status = error
        if not result.exists():
            sys.exit(f"{output.read_text(errors='replace')}\nthe {way} run broke off: {status}")
        lines = events.read_text().splitlines()
        return Run(json.loads(result.read_text()), [json.loads(line) for line in lines], time.monotonic() - start)


def class_of(test: str) -> str:
    return test.rpartition(".")[0]


def differs_again(test: str, bare: Run, arguments: list[str]) -> bool:
    """Whether a test, run again, has an outcome when it is traced that it never has when it is not."""
    together = [other for other in bare.outcomes if class_of(other) == class_of(test)]
    possible, traced = {bare.outcome(test)}, set()
    for only in ([test], [test], [test], together):
        possible.add(run(traced=False, arguments=arguments, only=only).outcome(test))
        traced.add(run(traced=True, arguments=arguments, only=only).outcome(test))
    return not traced <= possible


def compare(bare: Run, traced: Run, arguments: list[str]) -> tuple[int, list[str]]:
    """How many tests are alike, and what is wrong."""
    tests = {*bare.outcomes, *traced.outcomes} - {OUTSIDE}
    differing = sorted(test for test in {*tests, OUTSIDE} if bare.outcome(test) != traced.outcome(test))
    wrong = []
    for number, test in enumerate(differing):
        print(f"\n{test}\n  bare: {bare.outcome(test)}\n  traced: {traced.outcome(test)}")
        if test in DIFFERENT:
            print(f"  listed: it {DIFFERENT[test]}")
        elif test != OUTSIDE and number < MOST_TO_RUN_AGAIN and not differs_again(test, bare, arguments):
            print("  but alike when run again")
        else:
            print(f"--- bare\n{bare.in_full(test)}\n--- traced\n{traced.in_full(test)}\n---")
            wrong.append(f"{test} differs")
    return len(tests) - len({*differing} - {OUTSIDE}), wrong


def check_spans(traced: Run) -> tuple[int, list[str]]:
    """How many spans were finished once, and what is wrong."""
    finishes = Counter(event["span"] for event in traced.of("finish"))
    tests_of: defaultdict[int, set[str]] = defaultdict(set)
    once, wrong = 0, []
    listed: Counter[str] = Counter()
    for event in traced.of("start"):
        test, count = event["test"], finishes.pop(event["span"], 0)
        tests_of[event["trace"]].add(test)
        if count == 1:
            once += 1
        elif count == 0 and test in UNFINISHED:
            listed[test] += 1
        else:
            wrong.append(f"{test}: the {event['kind']} span {event['name']} was finished {count} times")
    wrong += [f"span {span} was finished, but never started" for span in finishes]
    wrong += [f"one trace in {', '.join(sorted(tests))}" for tests in tests_of.values() if len(tests) > 1]
    wrong += [f"{event['test']}: the package logged: {event['text']}" for event in traced.of("report")]
    for test, count in listed.items():
        print(f"\n{test}\n  spans left unfinished: {count}\n  listed: {UNFINISHED[test]}")
    return once, wrong


def main() -> None:
    arguments = sys.argv[1:]
    print(f"Tornado {tornado.version} and {Path(tornado_opentracing.__file__).parent}")
    bare, traced = (run(traced=is_traced, arguments=arguments) for is_traced in (False, True))
    for way, result in ("bare", bare), ("traced", traced):
        words = Counter(result.outcome(test).partition(":")[0] for test in result.outcomes)
        counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
        print(f"{way}: {counts} ({result.seconds:.0f} s)")
    kinds = Counter(event["kind"] for event in traced.of("start"))
    print(f"spans: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}", flush=True)

    alike, wrong = compare(bare, traced, arguments)
    once, wrong_spans = check_spans(traced)
    wrong += wrong_spans
    is_whole = all(argument.startswith("-") for argument in arguments)
    if is_whole and not {"server", "client", "consumer"} <= set(kinds):
        wrong.append("not everything was traced")
    for line in wrong[:MOST_TO_PRINT]:
        print(f"\nWRONG: {line}")
    print(f"\n{alike} tests alike bare and traced, {once} spans finished once, {len(wrong)} things wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
