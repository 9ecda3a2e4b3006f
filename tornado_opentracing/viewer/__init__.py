# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""See in the browser, or in the terminal, what an application's requests did: no tracing system needed.

For development. Two lines in an application, and a page at ``/-/traces``:

.. code-block:: python

    tracer = RecordingTracer()
    init_tracing(tracer)
    application = Application([*handlers, *viewer_routes(tracer)], debug=True)
"""

from __future__ import annotations

from tornado_opentracing.viewer._handlers import viewer_routes
from tornado_opentracing.viewer._recording import RecordingTracer
from tornado_opentracing.viewer._text import format_trace

__all__ = ["RecordingTracer", "format_trace", "viewer_routes"]
