# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``trace_templates``: a span for each template that is generated, nested as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import Recorder, Servers, children, only
from support.serving import ask, settled
from tornado.template import DictLoader, Template
from tornado.web import Application, RequestHandler, UIModule

from tornado_opentracing import init_tracing, remove_tracing


class Stars(UIModule):
    def render(self, count: int) -> str:
        return self.render_string("stars.html", count=count).decode()


class Page(RequestHandler):
    def get(self) -> None:
        if self.get_argument("broken", ""):
            self.render("broken.html")
        else:
            self.render("page.html", title="Books")


@pytest.fixture
def url(tmp_path: Path, servers: Servers) -> str:
    for name, text in {
        "base.html": "<h1>{{ title }}</h1>{% block body %}{% end %}",
        "page.html": '{% extends "base.html" %}{% block body %}{% module Stars(3) %}{% module Stars(5) %}{% end %}',
        "stars.html": "{{ '*' * count }}",
        "broken.html": "{{ 1 / 0 }}",
    }.items():
        (tmp_path / name).write_text(text)
    settings: dict[str, Any] = {"template_path": str(tmp_path), "ui_modules": {"Stars": Stars}}
    return servers.start(Application([("/", Page), ("/health", Page)], **settings))


async def test_each_template_has_a_span_with_its_name_and_place(
    each_recorder: Recorder, url: str, tmp_path: Path
) -> None:
    init_tracing(each_recorder.tracer, trace_templates=True)
    assert await ask(url, "/") == (200, "<h1>Books</h1>********")
    spans = await settled(each_recorder, 4)
    request = only(spans, kind="server")
    (page,) = children(spans, request)
    assert page.name == "render page.html"
    assert page.tags["template.name"] == "page.html"
    assert page.tags["template.path"] == str(tmp_path / "page.html")
    assert [span.name for span in children(spans, page)] == ["render stars.html"] * 2


async def test_one_that_raises_is_an_error_and_over(each_recorder: Recorder, url: str) -> None:
    init_tracing(each_recorder.tracer, trace_templates=True)
    assert (await ask(url, "/?broken=1"))[0] == 500
    found = only(await settled(each_recorder, 2), name="render broken.html")
    assert found.is_error
    assert found.logs[-1]["error.kind"] == "ZeroDivisionError"


def test_a_template_that_is_in_no_folder_has_no_place(recorder: Recorder) -> None:
    init_tracing(recorder.tracer, trace_templates=True)
    assert DictLoader({"a.txt": "a"}).load("a.txt").generate() == b"a"
    assert Template("b").generate() == b"b"
    assert [span.name for span in recorder.finished] == ["render a.txt", "render <string>"]
    assert not [span for span in recorder.finished if "template.path" in span.tags]


async def test_by_default_and_in_excluded_requests_there_is_none(recorder: Recorder, url: str) -> None:
    init_tracing(recorder.tracer)
    await ask(url, "/")
    assert len(await settled(recorder)) == 1
    init_tracing(recorder.tracer, trace_templates=True, excluded_paths=["/health"])
    await ask(url, "/health")
    assert len(await settled(recorder)) == 1


def test_templates_are_tornado_s_own_again_once_tracing_is_removed(recorder: Recorder) -> None:
    before = Template.generate, Template.__init__
    init_tracing(recorder.tracer, trace_templates=True)
    assert Template.generate is not before[0]
    remove_tracing()
    assert (Template.generate, Template.__init__) == before
