# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""jupyter server --config=jupyter_server_config.py"""

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import create_tracer

init_tracing(create_tracer(), operation_name="route", excluded_paths=["/static/.*"], trace_websocket_messages=True)
