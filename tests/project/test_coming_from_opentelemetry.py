"""The page for those who come from OpenTelemetry's instrumentation names all that there is, and what it shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tornado_opentracing.opentelemetry import _methods, _metrics, _variables

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-opentelemetry.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
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


def test_what_it_shows_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in ("TRACES", "METRICS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), {})
