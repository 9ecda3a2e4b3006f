# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""dask scheduler --preload trace_dask.py"""

from typing import Any

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import create_tracer


def dask_setup(_scheduler: Any) -> None:
    init_tracing(create_tracer(), operation_name="route", excluded_paths=["/statics/.*", "/static/.*"])
