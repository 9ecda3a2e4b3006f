"""What is done at ``RequestHandler``: one span for each request that reaches an Application.

The span lives on the request, the scope in the task that runs ``_execute``. ``finish()`` ends the span, from
whatever task or callback it is called in; ``_execute`` ends it where ``finish()`` will not be called any more.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado.web import Application, FallbackHandler, OutputTransform, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._hooks.exclusion import excludes, is_excluded
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.config import TracingConfig, config_of, process
from tornado_opentracing._spans import propagation, routes
from tornado_opentracing._spans.request import (
    SPAN,
    RequestSpan,
    activate,
    active,
    deactivate,
    note,
    operation_name,
    request_span,
    start_handler_span,
    start_request_span,
)

if TYPE_CHECKING:
    from tornado.httputil import HTTPHeaders


#: The requests whose handlers are done but will only be finished by a later ``finish()``.
_awaiting: weakref.WeakSet[RequestSpan] = weakref.WeakSet()


def executed(state: RequestSpan, handler: RequestHandler) -> None:
    """``_execute`` is over: end the span, unless ``finish()`` is still to be called."""
    is_over = handler._finished or handler._auto_finish or state.has_error or state.connection_closed
    if is_over or not _FINISH.is_at_work:
        state.finish_for(handler)
    else:
        state.awaits_finish = True
        _awaiting.add(state)


def end_awaiting() -> None:
    """End the spans of which only ``finish()`` would tell: it is about to be given back to Tornado."""
    for state in list(_awaiting):
        state.finish(None, None)


class _InjectIntoResponse(OutputTransform):
    """Puts the span's context into the response's headers, after everything that may clear them."""

    def __init__(self, state: RequestSpan) -> None:
        self._state = state

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002 - Tornado's signature
    ) -> tuple[int, HTTPHeaders, bytes]:
        propagation.inject(self._state.tracer, self._state.span, headers)
        return status_code, headers, chunk


def with_injection(state: RequestSpan, transforms: list[OutputTransform]) -> list[OutputTransform]:
    """A handler's transforms, and one that injects the span into the response's headers."""
    return [*transforms, _InjectIntoResponse(state)]


def _execute_hook(original: Callable[..., Awaitable[None]], layer: Layer) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    def _execute(self: RequestHandler, transforms: Any, *args: bytes, **kwargs: bytes) -> Awaitable[None]:
        config = config_of(self.application) if layer.enabled else None
        if config is None or not config.options.trace_all:
            return original(self, transforms, *args, **kwargs)
        if process.has_excluded and is_excluded(self.request):
            return original(self, transforms, *args, **kwargs)
        if isinstance(self, FallbackHandler) and isinstance(getattr(self, "fallback", None), Application):
            # The request goes on to a handler of another Application, which gives it its span and its route.
            routes.forget(self.request)
            return handed_on(config, self, transforms, args, kwargs)
        return traced(config, self, transforms, args, kwargs)

    async def traced(config: TracingConfig, handler: RequestHandler, transforms: Any, args: Any, kwargs: Any) -> None:
        state = start_handler_span(config, handler, config.options.traced_attributes)
        if state is None:
            await original(handler, transforms, *args, **kwargs)
            return
        if config.options.inject_response_headers:
            transforms = with_injection(state, transforms)
        opened = activate(state)
        try:
            try:
                await original(handler, transforms, *args, **kwargs)
            except BaseException as error:
                # Tornado lets nothing but cancellation through.
                note(state, handler, error)
                raise
            finally:
                if not state.finished:
                    executed(state, handler)
        finally:
            deactivate(opened)

    async def handed_on(config: TracingConfig, handler: RequestHandler, transforms: Any, args: Any, kw: Any) -> None:
        await original(handler, transforms, *args, **kw)
        if handler._headers_written and request_span(handler.request) is None:
            # It was not: prepare answered.
            state = start_handler_span(config, handler, config.options.traced_attributes)
            if state is not None:
                state.finish_for(handler)

    return _execute


def _finish_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def finish(self: RequestHandler, chunk: Any = None) -> Any:
        state: RequestSpan | None = getattr(self.request, SPAN, None) if layer.enabled else None
        if state is None or (state.finished and not state.is_excluded):
            return original(self, chunk)
        opened = None if within.known.get()[1] is state else activate(state)
        try:
            try:
                return original(self, chunk)
            except BaseException as error:
                note(state, self, error)
                raise
            finally:
                # Where finish() raised half-way (in the application's log_function, say) and _execute is over,
                # nobody is left to call it again.
                if not state.finished and (self._finished or (state.awaits_finish and self._headers_written)):
                    state.finish_for(self)
        finally:
            if opened is not None:
                deactivate(opened)

    return finish


def _detach_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def detach(self: RequestHandler) -> Any:
        stream = original(self)
        state = request_span(self.request) if layer.enabled else None
        if state is not None and state.awaits_finish:
            state.finish_for(self)
        return stream

    return detach


def _note_cancellation(state: RequestSpan) -> None:
    # From 6.6 on Tornado answers for a handler that was cancelled, before it lets the cancellation through.
    error = sys.exc_info()[1]
    if isinstance(error, asyncio.CancelledError):
        state.fail(error)


def _send_error_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def send_error(self: RequestHandler, status_code: int = 500, **kwargs: Any) -> None:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, status_code, **kwargs)
        if status_code == 500 and not kwargs:
            _note_cancellation(state)
        with active(state):
            return original(self, status_code, **kwargs)

    return send_error


def _handle_request_exception_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def _handle_request_exception(self: RequestHandler, e: BaseException) -> None:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, e)
        note(state, self, e)
        with active(state):
            return original(self, e)

    return _handle_request_exception


def _delegate_execute_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: HandlerDelegate) -> Any:
        config = config_of(self.application) if layer.enabled else None
        if config is None:
            return original(self)
        # The handler's task inherits this. A connection inherits the context in which listen() was called, which may be
        # another Application's.
        is_default = config is process.tracing and within.known.get()[0] is None
        excluded, request = None, self.request
        if (config.filters_requests or process.has_excluded) and excludes(config, request):
            config, excluded, is_default = config.untraced, getattr(request, SPAN), False
        token = None if is_default else within.known.set((config, excluded))
        try:
            return original(self)
        except Exception as error:
            _constructor_raised(config, self, error)
            raise
        finally:
            if token is not None:
                within.known.reset(token)

    return execute


def _constructor_raised(config: TracingConfig, delegate: HandlerDelegate, error: Exception) -> None:
    """Trace a request whose handler's constructor raised (``initialize``, say): it will have no response."""
    if not config.options.trace_all:
        return
    name = operation_name(config, delegate.application, delegate.request, delegate.handler_class, None)
    state = start_request_span(config, delegate.request, name, config.options.traced_attributes)
    if state is not None:
        state.fail(error, can_answer=False)
        state.finish(None, None)


_FINISH = Patch(RequestHandler, "finish", _finish_hook)

HOOKS = [
    Patch(RequestHandler, "_execute", _execute_hook),
    _FINISH,
    Patch(RequestHandler, "detach", _detach_hook),
    Patch(RequestHandler, "send_error", _send_error_hook),
    Patch(RequestHandler, "_handle_request_exception", _handle_request_exception_hook),
    Patch(HandlerDelegate, "execute", _delegate_execute_hook),
]
