# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which methods are known: others are ``_OTHER``, so that whoever sends requests cannot make up attribute values."""

from __future__ import annotations

import os

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})


def known_methods() -> frozenset[str]:
    """HTTP's own, unless ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`` lists others in their place; case counts."""
    given = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
    return frozenset(name for each in given.split(",") if (name := each.strip())) or _METHODS
