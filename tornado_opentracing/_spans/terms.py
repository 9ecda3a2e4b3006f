# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a kind of tracer has beside OpenTracing's API: terms of its own for HTTP."""

from __future__ import annotations

from typing import Any


class Terms:
    """The methods of a kind of tracer that do in its own terms what is done here in OpenTracing's; most have none.

    Looked up on the class, for a mock has every attribute. Each is called with the tracer first, but
    ``extract_headers``, which needs none.
    """

    __slots__ = (
        "describe_connection",
        "describe_fetch",
        "describe_request",
        "extract_headers",
        "inject_headers",
        "name_request",
    )

    def __init__(self, kind: type) -> None:
        #: The attributes of a span, of a request or a fetch; ``None`` leaves it untraced.
        self.describe_request: Any = getattr(kind, "describe_request", None)
        self.describe_fetch: Any = getattr(kind, "describe_fetch", None)
        #: The tags that the spans of a WebSocket connection share, as what makes attributes of them and more tags.
        self.describe_connection: Any = getattr(kind, "describe_connection", None)
        #: What a request is called where the application does not say.
        self.name_request: Any = getattr(kind, "name_request", None)
        #: The context that a request's headers carry.
        self.extract_headers: Any = getattr(kind, "extract_headers", None)
        #: Writes into a fetch's headers, where there are none yet, and returns what it wrote.
        self.inject_headers: Any = getattr(kind, "inject_headers", None)


class _Known(dict[type, Terms]):
    def __missing__(self, kind: type) -> Terms:
        found = self[kind] = Terms(kind)
        return found


#: By kind of tracer, for a class takes as long to say that it has no such attribute as all the rest of a span's start.
terms: dict[type, Terms] = _Known()
