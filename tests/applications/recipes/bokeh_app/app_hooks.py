# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""bokeh serve bokeh_app"""

from typing import Any

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import create_tracer


def on_server_loaded(_server_context: Any) -> None:
    init_tracing(
        create_tracer(), operation_name="route", excluded_paths=[".*/static/.*"], trace_websocket_messages=True
    )
