"""Every block of Python in README is run, in order, as one program."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import Servers
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application

import tornado_opentracing
from tornado_opentracing import ContextVarsScopeManager
from tornado_opentracing._settings.options import _CHECKS

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FIRST, REST = BLOCKS[0], BLOCKS[1:]


def test_the_first_application_prints_what_readme_says(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(FIRST.replace("8888", str(_free_port())), encoding="utf-8")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=30, check=True)
    spans = [line.split() for line in result.stdout.splitlines()]
    by_id = {span: (name, parent) for name, _, span, _, parent in spans}
    assert len(by_id) == 8
    assert sorted((name, by_id.get(parent, ("", ""))[0]) for name, parent in by_id.values()) == [
        ("GET", ""),
        *[("GET", "Page")] * 3,
        *[("Item", "GET")] * 3,
        ("Page", "GET"),
    ]


@pytest.fixture
def namespace() -> dict[str, Any]:
    """What the blocks after the first find: the first one's imports and handlers, and a tracer."""
    imports = [node for node in ast.parse(FIRST).body if isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef))]
    found: dict[str, Any] = {"tracer": MockTracer(ContextVarsScopeManager())}
    exec(compile(ast.Module([*imports], []), "README.md", "exec"), found)
    return found


async def test_every_block_runs_and_every_handler_in_them_answers(
    namespace: dict[str, Any], servers: Servers, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    for block in REST:
        exec(compile(block, "README.md", "exec"), namespace)
        tornado_opentracing.remove_tracing()
    tracer = namespace["tracer"] = MockTracer(ContextVarsScopeManager())
    tornado_opentracing.init_tracing(
        tracer, start_span_cb=namespace["start_span_cb"], finish_span_cb=namespace["finish_span_cb"]
    )
    handlers = [(f"/{name}", namespace[name]) for name in ("Story", "Order", "Report", "Upload", "Basket")]
    application = Application(handlers)
    url = servers.start(application)
    bodies = {
        name: (await client.fetch(f"{url}/{name}", method=method, body=body)).body
        for name, method, body in [
            ("Story", "GET", None),
            ("Order", "POST", ""),
            ("Report", "GET", None),
            ("Upload", "PUT", "12345"),
            ("Basket", "GET", None),
        ]
    }
    assert bodies == {
        "Story": b"a story",
        "Order": b"",
        "Report": b"a report",
        "Upload": b"5 bytes",
        "Basket": b"3 pieces",
    }
    await application.job  # type: ignore[attr-defined]
    await application.other_job  # type: ignore[attr-defined]
    spans = {span.operation_name: span for span in tracer.finished_spans() if span.tags.get("span.kind") != "client"}
    assert spans["Story"].tags["reader"] == "anonymous"
    assert spans["Story"].tags["tenant"] == "none"
    assert spans["ship"].parent_id is None
    assert spans["ship later"].parent_id == spans["Order"].context.span_id
    assert spans["build report"].parent_id == spans["Report"].context.span_id
    assert spans["store chunk"].parent_id == spans["Upload"].context.span_id


def test_the_settings_table_lists_every_option() -> None:
    table = TEXT.partition("## Settings")[2].partition("## Recipes")[0]
    listed = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert listed == set(_CHECKS) | {"tracer"}


def _free_port() -> int:
    from tornado.testing import bind_unused_port

    socket, port = bind_unused_port()
    socket.close()
    return port
