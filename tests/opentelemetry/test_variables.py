# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What OpenTelemetry's environment variables say is told of by their names, not by those of our settings."""

from __future__ import annotations

import pytest

from tornado_opentracing.opentelemetry import _variables

ATTRIBUTES = "OTEL_PYTHON_TORNADO_TRACED_REQUEST_ATTRS"


def test_an_attribute_that_no_request_has_is_told_of_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ATTRIBUTES, "uri, remote_addr")
    with pytest.raises(ValueError, match=f"^{ATTRIBUTES} must be attributes of .*, not 'remote_addr'$"):
        _variables.server_options()
    monkeypatch.setenv(ATTRIBUTES, "uri, query")
    assert _variables.server_options()["traced_attributes"] == ("uri", "query")
