# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""PYTHONPATH=. jupyter server --config=jupyter_viewer_config.py"""

from typing import Any

c: Any = get_config()  # type: ignore[name-defined]  # noqa: F821 - which Jupyter puts there

c.ServerApp.jpserver_extensions = {"traces_extension": True}
