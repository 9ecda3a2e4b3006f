# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The environment variables that OpenTelemetry's own instrumentation of Tornado heeds, as options of ours."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from tornado_opentracing._settings.options import attribute_names

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

_CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
_SANITIZE = f"{_CAPTURE}SANITIZE_FIELDS"
_ATTRIBUTES = "OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS"
_EXCLUDED = ("OTEL_PYTHON_TORNADO_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")


class ExcludedURLs:
    """Which requests are to be left out: those in whose URI, the query included, one of the expressions is found.

    ``OTEL_PYTHON_TORNADO_EXCLUDED_URLS`` says so, and where that is not set, ``OTEL_PYTHON_EXCLUDED_URLS``.
    """

    def __init__(self) -> None:
        """Read the environment.

        :raises ValueError: an expression is none; the message names the variable.
        """
        specific, general = _EXCLUDED
        self._pattern = _expression(specific if specific in os.environ else general)

    def __contains__(self, request: HTTPServerRequest) -> bool:
        return self._pattern is not None and self._pattern.search(request.uri or "") is not None


def server_options() -> dict[str, Any]:
    """What is to be recorded of requests.

    :raises ValueError: a request has no such attribute; the message names the variable.
    """
    try:
        attributes = attribute_names(_names(_ATTRIBUTES))
    except ValueError as error:
        raise ValueError(f"{_ATTRIBUTES} {error}") from None
    return {
        "traced_attributes": attributes,
        "traced_request_headers": _names(f"{_CAPTURE}SERVER_REQUEST"),
        "traced_response_headers": _names(f"{_CAPTURE}SERVER_RESPONSE"),
    }


def client_options() -> dict[str, Any]:
    """What is to be recorded of fetches."""
    return {
        "traced_request_headers": _names(f"{_CAPTURE}CLIENT_REQUEST"),
        "traced_response_headers": _names(f"{_CAPTURE}CLIENT_RESPONSE"),
    }


def sanitized_headers() -> re.Pattern[str] | None:
    """What is found in the names of headers whose values are not to be shown.

    :raises ValueError: an expression is none; the message names the variable.
    """
    return _expression(_SANITIZE, re.IGNORECASE)


def _names(variable: str) -> list[str]:
    return [name for each in os.environ.get(variable, "").split(",") if (name := each.strip())]


def _expression(variable: str, flags: int = 0) -> re.Pattern[str] | None:
    found = _names(variable)
    try:
        return re.compile("|".join(found), flags) if found else None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{variable} is no list of regular expressions: {error}") from None
