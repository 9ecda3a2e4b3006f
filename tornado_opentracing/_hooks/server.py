# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done where an Application takes a request: one span for each, whoever serves it.

It starts around the making of the handler and is active there; the handler's task inherits that. Where the response is
finished (``handler``, ``response``) it ends.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.web import Application, FallbackHandler, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._guard import report
from tornado_opentracing._hooks import response
from tornado_opentracing._hooks.exclusion import excludes
from tornado_opentracing._hooks.handler import EXECUTE
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._scopes import within
from tornado_opentracing._settings import waiting
from tornado_opentracing._settings.applications import config_of
from tornado_opentracing._settings.config import TracingConfig, process
from tornado_opentracing._spans import lifecycle, naming, routes
from tornado_opentracing._spans.request import (
    SPAN,
    RequestSpan,
    active,
    start_request_span,
    started,
)
from tornado_opentracing._spans.tags import ROUTE

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest


def _delegate_execute_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: HandlerDelegate) -> Any:  # noqa: PLR0912 - parts of it would be calls, which cost more
        config = config_of(self.application) if layer.enabled else None
        if config is None:
            return original(self)
        request = self.request
        state: RequestSpan | None = getattr(request, SPAN, None)
        if state is not None:
            return _handed_on(state, self, original)
        if self.handler_kwargs and issubclass(self.handler_class, FallbackHandler) and not excludes(config, request):
            config = _config_behind(self) or config
        if (config.filters_requests or process.has_excluded) and excludes(config, request):
            return _untraced(config.untraced, getattr(request, SPAN, None), original, self)
        options = config.options
        handler_class = self.handler_class
        state = None
        if options.trace_all:
            name = handler_class.__name__ if options.operation_name is None else _name(config, self)
            state = start_request_span(config, request, name, options.traced_attributes)
        if state is None:
            # Nearly always nothing else is known here that would count.
            if config is process.tracing and within.known.get()[0] is None:
                return original(self)
            return _untraced(config, None, original, self)
        if config.looks_at_start or self.handler_kwargs:
            _look_at_start(state, self, name)
        token = within.known.set((config, state))
        scope = None  # here and below without a call: each request pays for it
        try:
            scope = state.tracer.scope_manager.activate(state.span, False)
        except Exception:
            report("activating a span")
        try:
            result = original(self)
        except BaseException as error:
            # The handler's constructor raised (``initialize``, say): there will be no response.
            state.fail(error, can_answer=False)
            state.finish(None, None)
            raise
        finally:
            try:
                if scope is not None:
                    scope.close()
            except Exception:
                report("closing a scope")
            within.known.reset(token)
        if handler_class._execute is EXECUTE.replacement:
            response.watch_start(state, self.handler)
        else:
            response.watch_end(state, self.handler)
        return result

    return execute


def _untraced(
    config: TracingConfig, excluded: RequestSpan | None, original: Callable[..., Any], delegate: HandlerDelegate
) -> Any:
    # The handler's task inherits this. A connection inherits the context in which listen() was called, which may be
    # another Application's.
    token = within.known.set((config, excluded))
    try:
        return original(delegate)
    finally:
        within.known.reset(token)


def _name(config: TracingConfig, delegate: HandlerDelegate) -> str:
    return routes.operation_name(config, delegate.application, delegate.request, delegate.handler_class, None)


def _look_at_start(state: RequestSpan, delegate: HandlerDelegate, name: str) -> None:
    """Do at the start of a span what few ask for, before there is a handler."""
    request, options = delegate.request, state.options
    if options.blocked_after is not None:
        waiting.serve(state)
    if delegate.handler_kwargs and issubclass(delegate.handler_class, FallbackHandler):
        state.provisional_name = naming.called(state.span, name)
    if options.inject_response_headers or options.traced_response_headers:
        response.watch_headers(state, request)
    if callable(options.operation_name):
        _name_when_made(state, delegate)
    elif options.start_span_cb is not None:
        _started(state, request)


def _started(state: RequestSpan, request: HTTPServerRequest) -> None:
    try:
        started(state, request)
    except BaseException as error:
        # Tornado's connection takes what is raised here for an error of this request, but it is meant to end the
        # process, as it would in a handler.
        asyncio.get_running_loop().call_soon(_raise, error)
        raise


def _raise(error: BaseException) -> None:
    raise error


def _name_when_made(state: RequestSpan, delegate: HandlerDelegate) -> None:
    """A callable names the span by its handler: as soon as that is made, and before ``start_span_cb`` is called."""
    handler_class = delegate.handler_class

    @functools.wraps(handler_class, updated=())
    def make(*args: Any, **kwargs: Any) -> RequestHandler:
        delegate.handler_class = handler_class
        try:
            handler = handler_class(*args, **kwargs)
            naming.rename(
                state.span,
                routes.operation_name(state.config, delegate.application, delegate.request, handler_class, handler),
            )
        finally:
            _started(state, delegate.request)
        return handler

    delegate.handler_class = make  # type: ignore[assignment]


def _config_behind(delegate: HandlerDelegate) -> TracingConfig | None:
    """The configuration of the Application that a ``FallbackHandler`` hands its requests on to, if it is one."""
    application = delegate.handler_kwargs.get("fallback")
    if not isinstance(application, Application):
        return None
    routes.forget(delegate.request)
    return config_of(application)


def _handed_on(state: RequestSpan, delegate: HandlerDelegate, original: Callable[..., Any]) -> Any:
    """Another handler serves a request that has its span already, or is to have none."""
    if state.finished and not state.is_excluded:
        return original(delegate)
    if state.provisional_name is not None:
        try:
            _name_by(state, delegate)
        except Exception:
            report("naming a span")
    with active(state):
        return original(delegate)


def _name_by(state: RequestSpan, delegate: HandlerDelegate) -> None:
    """A ``FallbackHandler`` says nothing about a request, who it is handed on to does."""
    request, handler_class = delegate.request, delegate.handler_class
    name = naming.by_tracer(state.tracer, state.options, request)
    if name is None:
        name = routes.operation_name(state.config, delegate.application, request, handler_class, None)
    naming.rename(state.span, name, state.provisional_name)
    state.provisional_name = name if issubclass(handler_class, FallbackHandler) else None
    route = routes.route_of(request)
    if route is not None:
        lifecycle.set_tags(state.span, {ROUTE: route})


HOOKS = [Patch(HandlerDelegate, "execute", _delegate_execute_hook)]
