"""What is done at ``RequestHandler``: one span for each request that reaches an Application.

The span lives on the request, the scope in the task that runs ``_execute``. ``finish()`` ends the span, from
whatever task or callback it is called in; ``_execute`` ends it where ``finish()`` will not be called any more.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Token
from typing import TYPE_CHECKING, Any, cast

from tornado.iostream import StreamClosedError
from tornado.web import Application, FallbackHandler, Finish, HTTPError, OutputTransform, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing import _routes, _spans, _tags
from tornado_opentracing._config import TracingConfig, config_of, process, within
from tornado_opentracing._patching import Layer, Patch
from tornado_opentracing.scope_manager import innermost_cut

if TYPE_CHECKING:
    from opentracing import Span
    from tornado.httputil import HTTPHeaders, HTTPServerRequest

_SPAN = "_tornado_opentracing"
_ASKED = "_tornado_opentracing_asked"


class RequestSpan(_spans.SpanLifecycle):
    """The span of one request."""

    answers = (HTTPError, Finish)

    awaits_finish = False
    connection_closed = False
    is_unanswered = False

    def __init__(self, span: Span, config: TracingConfig) -> None:
        super().__init__(span, config.options)
        self.config = config

    @classmethod
    def excluded(cls, config: TracingConfig) -> RequestSpan:
        """What stands in the place of the span of a request that is excluded: there is nothing to do any more."""
        state = cls(cast("Span", None), config.untraced)
        state.finished = True
        return state

    @property
    def is_excluded(self) -> bool:
        """Whether the request is excluded by a setting: it has no span, nor gets one by other means."""
        return self.span is None

    def finish_for(self, handler: RequestHandler) -> None:
        """Finish the span with what the handler's response became."""
        if self.finished:
            return
        names = self.options.traced_response_headers
        if names and handler._headers_written and not self.is_unanswered:
            try:
                found = _tags.header_tags(_tags.RESPONSE_HEADER, handler._headers, names, self.options)
                _spans.set_tags(self.span, found)
            except Exception:
                _spans.report("describing a response")
        status = None if self.is_unanswered else sent_status(handler)
        if status == 405 and self.options.operation_name == "route" and self.options.start_span_cb is None:
            self._name_method_not_allowed(handler)
        self.finish(status, handler)

    def _name_method_not_allowed(self, handler: RequestHandler) -> None:
        # Known only now where the handler has a prepare, which could have answered.
        if _routes.lacks_method(handler.request, type(handler)):
            try:
                self.span.set_operation_name(f"{handler.request.method} method_not_allowed")
            except Exception:
                _spans.report("naming a span")


#: The requests whose handlers are done but will only be finished by a later ``finish()``.
_awaiting: weakref.WeakSet[RequestSpan] = weakref.WeakSet()


def request_span(request: HTTPServerRequest) -> RequestSpan | None:
    """The span of a request, if it has one."""
    return getattr(request, _SPAN, None)


def excludes(config: TracingConfig, request: HTTPServerRequest) -> bool:
    """Whether the request is to have no span; decided once, and for every Application that it is handed on to."""
    state = request_span(request)
    if state is not None and state.is_excluded:
        return True
    if not config.filters_requests:
        return False
    options = config.options
    asked = (options.excluded_paths, options.request_filter)
    if getattr(request, _ASKED, None) == asked:
        return False
    setattr(request, _ASKED, asked)
    is_wanted = True
    for pattern in options.excluded_paths:
        if pattern.fullmatch(request.path):
            is_wanted = False
            break
    if is_wanted and options.request_filter is not None:
        try:
            is_wanted = options.request_filter(request) is not False
        except Exception:
            _spans.report("request_filter")
    if not is_wanted:
        exclude(request, config)
    return not is_wanted


def exclude(request: HTTPServerRequest, config: TracingConfig) -> None:
    """Leave a request without a span, from here to its end."""
    setattr(request, _SPAN, RequestSpan.excluded(config))


def start_request_span(
    config: TracingConfig,
    request: HTTPServerRequest,
    operation_name: str,
    attribute_names: Iterable[str],
) -> RequestSpan | None:
    """Start the span of a request, as a child of what its headers carry, else as a root."""
    tracer, options = config.tracer, config.options
    try:
        span_tags = _tags.server_tags(request, options)
        route = _routes.route_of(request)
        if route is not None:
            span_tags[_tags.ROUTE] = route
        if attribute_names:
            span_tags.update(_tags.attribute_tags(request, attribute_names, options))
    except Exception:
        _spans.report("describing a request")
        span_tags = {}
    parent = _spans.extract(tracer, request.headers)
    span = _spans.start(tracer, operation_name, span_tags, parent=parent, is_root=True)
    if span is None:
        return None
    state = RequestSpan(span, config)
    setattr(request, _SPAN, state)
    if options.start_span_cb is not None:
        try:
            _spans.call_back("start_span_cb", options.start_span_cb, span, request)
        except BaseException:
            state.finish(None, None)
            raise
    return state


def start_handler_span(
    config: TracingConfig, handler: RequestHandler, attribute_names: Iterable[str]
) -> RequestSpan | None:
    """Start the span of the request that a handler serves."""
    return start_request_span(config, handler.request, _operation_name(config, handler), attribute_names)


def _operation_name(config: TracingConfig, handler: RequestHandler) -> str:
    choice = config.options.operation_name
    if callable(choice):
        try:
            name = choice(handler)
            if not isinstance(name, str):
                raise TypeError(f"operation_name must return a string, not {name!r}")
            return name
        except Exception:
            _spans.report("operation_name")
    return _class_operation_name(config, handler.application, handler.request, type(handler))


