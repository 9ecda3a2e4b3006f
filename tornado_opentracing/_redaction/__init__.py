# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Keeping secrets out of tags and logs: what may come from the network is looked at in linear time, and has a bound."""

from __future__ import annotations

from collections.abc import Iterable

from tornado_opentracing._redaction.bounds import LONGEST_STACK, LONGEST_VALUE, clip
from tornado_opentracing._redaction.headers import is_secret_header, redact_headers_also
from tornado_opentracing._redaction.names import DEFAULT_QUERY_PARAMS, is_secret_name
from tornado_opentracing._redaction.request import (
    describe_files,
    redact_arguments,
    redact_body,
    redact_header,
)
from tornado_opentracing._redaction.texts import REDACTED, redact_text, redact_url, redact_value

__all__ = [
    "DEFAULT_QUERY_PARAMS",
    "LONGEST_STACK",
    "LONGEST_VALUE",
    "REDACTED",
    "clip",
    "describe_files",
    "is_secret_header",
    "is_secret_name",
    "known_names",
    "redact_also",
    "redact_arguments",
    "redact_body",
    "redact_header",
    "redact_headers_also",
    "redact_text",
    "redact_url",
    "redact_value",
]

_known = DEFAULT_QUERY_PARAMS


def known_names() -> frozenset[str]:
    """What is redacted where no options are known, as in the package's own log: all that was ever asked for."""
    return _known


def redact_also(names: Iterable[str]) -> None:
    """Have these names among :func:`known_names`."""
    global _known  # noqa: PLW0603 - it only ever grows
    _known |= frozenset(names)
