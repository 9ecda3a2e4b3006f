# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The span of a request, from the handler it reaches to the end of the response.

It is kept on the request, and is active wherever Tornado runs the handler's code.
"""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from opentracing import Tracer as NoopTracer
from tornado.iostream import StreamClosedError
from tornado.web import Finish, HTTPError, RequestHandler

from tornado_opentracing._guard import call_back, report
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.config import process
from tornado_opentracing._spans import lifecycle, naming, propagation, routes
from tornado_opentracing._spans.keeping import keep
from tornado_opentracing._spans.tags import RESPONSE_HEADER, header_tags, server_tags
from tornado_opentracing._spans.terms import terms

if TYPE_CHECKING:
    from opentracing import Scope
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

    from tornado_opentracing._settings.config import TracingConfig

#: Where it is kept. Looked up by name on the hot paths, where a function for that would cost more than the look.
SPAN = "_tornado_opentracing"

#: Statuses that may say that a request is to be called by them.
_TELLING = (404, 405)


class RequestSpan(lifecycle.SpanLifecycle):
    """The span of one request."""

    answers = (HTTPError, Finish)

    is_excluded = False
    connection_closed = False
    is_unanswered: bool
    #: Whether a handler is at work on it: one whose ``_execute`` this package sees.
    executing: bool
    #: What ends it where that handler never gets to work.
    unstarted: Callable[[Any], None] | None
    #: What it is called until the handler is known that a ``FallbackHandler`` hands the request on to.
    provisional_name: str | None
    #: Once it is the handshake's of a WebSocket, and over: what makes nothing active, if there is something cheap.
    clear: Callable[[], None] | None = None
    is_opening: bool  #: Whether nothing has come on its connection yet.
    connection: Any = None  #: The span of that WebSocket's connection, if there is to be one.
    shared: Any = None  #: What the spans of all that happens there have in common.

    def describe_response(self, headers: HTTPHeaders) -> None:
        """Set the headers of the response that were asked for as tags."""
        names = self.options.traced_response_headers
        if not names or self.finished:
            return
        try:
            lifecycle.set_tags(self.span, header_tags(RESPONSE_HEADER, headers, names, self.options))
        except Exception:
            report("describing a response")

    def finish_for(self, handler: RequestHandler) -> None:
        """Finish the span with what the handler's response became."""
        if self.finished:
            return
        status = None if self.is_unanswered else sent_status(handler)
        if status is not None and status >= 500 and not self.has_error:
            # What a handler that answers for an exception by itself is just handling.
            handled = sys.exc_info()[1]
            if handled is not None:
                self.fail(handled)
        if status in _TELLING and self.options.operation_name == "route":
            self._name_by_answer(handler, status)
        self.finish(status, handler)

    def _name_by_answer(self, handler: RequestHandler, status: int) -> None:
        # Known only now: a prepare, or what a method is wrapped in, could have answered; a catch-all found something.
        try:
            request, handler_class = handler.request, type(handler)
            name = routes.name_by_answer(request, handler_class, status, self._error)
            if name is None:
                return
            so_far = routes.operation_by_route(request, handler.application, handler_class)
            # What a callback has called it stays.
            if self.options.start_span_cb is None or naming.called(self.span, "") == so_far:
                naming.rename(self.span, name)
        except Exception:
            report("naming a span")


def request_span(request: HTTPServerRequest) -> RequestSpan | None:
    """The span of a request, if it has one, or what stands in its place."""
    return getattr(request, SPAN, None)


