# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which names are a secret's: told by their words, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS
from tornado_opentracing._redaction import is_secret_name, redact_url

SECRET = [
    *("password", "Password", "PASSWORD", "pass_word", "passWord", "new_password", "newPassword", "newpassword"),
    *("password_confirmation", "password2", "new_password1", "passwd", "pwd", "passphrase", "passcode", "otp"),
    *(
        "token",
        "accessToken",
        "access-token",
        "ACCESS_TOKEN",
        "refresh-token",
        "oauth_token",
        "bokeh-token",
        "id_token",
    ),
    *("id_token_hint", "csrfmiddlewaretoken", "csrf", "_xsrf", "xsrf", "XSRF-TOKEN", "x-amz-security-token"),
    *("key", "apikey", "api_key", "api-key", "apiKey", "APIKey", "x-api-key", "X_API_KEY", "secret_key", "private_key"),
    *("AWSAccessKeyId", "aws_secret_access_key", "Ocp-Apim-Subscription-Key", "client_secret", "clientSecret"),
    *("authorization", "Authorization", "proxy-authorization", "auth", "x-auth", "credential", "credentials"),
    *("code", "state", "oauth_state", "authorization_code", "code_verifier", "oauth_verifier", "SAMLResponse", "jwt"),
    *(
        "sid",
        "connect.sid",
        "session_key",
        "device_code",
        "otp_code",
        "session",
        "sessionid",
        "jsessionid",
        "JSESSIONID",
        "PHPSESSID",
        "bokeh-session-id",
        "ASP.NET_SessionId",
    ),
    *("userSessionId", "sig", "signature", "X-Amz-Signature", "X-Goog-Signature", "cookie", "Set-Cookie"),
    *(
        "user[password]",
        "user%5Bpassword%5D",
        "token[]",
        "password[0]",
        "%74oken",
        "to%6Ben",
        "user.password",
        " token ",
    ),
]
SHOWN = [
    *(
        "token_count",
        "max_tokens",
        "tokens",
        "token_type",
        "tokenizer",
        "password_strength",
        "passwordless",
        "secretary",
    ),
    *("keyboard", "keyword", "monkey", "keys", "sort_key", "primary_key", "foreignKey", "public_key", "hotkey"),
    *("author", "authors", "authority", "author_id", "auth_type", "oauth_consumer"),
    *("zip_code", "countryCode", "status_code", "error_code", "codec", "encode", "code_challenge", "barcode"),
    *("us_state", "task-state", "states", "statement", "estate", "state_id"),
    *("session_id", "session-id", "sessionId", "Session_ID", "sessions", "session_name", "possession"),
    *("sidebar", "inside", "account_sid", "side", "signal", "design", "assign", "passenger", "bypass", "compass"),
    *(
        "cookie_consent",
        "accept_cookies",
        "id",
        "name",
        "page",
        "q",
        "",
        "_",
        "[]",
        "é",
        "%",
        "user[name]",
        "otpauth_uri",
    ),
]


@pytest.mark.parametrize("name", SECRET)
def test_the_name_of_a_secret_is_told_however_it_is_written(name: str) -> None:
    assert is_secret_name(name, DEFAULT_REDACTED_QUERY_PARAMS)
    assert "hidden" not in redact_url(f"/a?{name}=hidden", DEFAULT_REDACTED_QUERY_PARAMS)


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_that_only_looks_like_it_is_none(name: str) -> None:
    assert not is_secret_name(name, DEFAULT_REDACTED_QUERY_PARAMS)
    assert redact_url(f"/a?{name}=shown", DEFAULT_REDACTED_QUERY_PARAMS) == f"/a?{name}=shown"


def test_every_name_of_the_default_list_is_a_secrets() -> None:
    assert [n for n in DEFAULT_REDACTED_QUERY_PARAMS if not is_secret_name(n, DEFAULT_REDACTED_QUERY_PARAMS)] == []


@pytest.mark.parametrize(
    ("own", "secret", "shown"),
    [
        (
            ["ticket"],
            ["ticket", "TICKET", "cas_ticket", "casTicket", "ticket[]", "ticket2"],
            ["tickets", "ticket_count"],
        ),
        (["My-Own"], ["my_own", "myOwn", "MYOWN", "not-my-own"], ["own", "my", "my_owner", "token", "password"]),
        (["myOwn"], ["my_own", "my-own", "myown"], ["own"]),
        (["id"], ["id", "ID"], ["user_id", "identity"]),
        (["param1"], ["param1", "Param_1", "x-param1"], ["param", "param2", "param12"]),
        (["session_id"], ["session_id", "sessionId", "bokeh-session-id", "sessionid"], ["session"]),
        (["sessionId"], ["session_id", "sessionId"], ["id"]),
        (["名前"], ["名前", "x_名前"], ["名"]),
        ([], [], ["token", "password", ""]),
    ],
)
def test_names_of_the_developers_own_are_matched_likewise(own: list[str], secret: list[str], shown: list[str]) -> None:
    names = frozenset(own)
    assert [name for name in secret if not is_secret_name(name, names)] == []
    assert [name for name in shown if is_secret_name(name, names)] == []


@given(st.text(max_size=300), st.frozensets(st.text(max_size=10), max_size=4))
def test_no_name_makes_it_raise(name: str, own: frozenset[str]) -> None:
    is_secret_name(name, own)
    assert all(is_secret_name(entry, own) for entry in own if any(map(str.isalnum, entry)) and "%" not in entry)
