# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Running a program traced, without a line of it changed."""

from __future__ import annotations

from tornado_opentracing._command.run import main

__all__ = ["main"]
