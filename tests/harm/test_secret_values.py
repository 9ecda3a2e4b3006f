# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The value of a secret in prose goes on to where it ends, in whatever way the program shows it."""

from __future__ import annotations

import pytest

from tornado_opentracing import DEFAULT_REDACTED_QUERY_PARAMS
from tornado_opentracing._redaction import redact_text, redact_url, redact_value
from tornado_opentracing._redaction.bounds import LONGEST_VALUE

VALUES = [
    "password= hidden",
    "password =hidden",
    "password:=hidden",
    "password='a hidden'",
    r"password='a \' hidden'",
    r"password=\'a hidden\'",
    "password=b'a hidden'",
    "password=rb'a hidden'",
    "password='''a\nhidden'''",
    "password=['a', 'b hidden']",
    "password=('a', ['b hidden'])",
    "password={'a': 'b hidden'}",
    "password=SecretStr('a hidden')",
    "password=pydantic.SecretStr(value='a hidden')",
    "password=<Secret of hidden>",
    "Login(name='x', password='a b', token=b'c hidden')",
    "[('user', 'bob'), ('password', 'a hidden')]",
    "[(b'password', b'a hidden')]",
    r"\"[(\'password\', \'a hidden\')]\"",
    "\"password\" = 'a hidden'",
    "'token'=hidden",
]


@pytest.mark.parametrize("value", VALUES)
def test_a_secret_is_redacted_to_its_end(value: str) -> None:
    names = DEFAULT_REDACTED_QUERY_PARAMS
    for text in (value, f"it failed: {value} and so on", f"it failed:\n{value}\nand so on", f"<{value}>"):
        assert "hidden" not in redact_text(text, names), text
    for text in (f"/?q={value}", f"/?q={value}&a=b"):
        assert "hidden" not in redact_url(text, names), text
    assert "hidden" not in redact_value(value, names)


@pytest.mark.parametrize("value", [value for value in VALUES if " hidden" in value and value != "password= hidden"])
def test_a_secret_that_is_cut_in_two_is_redacted_as_well(value: str) -> None:
    begin, end = value.split("hidden")
    long = "x" * (LONGEST_VALUE + 1)
    assert "hidden" not in redact_text(f"{begin}{long} hidden{end}", DEFAULT_REDACTED_QUERY_PARAMS)


@pytest.mark.parametrize(
    "text",
    [
        "it must be one of ['user', 'password', 'shown']",
        "password, shown",
        "f('shown', a=1)",
        "Login(password='x', name='shown')",
        "[('password', 'x'), ('name', 'shown')]",
        "password=SecretStr('x') shown",
    ],
)
def test_what_comes_after_a_secret_is_shown(text: str) -> None:
    assert "shown" in redact_text(text, DEFAULT_REDACTED_QUERY_PARAMS)
