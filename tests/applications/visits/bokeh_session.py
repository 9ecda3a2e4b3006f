# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A browser's visit to an application of Bokeh's server, at the address given: its page, and its WebSocket."""

import contextlib
import sys

from bokeh.client import pull_session

with contextlib.suppress(ImportError):
    import panel  # noqa: F401 - of whose models an application may be made

pull_session(url=sys.argv[1]).close()
