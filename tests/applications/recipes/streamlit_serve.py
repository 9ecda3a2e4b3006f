# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""python streamlit_serve.py run streamlit_app.py"""

import sys

from streamlit.web.cli import main

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import create_tracer

init_tracing(create_tracer(), operation_name="route", excluded_paths=["/static/.*"], trace_websocket_messages=True)
sys.exit(main())
