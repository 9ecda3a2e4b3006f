# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at one connection, for the one response to a request that is traced.

Most responses are finished by their handler, and need none of this.
"""

from __future__ import annotations

import functools
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentracing import logs

from tornado_opentracing._guard import report
from tornado_opentracing._spans import propagation
from tornado_opentracing._spans.request import RequestSpan, client_has_left, note

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
    from tornado.web import RequestHandler

#: Of a response that was flushed before it was finished: how long after the request it began, in milliseconds.
FIRST_BYTE_MS = "http.response.first_byte_ms"


def end_with(state: RequestSpan, handler: RequestHandler) -> None:
    """End the span, for ``_execute`` is over: now, or when the response is finished or the connection gone."""
    connection: Any = handler.request.connection
    if getattr(connection, "_finish_future", None) is None:
        is_over = handler._finished or handler._auto_finish
    else:
        is_over = connection._write_finished or client_has_left(handler)
    if is_over:
        state.finish_for(handler)
    else:
        watch_end(state, handler)


def watch_end(state: RequestSpan, handler: RequestHandler) -> None:
    """End the span when the response is finished on the connection, or the connection is gone.

    ``HTTP1Connection`` has a future for either. Of another kind of connection only ``RequestHandler.finish`` tells.
    """
    ended = getattr(handler.request.connection, "_finish_future", None)
    if ended is not None:
        ended.add_done_callback(functools.partial(_ended, state, handler))


def _ended(state: RequestSpan, handler: RequestHandler, future: object) -> None:  # noqa: ARG001 - a callback of futures
    state.finish_for(handler)


def watch_start(state: RequestSpan, handler: RequestHandler) -> None:
    """End the span in the same way if ``_execute`` never begins: its task is cancelled before its first step.

    So does ``asyncio.run`` that ends in the tick in which the request came. Once it begins, it tells of its end itself.
    """
    ended = getattr(handler.request.connection, "_finish_future", None)
    if ended is not None:
        state.unstarted = functools.partial(_not_started, state, handler)
        ended.add_done_callback(state.unstarted)


def _not_started(state: RequestSpan, handler: RequestHandler, future: object) -> None:  # noqa: ARG001 - as above
    if not state.finished:
        note(state, handler, CancelledError())
        state.finish_for(handler)


def watch_headers(state: RequestSpan, request: HTTPServerRequest) -> None:
    """Inject the span's context into the headers of the response, and set those that were asked for as tags.

    Whoever writes the response does so by ``request.connection.write_headers``: Tornado's handlers, after everything
    that may clear their headers, and who answers in their place.
    """
    connection: Any = request.connection
    try:
        connection.write_headers = _write_headers(connection, connection.write_headers, state)
    except Exception:
        report("watching a response's headers")


def _write_headers(connection: Any, original: Callable[..., Any], state: RequestSpan) -> Callable[..., Any]:
    @functools.wraps(original)
    def write_headers(start_line: ResponseStartLine, headers: HTTPHeaders, *args: Any, **kwargs: Any) -> Any:
        is_last = start_line[1] >= 200 or start_line[1] == 101
        if is_last and vars(connection).get("write_headers") is mine():
            del connection.write_headers
        if not state.finished and state.options.inject_response_headers:
            propagation.inject_into_response(state.tracer, state.span, headers)
        result = original(start_line, headers, *args, **kwargs)
        if is_last:
            state.describe_response(headers)
        return result

    # Weak, for a function that holds itself is garbage that only the collector finds.
    mine = weakref.ref(write_headers)
    return write_headers


def note_first_byte(state: RequestSpan, handler: RequestHandler) -> None:
    """Say when the response began, for it goes on: what is left is not the time that it took to answer."""
    if client_has_left(handler):
        return
    try:
        state.span.set_tag(FIRST_BYTE_MS, round(handler.request.request_time() * 1000, 3))
        state.span.log_kv({logs.EVENT: "first byte"})
    except Exception:
        report("noting the first byte of a response")
