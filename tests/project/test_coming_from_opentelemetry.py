# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The page for those who come from OpenTelemetry's instrumentation names all that there is."""

from __future__ import annotations

import re
from pathlib import Path

from support.pages import text_of

from tornado_opentracing.opentelemetry import _methods, _metrics, _variables

TEXT = text_of("coming-from-opentelemetry.md")
CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS"


def test_every_variable_that_is_read_is_on_the_page() -> None:
    sources = [Path(module.__file__ or "").read_text(encoding="utf-8") for module in (_methods, _variables)]
    names = set(re.findall(r'"(OTEL_\w+[A-Z])"', "".join(sources)))
    assert "OTEL_PYTHON_EXCLUDED_URLS" in names
    assert {name for name in names if f"`{name}`" not in TEXT} == set()
    for kind in ("SERVER_REQUEST", "SERVER_RESPONSE", "CLIENT_REQUEST", "CLIENT_RESPONSE", "SANITIZE_FIELDS"):
        assert f"`{CAPTURE}_{kind}`" in TEXT or f"`..._{kind}`" in TEXT


def test_every_metric_is_on_the_page() -> None:
    source = Path(_metrics.__file__ or "").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:http|tornado)\.[\w.]+)"', source))
    sizes = {
        f"http.{side}.{what}" for side in ("server", "client") for what in ("request.duration", "response.body.size")
    }
    assert {name for name in names | sizes if f"`{name}`" not in TEXT} == set()
