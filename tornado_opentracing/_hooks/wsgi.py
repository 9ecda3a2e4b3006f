# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``WSGIContainer``: an exception in its application is one of the request, to which nobody answers."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from tornado.httputil import HTTPServerRequest
from tornado.wsgi import WSGIContainer

from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._spans.request import request_span


def _handle_request_hook(original: Callable[..., Awaitable[None]], layer: Layer) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def handle_request(self: WSGIContainer, request: HTTPServerRequest) -> None:
        try:
            return await original(self, request)
        except BaseException as error:
            # In a task that Tornado has only started: nobody else is told, and the client waits until it gives up.
            state = request_span(request) if layer.enabled else None
            if state is not None and not state.finished:
                state.fail(error, can_answer=False)
            raise

    return handle_request


# Before Tornado 6.3 the exception is raised in the FallbackHandler, which answers with a 500.
HOOKS = (
    [Patch(WSGIContainer, "handle_request", _handle_request_hook)] if hasattr(WSGIContainer, "handle_request") else []
)
