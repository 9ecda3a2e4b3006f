# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A server extension: the viewer at /-/traces, for who is at this machine."""

from typing import Any

from tornado_opentracing import init_tracing
from tornado_opentracing.viewer import RecordingTracer, viewer_routes

recording = RecordingTracer()


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "traces_extension"}]


def _load_jupyter_server_extension(server: Any) -> None:
    init_tracing(recording, operation_name="route")
    prefix = server.web_app.settings["base_url"] + "-/traces"
    routes = viewer_routes(recording, prefix, allow=lambda request: request.remote_ip in ("127.0.0.1", "::1"))
    server.web_app.add_handlers(".*$", routes)
