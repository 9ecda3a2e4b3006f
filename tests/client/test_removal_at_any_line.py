# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``remove_tracing()`` in another thread never makes a fetch raise, whatever the fetch is at."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import Recorder
from support.fetching import Immediate, new_client
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

import tornado_opentracing
from tornado_opentracing import init_client_tracing, init_tracing, remove_tracing

PACKAGE = str(pathlib.Path(tornado_opentracing.__file__).parent)


class AtLine:
    """Calls back before the package runs the so-many-th line of what is done within."""

    def __init__(self, number: int, callback: Callable[[], None]) -> None:
        self.left = number
        self.callback = callback
        self.is_reached = False

    def trace(self, frame: Any, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and not self.is_reached:
            if self.left == 0:
                self.is_reached = True
                self.callback()
            self.left -= 1
        return self.trace

    def __enter__(self) -> AtLine:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(self.before)


def both(tracer: Any) -> None:
    init_tracing(tracer)
    init_client_tracing(tracer)


def coroutine_beneath(original: Any) -> Any:
    async def fetch(self: AsyncHTTPClient, *args: Any, **kwargs: Any) -> Any:
        return await original(self, *args, **kwargs)

    return fetch


@pytest.mark.parametrize("is_coroutine", [False, True])
@pytest.mark.parametrize("init", [init_tracing, init_client_tracing, both])
async def test_tracing_may_be_removed_at_any_line_of_a_fetch(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, init: Any, is_coroutine: bool
) -> None:
    if is_coroutine:
        monkeypatch.setattr(AsyncHTTPClient, "fetch", coroutine_beneath(AsyncHTTPClient.fetch))
    client = new_client(Immediate)
    makes: list[Callable[[], Any]] = [
        lambda: "http://nowhere.invalid/",
        lambda: HTTPRequest("http://nowhere.invalid/", headers={"X-Mine": "1"}, header_callback=print),
    ]
    for make in makes:
        for number in range(1000):
            init(recorder.tracer)
            request = make()
            with AtLine(number, remove_tracing) as line:
                response = await client.fetch(request)
            await asyncio.sleep(0)
            remove_tracing()
            assert response.code == 200
            assert not isinstance(request, HTTPRequest) or response.request is request
            assert recorder.unfinished == 0
            if not line.is_reached:
                break
        assert 20 < number < 999
    client.close()