def start_request_span(
    config: TracingConfig,
    request: HTTPServerRequest,
    operation_name: str,
    attribute_names: Iterable[str],
) -> RequestSpan | None:
    """Start the span of a request, as a child of what its headers carry, else as a root."""
    options = config.options
    # Not always by way of the property: to call one is what costs.
    tracer = config.tracer if config.own_tracer is None else config.own_tracer
    span_tags: Any = {}
    parent = references = None
    # OpenTracing's own tracer, the default of global_tracer(), keeps nothing: there is no use in describing.
    if type(tracer) is not NoopTracer:
        own_terms = terms[type(tracer)]
        try:
            # A tracer with terms of its own for HTTP describes the request itself; None leaves it untraced.
            describe = own_terms.describe_request
            if describe is None:
                span_tags = server_tags(request, options, attribute_names)
            else:
                span_tags = describe(tracer, request, options, attribute_names)
        except Exception:
            report("describing a request")
        if span_tags is None:
            return None
        parent = propagation.extract(tracer, request.headers, own_terms.extract_headers)
        accept = options.accept_parent
        if accept is not True and parent is not None and not propagation.accepts(accept, request):
            parent, references = propagation.refuse(tracer, parent, span_tags)
    state = lifecycle.start(RequestSpan, config, tracer, operation_name, span_tags, parent, True, references)
    if state is None:
        return None
    # Not a default of the class: CPython takes its time to look for what may be either on it or on the instance.
    state.is_unanswered = state.executing = False
    state.provisional_name = state.unstarted = None
    try:
        request._tornado_opentracing = state  # type: ignore[attr-defined]
    except Exception:
        if not keep(request, SPAN, state):
            state.finish(None, None)
            return None
    metrics = process.metrics
    if metrics is not None:
        try:
            state.measurement = metrics.request_started(request)
        except Exception:
            report("measuring")
    return state


def started(state: RequestSpan, request: HTTPServerRequest) -> None:
    """Call ``start_span_cb``, if there is one."""
    callback = state.options.start_span_cb
    if callback is None:
        return
    try:
        call_back("start_span_cb", callback, state.span, request)
    except BaseException:
        state.finish(None, None)
        raise


_Opened = tuple["Token[tuple[TracingConfig | None, RequestSpan | None]]", "Scope | None"]


def activate(state: RequestSpan) -> _Opened:
    """Make the request's span active, until :func:`deactivate`.

    Of a request that is excluded, only that is carried on: its fetches are not traced either. What ``_spans`` has for
    it is written out here, and below: two calls less of each request.
    """
    token = within.known.set((state.config, state))
    scope = None
    if state.span is not None:
        try:
            scope = state.tracer.scope_manager.activate(state.span, False)
        except Exception:
            report("activating a span")
    return token, scope


def deactivate(opened: _Opened) -> None:
    """Undo :func:`activate`."""
    token, scope = opened
    if scope is not None:
        try:
            scope.close()
        except Exception:
            report("closing a scope")
    try:  # noqa: SIM105 - suppress() costs as much as all the rest
        within.known.reset(token)
    except ValueError:
        pass  # a coroutine that is collected unfinished is closed in another context


class active:  # noqa: N801 - a context manager, named for how it reads
    """The request's span is active within; the frame that opens the scope closes it."""

    __slots__ = ("_opened", "_state")

    def __init__(self, state: RequestSpan) -> None:
        self._state = state
        self._opened: _Opened | None = None

    def __enter__(self) -> None:
        if within.known.get()[1] is not self._state:
            self._opened = activate(self._state)

    def __exit__(self, *exc_info: object) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            deactivate(opened)

    async def wrap(self, awaitable: Awaitable[Any]) -> Any:
        """Await something in it."""
        with self:
            return await awaitable


def sent_status(handler: RequestHandler) -> int | None:
    """The status that went out, or ``None`` if none did.

    ``HTTP1Connection`` keeps the start line it wrote; the handler's own ``get_status()`` can have been changed since,
    and is not what went out where a ``FallbackHandler`` let somebody else answer.
    """
    try:
        start_line = handler.request.connection._response_start_line  # type: ignore[union-attr]
    except AttributeError:
        start_line = None
    if start_line is not None:
        return start_line[1]  # type: ignore[no-any-return]  # its code: by the name it takes a call
    return handler.get_status() if handler._headers_written else None


def note(state: RequestSpan, handler: RequestHandler, error: BaseException, *, can_answer: bool = True) -> None:
    """Note an exception that nobody handled; that a client left, or a handler is cancelled then, is none."""
    if not (isinstance(error, (StreamClosedError, CancelledError)) and client_has_left(handler)):
        state.fail(error, can_answer=can_answer)


def client_has_left(handler: RequestHandler) -> bool:
    """Whether the connection is closed, or was handed over to somebody else."""
    stream = getattr(handler.request.connection, "stream", None)
    return stream is None or stream.closed()
