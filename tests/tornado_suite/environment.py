# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The environment variables by which the processes of a run know what to do."""

from __future__ import annotations

#: The file for what became of each test.
RESULT = "TORNADO_SUITE_RESULT"
#: A JSON list of tests, where not all are to be run.
ONLY = "TORNADO_SUITE_ONLY"
#: The file for what happens to spans; only in traced runs.
EVENTS = "TORNADO_SUITE_EVENTS"
#: The test that is running, or :data:`OUTSIDE`; set by the run itself, for its subprocesses.
TEST = "TORNADO_SUITE_TEST"

OUTSIDE = "(outside of any test)"
