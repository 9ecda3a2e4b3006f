# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Requests, Applications and their settings are the application's to copy and to pickle, traced or not."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from opentracing.mocktracer import MockTracer
from support import MockRecorder, Recorder, Servers
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_tracing


def pickled(found: Any) -> Any:
    return pickle.loads(pickle.dumps(found))


copies = pytest.mark.parametrize("copied", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])


class Copying(RequestHandler):
    """Keeps a copy of its request, to serve it again."""

    def initialize(self, copied: Callable[[Any], Any], kept: list[HTTPServerRequest]) -> None:
        self.copied, self.kept = copied, kept

    def get(self) -> None:
        request: Any = copy.copy(self.request)
        request.connection = request.server_connection = None
        self.kept.append(self.copied(request))


def tracer() -> MockTracer:
    return MockTracer(scope_manager=ContextVarsScopeManager())


@copies
@pytest.mark.parametrize(
    "options",
    [{}, {"request_filter": lambda _: True}, {"excluded_paths": ["/"]}],
    ids=["traced", "filtered", "excluded"],
)
async def test_a_request_can_be_copied_while_it_is_served(
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    copied: Callable[[Any], Any],
    options: dict[str, Any],
) -> None:
    kept: list[HTTPServerRequest] = []
    init_tracing(each_recorder.tracer, trace_client=False, **options)
    url = servers.start(Application([("/", Copying, {"copied": copied, "kept": kept})]))
    await client.fetch(f"{url}/")
    assert [request.path for request in kept] == ["/"]
    await settled(each_recorder, 0 if "excluded_paths" in options else 1)


@copies
@pytest.mark.parametrize("has_own_tracer", [False, True], ids=["default", "own"])
async def test_an_application_and_its_settings_can_be_copied_and_the_copy_is_traced(
    recorder: MockRecorder,
    servers: Servers,
    client: AsyncHTTPClient,
    copied: Callable[[Any], Any],
    has_own_tracer: bool,
) -> None:
    kept: list[HTTPServerRequest] = []
    init_tracing(recorder.tracer, trace_client=False)
    own: Any = {"opentracing_tracer_callable": tracer} if has_own_tracer else {}
    routes = [("/", Copying, {"copied": copy.copy, "kept": kept})]
    application = Application(routes, **own)
    again = Application(routes, **copied(application.settings))
    for made in (copied(application), again):
        assert (await client.fetch(servers.start(made) + "/")).code == 200
    assert len(recorder.finished) == (0 if has_own_tracer else 2)


def test_what_a_developer_made_is_not_lost_unnoticed() -> None:
    tracing = TornadoTracing(tracer())
    assert copy.deepcopy({"opentracing_tracing": tracing})["opentracing_tracing"] is tracing
    with pytest.raises(TypeError):
        pickle.dumps(tracing)
