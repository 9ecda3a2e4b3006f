"""panel serve panel_app.py --setup panel_setup.py"""

from tornado_opentracing import init_tracing
from tornado_opentracing.opentelemetry import create_tracer

init_tracing(create_tracer(), operation_name="route", excluded_paths=["/static/.*"], trace_websocket_messages=True)
