# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``with variable.set(...)``, as Python 3.14 has it: an application's own variables and the scopes do not meet."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from typing import Any

import pytest
from support import Recorder, Servers, active_id, children, only
from support.serving import ask, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing, no_parent_scope

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="a token is a context manager from Python 3.14 on")

variable: Any = contextvars.ContextVar("variable", default="unset")


def test_tokens_and_scopes_may_be_left_in_any_order(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    token = variable.set("outer")
    with contextlib.ExitStack() as later:
        with token:
            scope = later.enter_context(tracer.start_active_span("longer than the token"))
            with variable.set("inner"), tracer.start_active_span("within"):
                assert variable.get() == "inner"
            assert variable.get() == "outer"
        assert variable.get() == "unset"
        assert active_id(tracer) is not None
        tracer.start_span("child").finish()
    assert scope is not None
    assert active_id(tracer) is None
    longer = only(each_recorder.finished, name="longer than the token")
    assert sorted(span.name for span in children(each_recorder.finished, longer)) == ["child", "within"]


def test_where_nothing_is_active_a_token_is_left_as_elsewhere(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    with tracer.start_active_span("outer"), variable.set("set"):
        with no_parent_scope(), variable.set("cut"):
            assert (variable.get(), active_id(tracer)) == ("cut", None)
            with tracer.start_active_span("root"):
                pass
        assert variable.get() == "set"
        tracer.start_span("child").finish()
    assert only(each_recorder.finished, name="root").parent_id is None
    assert only(each_recorder.finished, name="child").parent_id == only(each_recorder.finished, name="outer").span_id


async def test_what_a_handler_does_within_a_token_belongs_to_its_request(
    each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)

    class Answering(RequestHandler):
        def get(self) -> None:
            pass

    class Within(RequestHandler):
        async def get(self) -> None:
            with variable.set("request's"):

                async def work() -> None:
                    with variable.set("task's"), tracer.start_active_span("work"):
                        await client.fetch(self.settings["behind"])

                await asyncio.gather(work(), work())
                self.write(variable.get())

    behind = servers.start(Application([("/", Answering)], opentracing_trace_all=False))
    routes: Any = [("/", Within)]
    assert await ask(servers.start(Application(routes, behind=behind)), "/") == (200, "request's")
    spans = await settled(each_recorder, 5)
    works = children(spans, only(spans, name="Within"))
    assert [span.name for span in works] == ["work", "work"]
    assert [only(children(spans, work)).kind for work in works] == ["client", "client"]
    assert variable.get() == "unset"
