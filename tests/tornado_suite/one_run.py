# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Run Tornado's own test suite once, by its own runner, and write down what became of each test.

Takes the arguments of ``python -m tornado.test.runtests``. All it knows of tracing is to ask, after each test, whether
something was left active.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import unittest
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from environment import ONLY, OUTSIDE, RESULT, TEST
from tornado.options import add_parse_callback
from tornado.test import runtests

if TYPE_CHECKING:
    _Result = unittest.TextTestResult
else:
    _Result = object

#: By test: what happened, in a word or two, and in full.
outcomes: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)


def happened(what: str, in_full: object = "") -> None:
    outcomes[os.environ[TEST]].append((what, str(in_full)))


class Recording(_Result):
    """Goes before the class of result that Tornado's runner uses."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        os.environ[TEST] = test.id()
        self._stderr_before = _bytes_to_stderr()
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        tracer = getattr(sys.modules.get("sitecustomize"), "tracer", None)
        if tracer is not None and tracer.active_span is not None:
            happened("left a span active", tracer.active_span.operation_name)
        if _bytes_to_stderr() > self._stderr_before:
            happened("wrote to stderr")
        os.environ[TEST] = OUTSIDE

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        happened("passed")
        super().addSuccess(test)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        happened("failed", self.failures[-1][1])

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        happened("error" if isinstance(test, unittest.TestCase) else f"error in {test.id()}", self.errors[-1][1])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        happened(f"skipped: {reason}")
        super().addSkip(test, reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        happened("failed as expected")
        super().addExpectedFailure(test, err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        happened("passed unexpectedly")
        super().addUnexpectedSuccess(test)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            happened(f"failed {subtest.id()}", err[1])
        super().addSubTest(test, subtest, err)


def _bytes_to_stderr() -> int:
    # Tornado's runner counts them; a test that passes should write none.
    return getattr(sys.stderr, "byte_count", 0)


class _Log(logging.Handler):
    """What no ``ExpectLog`` of a test has taken; a test that passes should leave none."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "root" or not str(record.msg).startswith("logged %d infos"):  # the runner's own verdict
            happened(f"logged {record.levelname} {record.name}", self.format(record))


def _wanted(tests: Any, names: list[str]) -> Iterator[unittest.TestCase]:
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from _wanted(test, names)
        elif test.id() in names:
            yield test


def _recording(factory: Callable[[Any], Any]) -> Callable[[Any], type[unittest.TextTestRunner]]:
    def make(stderr: Any) -> type[unittest.TextTestRunner]:
        base: Any = factory(stderr)

        class Runner(base):  # type: ignore[misc]
            resultclass: Any

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.resultclass = type("Result", (Recording, self.resultclass), {})

            def run(self, test: Any) -> Any:
                if ONLY in os.environ:
                    test = unittest.TestSuite(_wanted(test, json.loads(os.environ[ONLY])))
                # An error otherwise, and an old Tornado on a new Python then waits for long for what will not come.
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                return super().run(test)

        return Runner

    return make


def main() -> None:
    os.environ[TEST] = OUTSIDE
    pid = os.getpid()
    factory: Any = runtests.test_runner_factory
    main_: Any = runtests.main
    setattr(runtests, "test_runner_factory", _recording(factory))  # noqa: B010
    # Later than Tornado's own, which wants to be the first handler of all.
    add_parse_callback(lambda: logging.getLogger().addHandler(_Log()))
    if not any(not argument.startswith("-") for argument in sys.argv[1:]):
        sys.argv += runtests.TEST_MODULES
    try:
        main_()
    finally:
        if os.getpid() == pid:
            Path(os.environ[RESULT]).write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main()
