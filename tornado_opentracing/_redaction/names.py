# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which names are a secret's: by the words they are made of, whatever their case and what stands between the words."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple
from urllib.parse import unquote_plus

#: Names of query parameters, fields and arguments that carry credentials, in lower case. A name is matched by its last
#: words: ``token`` is ``oauth_token``, ``accessToken`` and ``refresh-token`` too, but neither ``tokens`` nor
#: ``token_count``.
DEFAULT_QUERY_PARAMS = frozenset(
    {
        "access_key",
        "access_token",
        "account_key",
        "api-key",
        "api_key",
        "apikey",
        "assertion",
        "auth",
        "auth_code",
        "auth_key",
        "auth_token",
        "authorization",
        "authorization_code",
        "awsaccesskeyid",
        "client_secret",
        "code",
        "code_verifier",
        "cookie",
        "cookies",
        "connect.sid",
        "credential",
        "credentials",
        "csrf",
        "device_code",
        "encryption_key",
        "id_token",
        "jsessionid",
        "jwt",
        "key",
        "master_key",
        "mfa_code",
        "oauth_state",
        "oauth_token",
        "oauth_verifier",
        "otp",
        "otp_code",
        "pass",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "phpsessid",
        "private_key",
        "pwd",
        "refresh_token",
        "saml_response",
        "secret",
        "secret_key",
        "secrets",
        "sessid",
        "session",
        "session_key",
        "sessionid",
        "set-cookie",
        "shared_key",
        "sid",
        "sig",
        "signature",
        "signing_key",
        "sms_code",
        "state",
        "subscription_key",
        "token",
        "totp",
        "user_code",
        "verification_code",
        "x-amz-credential",
        "x-amz-security-token",
        "x-amz-signature",
        "x-goog-credential",
        "x-goog-signature",
        "xsrf",
    }
)

#: These are a secret's as the whole name only: a ``sort_key``, a ``zip_code`` and a ``task_state`` are none.
_ALONE = frozenset({"code", "cookie", "cookies", "id", "key", "name", "pass", "session", "sid", "state", "value"})

#: These are a secret's at the end of a word too, for no other word ends so: ``newpassword``, ``jsessionid``.
_GLUED = ("password", "passwd", "passphrase", "secret", "token", "apikey", "sessionid")

#: Two words that by themselves name no user's session, but the connection of a client that chose the name itself, as
#: Jupyter's do. The cookies and parameters of users' sessions are one word (``sessionid``), or say whose:
#: ``bokeh-session-id``. Shown, unless the developer's own list has it.
_SESSION_ID = "session_id"

#: Words that may follow and leave the name a secret's, as a number may: ``password_confirmation``, ``new_password2``.
_TRAILING = frozenset({"again", "confirm", "confirmation", "hash", "hint", "raw", "repeat", "value", "verify"})

_LONGEST_NAME = 128


def is_secret_name(name: str, secrets: frozenset[str]) -> bool:
    """Whether a name is one of those named; ``user[password]`` is one of ``password``."""
    # The last words count; and what is kept of names, which anybody may send, has a bound.
    return _is_secret(name if len(name) <= _LONGEST_NAME else name[-_LONGEST_NAME:], secrets)


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str, secrets: frozenset[str]) -> bool:
    known = _known(secrets)
    decoded = unquote_plus(name)
    parts = re.split(r"[\[\]]", decoded) if "[" in decoded else []
    return any(_matches(words_of(part), known) for part in (decoded, *parts))


class _Known(NamedTuple):
    joined: frozenset[str]
    has_session_id: bool


@functools.lru_cache(maxsize=64)
def _known(secrets: frozenset[str]) -> _Known:
    entries = [words_of(name) for name in secrets]
    return _Known(
        frozenset("".join(words) for words in entries if words), _SESSION_ID in ("_".join(words) for words in entries)
    )


def _matches(words: list[str], known: _Known) -> bool:
    whole = "".join(words)
    if whole in known.joined:
        return known.has_session_id or "_".join(words) != _SESSION_ID
    core = words
    while core and (core[-1] in _TRAILING or core[-1].isdigit()):
        core = core[:-1]
    endings = {"".join(some[first:]) for some in (words, core) for first in range(len(some))} - _ALONE
    glued = (glued for glued in _GLUED if "".join(core).endswith(glued))
    return not known.joined.isdisjoint([*endings, *glued])


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: those of ``accessToken2`` are ``access``, ``token`` and ``2``."""
    spaced = []
    before = " "
    for character, after in zip(name, f"{name[1:]} ", strict=False):
        begins_word = character.isupper() and (before.islower() or (before.isupper() and after.islower()))
        begins_number = character.isdigit() and not before.isdigit()
        if begins_word or begins_number:
            spaced.append(" ")
        spaced.append(character if character.isalnum() else " ")
        before = character
    return "".join(spaced).lower().split()
