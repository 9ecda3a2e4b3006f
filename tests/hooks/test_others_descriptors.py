# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What somebody put in the place of a function of Tornado's need be none: it is called as without tracing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from support import Recorder, Servers
from support.serving import ask, only_span
from tornado.template import Template
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing, remove_tracing


def by_property(replacement: Callable[..., Any]) -> Any:
    return property(lambda self: functools.partial(replacement, self))


class Refusing(RequestHandler):
    def get(self) -> None:
        self.send_error(503, reason="busy")
        self.finish("answered")


async def test_a_mock_is_given_what_the_caller_gave(
    each_recorder: Recorder, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = mock.Mock()
    monkeypatch.setattr(RequestHandler, "send_error", refuse)
    init_tracing(each_recorder.tracer)
    assert await ask(servers.start(Application([("/", Refusing)])), "/") == (200, "answered")
    refuse.assert_called_once_with(503, reason="busy")
    assert (await only_span(each_recorder)).status == 200


async def test_a_property_is_looked_up_on_the_instance(
    each_recorder: Recorder, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = by_property(RequestHandler.finish)
    monkeypatch.setattr(RequestHandler, "finish", finish)
    init_tracing(each_recorder.tracer)
    assert await ask(servers.start(Application([("/", Refusing)])), "/") == (
        503,
        "<html><title>503: busy</title><body>503: busy</body></html>",
    )
    assert (await only_span(each_recorder)).status == 503
    remove_tracing()
    assert RequestHandler.__dict__["finish"] is finish


@pytest.mark.parametrize("is_traced", [True, False])
def test_a_template_that_is_mocked_is_given_its_names(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, is_traced: bool
) -> None:
    generate = mock.Mock(return_value=b"hi")
    monkeypatch.setattr(Template, "generate", generate)
    init_tracing(recorder.tracer, trace_templates=is_traced)
    assert Template("never").generate(a=1) == b"hi"
    generate.assert_called_once_with(a=1)
    assert len(recorder.finished) == is_traced