def _class_operation_name(
    config: TracingConfig, application: Application, request: HTTPServerRequest, handler_class: type
) -> str:
    if config.options.operation_name == "route":
        return _routes.operation_by_route(request, application, handler_class)
    return handler_class.__name__


class active:  # noqa: N801 - a context manager, named for how it reads
    """The request's span is active within; the frame that opens the scope closes it."""

    __slots__ = ("_anew", "_scope", "_state", "_token")

    def __init__(self, state: RequestSpan, *, anew: bool = False) -> None:
        self._state = state
        self._anew = anew
        self._token: Token[tuple[TracingConfig | None, object, object]] | None = None

    def __enter__(self) -> None:
        state = self._state
        cut = innermost_cut.get()
        _, active_state, active_cut = within.get()
        if self._anew or active_state is not state or active_cut is not cut:
            self._token = within.set((state.config, state, cut))
            # Of a request that is excluded, only that is carried on: its fetches are not traced either.
            self._scope = None if state.is_excluded else _spans.activate(state.config.tracer, state.span)

    def __exit__(self, *exc_info: object) -> None:
        token, self._token = self._token, None
        if token is None:
            return
        _spans.close(self._scope)
        try:  # noqa: SIM105 - suppress() costs as much as all the rest
            within.reset(token)
        except ValueError:
            pass  # a coroutine that is collected unfinished is closed in another context

    async def wrap(self, awaitable: Awaitable[Any]) -> Any:
        """Await something in it."""
        with self:
            return await awaitable


def sent_status(handler: RequestHandler) -> int | None:
    """The status that went out, or ``None`` if none did.

    ``HTTP1Connection`` keeps the start line it wrote; the handler's own ``get_status()`` can have been changed since,
    and is not what went out where a ``FallbackHandler`` let somebody else answer.
    """
    start_line = getattr(handler.request.connection, "_response_start_line", None)
    if start_line is not None:
        return start_line.code  # type: ignore[no-any-return]
    return handler.get_status() if handler._headers_written else None


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


def note(state: RequestSpan, handler: RequestHandler, error: BaseException, *, can_answer: bool = True) -> None:
    """Note an exception that nobody handled."""
    if not (isinstance(error, StreamClosedError) and _client_has_left(handler)):
        state.fail(error, can_answer=can_answer)


def _client_has_left(handler: RequestHandler) -> bool:
    stream = getattr(handler.request.connection, "stream", None)
    return stream is None or stream.closed()


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
        _spans.inject(self._state.config.tracer, self._state.span, headers)
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
        state = request_span(self.request)
        if state is not None and state.is_excluded:
            return original(self, transforms, *args, **kwargs)
        if isinstance(self, FallbackHandler) and isinstance(getattr(self, "fallback", None), Application):
            # The request goes on to a handler of another Application, which gives it its span and its route.
            _routes.forget(self.request)
            return handed_on(config, self, transforms, args, kwargs)
        return traced(config, self, transforms, args, kwargs)

    async def traced(config: TracingConfig, handler: RequestHandler, transforms: Any, args: Any, kwargs: Any) -> None:
        state = start_handler_span(config, handler, config.options.traced_attributes)
        if state is None:
            await original(handler, transforms, *args, **kwargs)
            return
        if config.options.inject_response_headers:
            transforms = with_injection(state, transforms)
        with active(state):
            try:
                await original(handler, transforms, *args, **kwargs)
            except BaseException as error:
                # Tornado lets nothing but cancellation through.
                note(state, handler, error)
                raise
            finally:
                executed(state, handler)

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
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            if state is not None and state.is_excluded:
                with active(state):
                    return original(self, chunk)
            return original(self, chunk)
        with active(state):
            try:
                return original(self, chunk)
            except BaseException as error:
                note(state, self, error)
                raise
            finally:
                # Where finish() raised half-way (in the application's log_function, say) and _execute is over,
                # nobody is left to call it again.
                if self._finished or (state.awaits_finish and self._headers_written):
                    state.finish_for(self)

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
        excluded = None
        if (config.filters_requests or request_span(self.request) is not None) and excludes(config, self.request):
            config, excluded = config.untraced, request_span(self.request)
        # A connection inherits the context in which listen() was called, which may be another Application's.
        if config is process.tracing and within.get()[0] is None:
            return _construct_and_execute(config, self)
        # The handler's task inherits this; a request that is traced by nobody needs no more.
        token = within.set((config, excluded, innermost_cut.get()))
        try:
            return _construct_and_execute(config, self)
        finally:
            within.reset(token)

    def _construct_and_execute(config: TracingConfig, delegate: HandlerDelegate) -> Any:
        try:
            return original(delegate)
        except Exception as error:
            # The handler's constructor raised (initialize, say): there is no handler and will be no response.
            if config.options.trace_all:
                request, handler_class = delegate.request, delegate.handler_class
                name = _class_operation_name(config, delegate.application, request, handler_class)
                state = start_request_span(config, request, name, config.options.traced_attributes)
                if state is not None:
                    state.fail(error, can_answer=False)
                    state.finish(None, None)
            raise

    return execute


_FINISH = Patch(RequestHandler, "finish", _finish_hook)

HOOKS = [
    Patch(RequestHandler, "_execute", _execute_hook),
    _FINISH,
    Patch(RequestHandler, "detach", _detach_hook),
    Patch(RequestHandler, "send_error", _send_error_hook),
    Patch(RequestHandler, "_handle_request_exception", _handle_request_exception_hook),
    Patch(HandlerDelegate, "execute", _delegate_execute_hook),
]
