# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Random programs: a generated tree of concurrent work is run on live servers, and its trace must be that tree.

What is expected follows from the tree alone (``programs.expected``); what was begun is noted by the interpreter
(``performance``) itself. ``RANDOM_PROGRAMS`` says how many programs are run; where it is set, other ones each time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator

import pytest
import tornado
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_programs.performance import WAYS
from random_programs.programs import CancelItself, Fetch, Finish, Pause, Raise, Run, Step, Work
from random_programs.stage import Stage
from support import RECORDERS

from tornado_opentracing import remove_tracing

PROGRAMS = int(os.environ.get("RANDOM_PROGRAMS", "300"))


@pytest.fixture
async def stage(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Stage]:
    # Programs fail all the time, and what is logged is kept.
    caplog.set_level(logging.CRITICAL, "tornado.application")
    caplog.set_level(logging.CRITICAL, "opentelemetry.attributes")
    stage = Stage()
    yield stage
    await stage.close()
    remove_tracing()


# The generator.

HANDLERS = ["Async", "Plain", "Decorated", *(["Coroutine"] if tornado.version_info >= (6, 1) else [])]


EVENTS: st.SearchStrategy[Step] = st.sampled_from(
    [Pause(1), Pause(1), Pause(3), Pause(20), Finish(), Finish(), Raise(), CancelItself()]
)


def works_of(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[Work]:
    some = st.lists(steps, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Work, some),
        st.builds(
            Fetch,
            some,
            handler=st.sampled_from(HANDLERS),
            # Not both at once: simple_httpclient fails where it gives up while it follows a redirect.
            conduct=st.sampled_from(["plain"] * 8 + ["redirected", "impatient"]),
        ),
    )


def works_that_run(works: st.SearchStrategy[Work]) -> st.SearchStrategy[Work]:
    runs = st.builds(
        Run,
        st.sampled_from(list(WAYS)),
        st.lists(works, min_size=1, max_size=3).map(tuple),
        cancelled_after=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 30)),
        catches=st.sampled_from([True, True, False]),
    )
    return works_of(st.one_of(runs, runs, EVENTS))


PROGRAM = st.recursive(works_of(EVENTS), works_that_run, max_leaves=80)


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    # Where the number was left alone, the programs are the same each time: a failure then is somebody's doing.
    derandomize="RANDOM_PROGRAMS" not in os.environ,
    print_blob=True,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(program=PROGRAM, stack=st.sampled_from(list(RECORDERS)))
async def test_the_trace_of_a_program_is_the_program(stage: Stage, program: Work, stack: str) -> None:
    await stage.perform(program, RECORDERS[stack]())
