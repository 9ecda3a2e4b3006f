# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Without a provider of the application's own, the environment says what is exported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from tornado_opentracing.opentelemetry import create_tracer, init_metrics

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
    ("environment", "complaint"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "pigeon"},
            "OTEL_TRACES_EXPORTER names the exporter 'pigeon', which is not installed; there are console, otlp",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_TRACES_EXPORTER names the exporter 'otlp', and OTEL_EXPORTER_OTLP_PROTOCOL its protocol 'grpc', "
            "which is not installed; to get it: pip install opentelemetry-exporter-otlp-proto-grpc",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL its protocol 'http/json', which is not installed; to get it: pip "
            "install opentelemetry-exporter-otlp-json-http",
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"},
            "OTEL_EXPORTER_OTLP_PROTOCOL must be one of http/protobuf, grpc, http/json, not 'carrier pigeon'",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin_json"},
            "'zipkin_json', which is not installed; to get it: pip install opentelemetry-exporter-zipkin-json",
        ),
    ],
    ids=["name", "protocol", "protocol of traces", "no protocol", "another of OpenTelemetry's"],
)
def test_an_exporter_that_is_not_installed_is_said_so_at_once_and_which_package_has_it(
    environment: dict[str, str], complaint: str
) -> None:
    result = run(**environment)
    assert result.returncode == 1
    assert "ValueError: " in result.stderr
    assert complaint in result.stderr


@pytest.mark.parametrize("given", ["shop", TracerProvider, 7], ids=["a name", "the class", "a number"])
def test_what_is_no_provider_is_refused_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match=r"tracer_provider must be a TracerProvider .*OTEL_SERVICE_NAME"):
        create_tracer(given)


@pytest.mark.parametrize("given", ["shop", TracerProvider(), 7], ids=["a name", "another provider", "a number"])
def test_what_is_no_meter_provider_is_refused_at_once(given: Any) -> None:
    with pytest.raises(TypeError, match=r"meter_provider must be a MeterProvider .*, not "):
        init_metrics(given)


def test_opentelemetrys_own_shim_is_not_needed() -> None:
    result = run("import sys; sys.modules['opentelemetry.shim'] = None", OTEL_TRACES_EXPORTER="console")
    assert (result.returncode, result.stderr) == (0, "")


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
try:
    import tornado_opentracing.opentelemetry
except ModuleNotFoundError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert result.stdout.endswith("needs opentelemetry: pip install 'tornado-opentracing[opentelemetry]'\n")


def test_a_provider_that_the_application_has_set_is_left_in_place() -> None:
    result = run("trace.set_tracer_provider(TracerProvider())", OTEL_TRACES_EXPORTER="console")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
