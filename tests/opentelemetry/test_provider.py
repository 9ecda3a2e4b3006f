"""Without a provider of the application's own, the environment says what is exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

AS_THE_ENVIRONMENT_SAYS = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from tornado_opentracing.opentelemetry import create_tracer
{before}
create_tracer().start_span("work").finish()
provider = trace.get_tracer_provider()
create_tracer()
assert trace.get_tracer_provider() is provider
"""


def run(before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_THE_ENVIRONMENT_SAYS.format(before=before)],
        env={**os.environ, "OTEL_SERVICE_NAME": "shop", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_exporters_are_those_that_the_environment_names() -> None:
    result = run(OTEL_TRACES_EXPORTER="console")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["resource"]["attributes"]["service.name"] == "shop"


@pytest.mark.parametrize("environment", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_nothing_is_exported_where_the_environment_says_so(environment: dict[str, str]) -> None:
    result = run(**environment)
    assert (result.returncode, result.stdout) == (0, "")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_TRACES_EXPORTER": "pigeon"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
    ids=["name", "protocol"],
)
def test_an_exporter_that_is_not_installed_is_said_so_at_once(environment: dict[str, str]) -> None:
    result = run(**environment)
    assert result.returncode == 1
    assert "ValueError: OTEL_TRACES_EXPORTER names the exporter '" in result.stderr


def test_a_provider_that_the_application_has_set_is_left_in_place() -> None:
    result = run("trace.set_tracer_provider(TracerProvider())", OTEL_TRACES_EXPORTER="console")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
