# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is kept on a request whose class is somebody else's, and may refuse attributes that it does not know."""

from __future__ import annotations

from tornado_opentracing._guard import report


def keep(request: object, name: str, value: object) -> bool:
    """Keep something on a request that has refused it; whether that can be done."""
    try:
        object.__setattr__(request, name, value)
    except Exception:
        report("keeping something on a request")
        return False
    return True
