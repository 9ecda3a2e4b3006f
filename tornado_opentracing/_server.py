"""What is done at ``RequestHandler``: one span for each request that reaches an Application.

The span lives on the request, the scope in the task that runs ``_execute``. ``finish()`` ends the span, from
whatever task or callback it is called in; ``_execute`` ends it where ``finish()`` will not be called any more.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from opentracing import tags
from tornado.web import Finish, HTTPError, RequestHandler, _HandlerDelegate

from tornado_opentracing import _spans
from tornado_opentracing._config import TracingConfig, application_config, config_of, process
from tornado_opentracing._patching import Layer, Patch

if TYPE_CHECKING:
    from opentracing import Span
    from tornado.httputil import HTTPServerRequest

_SPAN = "_tornado_opentracing"


class RequestSpan(_spans.SpanLifecycle):
    """The span of one request."""

    __slots__ = ("awaits_finish", "config")

    answers = (HTTPError, Finish)

    def __init__(self, span: Span, config: TracingConfig) -> None:
        super().__init__(span)
        self.config = config
        self.awaits_finish = False


#: The request whose span is active here; spares the work of activating it twice.
_active: ContextVar[RequestSpan | None] = ContextVar("tornado_opentracing.request", default=None)


def request_span(request: HTTPServerRequest) -> RequestSpan | None:
    """The span of a request, if it has one."""
    return getattr(request, _SPAN, None)


def start_request_span(
    config: TracingConfig, request: HTTPServerRequest, operation_name: str, attributes: Iterable[str]
) -> RequestSpan | None:
    """Start the span of a request, as a child of what its headers carry, else as a root."""
    tracer, options = config.tracer, config.options
    span_tags = {
        tags.COMPONENT: "tornado",
        tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER,
        tags.HTTP_METHOD: request.method,
        tags.HTTP_URL: _spans.without_user_info(request.uri or ""),
    }
    if attributes:
        span_tags.update(_spans.attribute_tags(request, attributes))
    parent = _spans.extract(tracer, request.headers)
    span = _spans.start(tracer, operation_name, span_tags, parent, is_root=True)
    if span is None:
        return None
    state = RequestSpan(span, config)
    setattr(request, _SPAN, state)
    _spans.call_back(options.start_span_cb, span, request)
    return state


class active:  # noqa: N801 - a context manager, named for how it reads
    """The request's span is active within; the frame that opens the scope closes it."""

    __slots__ = ("_scope", "_state", "_token")

    def __init__(self, state: RequestSpan) -> None:
        self._state = state
        self._token: Token[RequestSpan | None] | None = None

    def __enter__(self) -> None:
        if _active.get() is not self._state:
            self._token = _active.set(self._state)
            self._scope = _spans.activate(self._state.config.tracer, self._state.span)

    def __exit__(self, *exc_info: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            _spans.close(self._scope)
            with suppress(ValueError):  # a coroutine that is collected unfinished is closed in another context
                _active.reset(token)


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
    if handler._finished or handler._auto_finish or state.has_failed:
        state.finish(sent_status(handler))
    else:
        state.awaits_finish = True


def _start_for(config: TracingConfig, request: HTTPServerRequest, handler_class: type) -> RequestSpan | None:
    return start_request_span(config, request, handler_class.__name__, config.options.traced_attributes)


def _execute_hook(original: Callable[..., Awaitable[None]], layer: Layer) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    def _execute(self: RequestHandler, transforms: Any, *args: bytes, **kwargs: bytes) -> Awaitable[None]:
        config = config_of(self.application) if layer.enabled else None
        if config is None or (config is process.tracing and not config.options.trace_all):
            return original(self, transforms, *args, **kwargs)
        return traced(config, self, transforms, args, kwargs)

    async def traced(config: TracingConfig, handler: RequestHandler, transforms: Any, args: Any, kwargs: Any) -> None:
        token = application_config.set(config)
        try:
            state = _start_for(config, handler.request, type(handler)) if config.options.trace_all else None
            if state is None:
                await original(handler, transforms, *args, **kwargs)
                return
            with active(state):
                try:
                    await original(handler, transforms, *args, **kwargs)
                except BaseException as error:
                    # Tornado lets nothing but cancellation through.
                    state.fail(error)
                    raise
                finally:
                    executed(state, handler)
        finally:
            with suppress(ValueError):
                application_config.reset(token)

    return _execute


def _finish_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def finish(self: RequestHandler, chunk: Any = None) -> Any:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, chunk)
        with active(state):
            try:
                return original(self, chunk)
            except BaseException as error:
                state.fail(error)
                raise
            finally:
                # Where finish() raised half-way (in the application's log_function, say) and _execute is over,
                # nobody is left to call it again.
                if self._finished or (state.awaits_finish and self._headers_written):
                    state.finish(sent_status(self))

    return finish


def _handle_request_exception_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def _handle_request_exception(self: RequestHandler, e: BaseException) -> None:
        state = request_span(self.request) if layer.enabled else None
        if state is None or state.finished:
            return original(self, e)
        if not isinstance(e, Finish):
            state.fail(e)
        with active(state):
            return original(self, e)

    return _handle_request_exception


def _delegate_execute_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute(self: _HandlerDelegate) -> Any:
        try:
            return original(self)
        except Exception as error:
            # The handler's constructor raised (initialize, say): there is no handler and will be no response.
            config = config_of(self.application) if layer.enabled else None
            if config is not None and config.options.trace_all:
                state = _start_for(config, self.request, self.handler_class)
                if state is not None:
                    state.fail(error)
                    state.finish(None)
            raise

    return execute


HOOKS = [
    Patch(RequestHandler, "_execute", _execute_hook),
    Patch(RequestHandler, "finish", _finish_hook),
    Patch(RequestHandler, "_handle_request_exception", _handle_request_exception_hook),
    Patch(_HandlerDelegate, "execute", _delegate_execute_hook),
]


def install_hooks() -> None:
    """Put the hooks in place; they do nothing for a request that is not to be traced."""
    for hook in HOOKS:
        hook.apply()
