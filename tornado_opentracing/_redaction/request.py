# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a request holds, without the secrets in it: headers, arguments, files, a body."""

from __future__ import annotations

import codecs
import functools
from collections.abc import Collection, Mapping
from typing import Any

from tornado_opentracing._redaction.bounds import LONGEST_VALUE, redact_beginning
from tornado_opentracing._redaction.headers import is_secret_header
from tornado_opentracing._redaction.names import is_secret_name
from tornado_opentracing._redaction.texts import REDACTED, redact_value

_Decoder = codecs.getincrementaldecoder("utf-8")


def redact_header(name: str, values: list[str], allowed: Collection[str], secrets: Collection[str]) -> str:
    """A header's values in one string: replaced where the name is a secret's, else with what is in them redacted.

    :param allowed: names, in lower case, of headers to show as they are.
    """
    if name.lower() in allowed:
        return ", ".join(values)
    return REDACTED if is_secret_header(name) else ", ".join([redact_value(value, secrets) for value in values])


def redact_arguments(arguments: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """A request's arguments by name, with the values of secret ones replaced, and what is in others redacted."""
    names = frozenset(secrets)
    return {
        redact_value(name, names): REDACTED
        if is_secret_name(name, names)
        else [_redact_argument(value, names) for value in values]
        for name, values in arguments.items()
    }


def _redact_argument(value: Any, secrets: frozenset[str]) -> Any:
    if not isinstance(value, bytes):
        return redact_value(str(value), secrets)
    text = value.decode("utf-8", "surrogateescape")
    redacted = redact_value(text, secrets)
    return value if redacted == text else redacted.encode("utf-8", "surrogateescape")


def describe_files(files: Mapping[str, Any], secrets: Collection[str]) -> dict[str, Any]:
    """A request's files by the name of their field: what they are called, their type and size, not what is in them."""
    return {
        name: [
            {
                "filename": redact_value(str(file["filename"]), secrets),
                "content_type": redact_value(str(file["content_type"]), secrets),
                "size": len(file["body"]),
            }
            for file in found
        ]
        for name, found in files.items()
    }


def redact_body(body: bytes, content_type: str, secrets: Collection[str]) -> str:
    """A body as text: a form, JSON, or whatever else is text; of a long one the beginning, of others the size."""
    beginning = body[:LONGEST_VALUE]
    try:
        text = _Decoder().decode(beginning, final=len(beginning) == len(body))
    except UnicodeDecodeError:
        return _size_of(body)
    if content_type.lower().startswith("multipart/"):
        return _size_of(body)  # whose fields are among the arguments and files
    if len(beginning) < len(body):
        return redact_beginning(text, functools.partial(redact_value, secrets=secrets), len(body) - len(beginning))
    return redact_value(text, secrets)


def _size_of(body: bytes) -> str:
    return f"{len(body)} bytes"
