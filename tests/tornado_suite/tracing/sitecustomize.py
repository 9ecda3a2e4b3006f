# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""On the path of a traced run, so that every process of it is traced from its start, the tests' subprocesses too."""

from __future__ import annotations

import os

import recording
from environment import EVENTS

#: Asked by one_run.py for what a test left active.
tracer = recording.trace(os.environ[EVENTS])
