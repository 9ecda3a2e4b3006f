"""Keeping secrets out of tags and logs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote_plus

REDACTED = "REDACTED"

#: Query parameters that carry credentials, in lower case.
DEFAULT_QUERY_PARAMS = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "api-key",
        "auth",
        "auth_token",
        "awsaccesskeyid",
        "client_secret",
        "credential",
        "id_token",
        "jwt",
        "key",
        "passwd",
        "password",
        "private_key",
        "pwd",
        "refresh_token",
        "secret",
        "session",
        "session_id",
        "sessionid",
        "sig",
        "signature",
        "token",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-signature",
    }
)

_SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|passw|passphrase|pwd|apikey|session|credential|signature|jwt|(?:^|[-_])keys?(?:$|[-_])",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"^((?:[a-z][a-z0-9+.-]*:)?//)?[^/?#]*@", re.IGNORECASE)
_PARAM = re.compile(r"([?&;#])([^=&;#]*)=[^&;#]*")
# The same two within running text, where a URL ends at a blank or a quotation mark.
_USER_INFO_IN_TEXT = re.compile(r"""\b([a-z][a-z0-9+.-]*://)[^/?#\s"'<>]*@""", re.IGNORECASE)
_PARAM_IN_TEXT = re.compile(r"""([?&;#])([^=&;#\s"'<>]*)=[^&;#\s"'<>]*""")


def redact_url(url: str, params: Collection[str]) -> str:
    """A URL without user name and password, and without the values of the parameters named."""
    if "@" in url:
        url = _USER_INFO.sub(r"\1", url)
    return _redact_params(_PARAM, url, params) if "=" in url else url


def redact_query(query: str, params: Collection[str]) -> str:
    """A query string, or a form's body, without the values of the parameters named."""
    return redact_url(f"?{query}", params)[1:]


def redact_text(text: str, params: Collection[str]) -> str:
    """Text, such as an exception's message, with its URLs redacted as in :func:`redact_url`."""
    if "@" in text:
        text = _USER_INFO_IN_TEXT.sub(r"\1", text)
    return _redact_params(_PARAM_IN_TEXT, text, params) if "=" in text else text


def _redact_params(pattern: re.Pattern[str], text: str, params: Collection[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        separator, name = match.groups()
        return f"{separator}{name}={REDACTED}" if is_secret_param(name, params) else match[0]

    return pattern.sub(replace, text)


def is_secret_param(name: str, params: Collection[str]) -> bool:
    """Whether a parameter is one of those named; ``user[password]`` is one of ``password``."""
    lower = unquote_plus(name).lower()
    return lower in params or ("[" in lower and any(part in params for part in re.split(r"[\[\]]", lower)))


def is_secret_header(name: str, allowed: Collection[str]) -> bool:
    """Whether a header's value must not be shown: its name looks like a secret and is not explicitly allowed."""
    return _SECRET_HEADER.search(name) is not None and name.lower() not in allowed


def redact_headers(headers: Any, allowed: Collection[str]) -> dict[str, str]:
    """The headers by name, with the values of secret ones replaced."""
    return {
        name: REDACTED if is_secret_header(name, allowed) else ", ".join(headers.get_list(name)) for name in headers
    }


def redact_arguments(arguments: Mapping[str, Any], params: Collection[str]) -> dict[str, Any]:
    """A request's arguments by name, with the values of secret ones replaced."""
    return {name: REDACTED if is_secret_param(name, params) else value for name, value in arguments.items()}
