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
    r"auth|cookie|token|secret|passw|passphrase|pwd|apikey|accesskey|masterkey|session|credential|signature|jwt|(?:^|[-_])keys?(?:$|[-_])",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"^(\s*(?:(?:[a-z][a-z0-9+.-]*:)?//)?)[^/?#]*@", re.IGNORECASE)
# With bounds: text may come from the network, and must not take time that grows with its square.
_USER_INFO_IN_TEXT = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^/?#\s<>]{0,256}@", re.IGNORECASE)
_BARE_USER_INFO_IN_TEXT = re.compile(r"""(?<![^\s"'(<=])(?:[^\s/:@"'<>()=]{1,64}:[^\s/@]{0,128}@)+""")

# A secret's value goes on to the next parameter: more may be lost than the secret, but nothing of it is left.
_PARAM = re.compile(r"[?&;#]([^=&;#?]*)=")
_VALUE = re.compile(r"[^&]*")
# In text a query may stand alone.
_PARAM_IN_TEXT = re.compile(r"""(?:^|[?&;#\s"'(])([^=&;#?\s"'(]+)=""")
_PARAM_IN_SOURCE = re.compile(r"[?&;#]([^=&;#?\s]*)=")
_VALUE_IN_TEXT = re.compile(r"[^&\s]*")


#: What is redacted in the package's own log, which knows no options: the default list and all that was ever asked for.
params_in_log = set(DEFAULT_QUERY_PARAMS)


def redact_url(url: str, params: Collection[str]) -> str:
    """A URL without user name and password, and without the values of the parameters named."""
    if "@" in url:
        url = _USER_INFO.sub(r"\1", url)
    return _redact_params(url, params, _PARAM, _VALUE) if "=" in url else url


def redact_query(query: str, params: Collection[str]) -> str:
    """A query string, or a form's body, without the values of the parameters named."""
    return _redact_params(f"?{query}", params, _PARAM, _VALUE)[1:]


def redact_text(text: str, params: Collection[str]) -> str:
    """Text, such as a traceback, with its URLs and queries redacted."""
    if "@" in text:
        text = _USER_INFO_IN_TEXT.sub(r"\1", text)
        text = _BARE_USER_INFO_IN_TEXT.sub("", text)
    if "=" not in text:
        return text
    return "".join(_redact_line(line, params) for line in text.splitlines(keepends=True))


def _redact_line(line: str, params: Collection[str]) -> str:
    if "=" not in line:
        return line
    # The source lines of a traceback show names, not values.
    pattern = _PARAM_IN_SOURCE if line.startswith("    ") else _PARAM_IN_TEXT
    return _redact_params(line, params, pattern, _VALUE_IN_TEXT)


def _redact_params(text: str, params: Collection[str], param: re.Pattern[str], value: re.Pattern[str]) -> str:
    result = ""
    position = 0
    while (match := param.search(text, position)) is not None:
        result += text[position : match.end()]
        position = match.end()
        if is_secret_param(match[1], params):
            result += REDACTED
            position = value.match(text, position).end()  # type: ignore[union-attr]
    return result + text[position:]


def is_secret_param(name: str, params: Collection[str]) -> bool:
    """Whether a parameter is one of those named; ``user[password]`` is one of ``password``."""
    lower = unquote_plus(name).lower()
    return lower in params or ("[" in lower and any(part in params for part in re.split(r"[\[\]]", lower)))


def is_secret_header(name: str) -> bool:
    """Whether a header's name looks like a secret's."""
    return _SECRET_HEADER.search(name) is not None


def redact_header(name: str, values: list[str], allowed: Collection[str], params: Collection[str]) -> str:
    """A header's values in one string: replaced where the name is a secret's, else with their URLs redacted.

    :param allowed: names, in lower case, of headers to show as they are.
    """
    if name.lower() in allowed:
        return ", ".join(values)
    return REDACTED if is_secret_header(name) else redact_text(", ".join(values), params)


def redact_arguments(arguments: Mapping[str, Any], params: Collection[str]) -> dict[str, Any]:
    """A request's arguments by name, with the values of secret ones replaced."""
    return {name: REDACTED if is_secret_param(name, params) else value for name, value in arguments.items()}
