# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer that is broken does a request no harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentracing.mocktracer.span import MockSpan
from support import Recorder, Servers, active_id
from support.handlers import Hello, Raising
from support.serving import connection, settled
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


def _raise_always(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("the tracer is broken")


def _break_scopes(tracer: Any, patch: pytest.MonkeyPatch) -> None:
    activate = tracer.scope_manager.activate

    def activate_what_will_not_close(span: Any, finish_on_close: bool) -> Any:
        scope = activate(span, finish_on_close)
        close, scope.close = scope.close, lambda: (close(), _raise_always())
        return scope

    patch.setattr(tracer.scope_manager, "activate", activate_what_will_not_close)


BROKEN: dict[str, Callable[[Any, pytest.MonkeyPatch], None]] = {
    "start_span": lambda tracer, patch: patch.setattr(tracer, "start_span", _raise_always),
    "extract": lambda tracer, patch: patch.setattr(tracer, "extract", _raise_always),
    "activate": lambda tracer, patch: patch.setattr(tracer.scope_manager, "activate", _raise_always),
    "close": _break_scopes,
    "set_tag": lambda tracer, patch: patch.setattr(MockSpan, "set_tag", _raise_always),
    "log_kv": lambda tracer, patch: patch.setattr(MockSpan, "log_kv", _raise_always),
    "finish": lambda tracer, patch: patch.setattr(MockSpan, "finish", _raise_always),
}


@pytest.mark.parametrize("handler", [Hello, Raising])
@pytest.mark.parametrize("part", BROKEN)
async def test_a_broken_tracer_does_no_harm(
    part: str,
    handler: type[RequestHandler],
    recorder: Recorder,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[Any],
) -> None:
    async with connection(servers.start(Application([("/", handler)]))) as opened:
        without_tracing = await opened.get()
        init_tracing(recorder.tracer)
        BROKEN[part](recorder.tracer, monkeypatch)
        assert [await opened.get() for _ in range(2)] == [without_tracing] * 2
    assert active_id(recorder.tracer) is None
    if part == "log_kv" and handler is Hello:
        assert reports == []
    else:
        # Once, not for each request.
        assert [record.exc_info[0] for record in reports] == [RuntimeError]
    if part not in ("start_span", "finish"):
        assert len(await settled(recorder, 2)) == 2
