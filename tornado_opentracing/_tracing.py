# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``TornadoTracing`` and the ``trace`` decorator, for single handlers."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

from tornado_opentracing._hooks import response, table
from tornado_opentracing._hooks.exclusion import excludes
from tornado_opentracing._hooks.handler import EXECUTE, is_in_execute
from tornado_opentracing._scopes import within
from tornado_opentracing._settings import blocking
from tornado_opentracing._settings.applications import traced_config_of
from tornado_opentracing._settings.config import Tracing, TracingConfig, process
from tornado_opentracing._settings.options import OptionValues, attribute_names
from tornado_opentracing._settings.paths import warn_of_useless
from tornado_opentracing._settings.tracers import accept
from tornado_opentracing._spans import lifecycle, routes
from tornado_opentracing._spans.request import (
    SPAN,
    RequestSpan,
    activate,
    active,
    deactivate,
    request_span,
    start_request_span,
    started,
)
from tornado_opentracing._spans.tags import attribute_tags

if TYPE_CHECKING:
    from opentracing import Span, Tracer
    from tornado.httputil import HTTPServerRequest
    from typing_extensions import Unpack

    from tornado_opentracing._settings.options import StartSpanCallback

Method = TypeVar("Method", bound=Callable[..., Any])
_ConfigFor = Callable[[RequestHandler], TracingConfig]


class TornadoTracing(Tracing):
    """A tracer and the options that go with it, to decorate single handlers or to hand to an Application.

    :param tracer: an OpenTracing tracer; ``None`` means :func:`opentracing.global_tracer`, looked up at each request.
    :param start_span_cb: ``callback(span, request)``, called when a span was started, with the
        :class:`tornado.httputil.HTTPServerRequest` of a server span or the :class:`tornado.httpclient.HTTPRequest` of
        a client span; what it raises is logged.
    :param options: the keywords of :func:`tornado_opentracing.init_tracing`.
    :raises TypeError: an argument has the wrong type, or there is no such option; the message names it.
    :raises ValueError: an argument has the right type and means nothing; the message names it.

    .. code-block:: python

        tracing = TornadoTracing(SomeTracer(scope_manager=ContextVarsScopeManager()))
        Application(handlers, opentracing_tracing=tracing)
    """

    def __init__(
        self,
        tracer: Tracer | None = None,
        start_span_cb: StartSpanCallback | None = None,
        **options: Unpack[OptionValues],
    ) -> None:
        given: dict[str, Any] = dict(options)
        if start_span_cb is not None:
            given["start_span_cb"] = start_span_cb
        self._config = TracingConfig(tracer, given)
        accept(self.tracer)
        blocking.watch.ensure(self.options.blocked_after)
        warn_of_useless(self.options.excluded_paths, "excluded_paths", stacklevel=2)

    @staticmethod
    def get_span(request: HTTPServerRequest | RequestHandler) -> Span | None:
        """The span of a request.

        :param request: the request, or the handler that serves it.
        :return: its span, finished or not; ``None`` if the request is not traced.
        """
        state = request_span(request.request if isinstance(request, RequestHandler) else request)
        return None if state is None else state.span

    def _config_for(self, handler: RequestHandler) -> TracingConfig:
        # Its own options, unless it is an Application's tracing: then that one's settings count too.
        is_of_application = handler.application.settings.get("opentracing_tracing") is self
        return traced_config_of(handler) if is_of_application else self._config

    @overload
    def trace(self, method: Method, /) -> Method: ...
    @overload
    def trace(self, attributes: Iterable[str], /) -> Callable[[Method], Method]: ...
    @overload
    def trace(self, *attributes: str) -> Callable[[Method], Method]: ...
    def trace(self, *arguments: Any) -> Any:
        """Decorate a method of a handler (``get``, ``post``, ...): each request that reaches it gets a span.

        Use it bare, with the names of request attributes to set as tags, or with a list of names. The method may be
        plain, ``async def`` or a ``gen.coroutine``; the decorator may stand above or below others. ``init_tracing`` is
        not needed. Where every request is traced already, it opens no second span but adds the attributes.

        The span starts when the method is called and ends when the response is finished, after ``on_finish``.

        .. code-block:: python

            class Story(RequestHandler):
                @tracing.trace("uri", "method")
                async def get(self): ...

        :param arguments: the method; or names of attributes of ``HTTPServerRequest``, or one list of them. They are
            added to ``traced_attributes``.
        :return: the method, a coroutine function if it was one; or, of names, the decorator.
        :raises TypeError: what are to be names are none, or what is decorated is a class; when called, if it is not a
            method of a ``RequestHandler``.
        :raises ValueError: a request has no attribute of that name.
        """
        return _trace(self._config_for, self.options.traced_attributes, arguments)


@overload
def trace(method: Method, /) -> Method: ...
@overload
def trace(attributes: Iterable[str], /) -> Callable[[Method], Method]: ...
@overload
def trace(*attributes: str) -> Callable[[Method], Method]: ...
def trace(*arguments: Any) -> Any:
    """:meth:`TornadoTracing.trace`, with the tracer of the handler's Application.

    That is the one in its settings, else the one given to ``init_tracing``, else :func:`opentracing.global_tracer`.
    """
    return _trace(traced_config_of, (), arguments)


def _trace(config_for: _ConfigFor, attributes: tuple[str, ...], arguments: tuple[Any, ...]) -> Any:
    if len(arguments) == 1 and callable(arguments[0]):
        return _decorate(arguments[0], config_for, attributes)
    if len(arguments) == 1 and not isinstance(arguments[0], str):
        arguments = arguments[0]
    try:
        attributes += attribute_names(arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"@trace: the attributes {error}") from None
    return lambda method: _decorate(method, config_for, attributes)


def _decorate(method: Callable[..., Any], config_for: _ConfigFor, attributes: tuple[str, ...]) -> Callable[..., Any]:
    if isinstance(method, type):
        raise TypeError(f"@trace is for methods of a tornado.web.RequestHandler, not for the class {method.__name__}")
    # Here and not at the first call: a request that is already running then would miss the hooks.
    table.SERVER.ensure()

    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def async_wrapper(self: RequestHandler, *args: Any, **kwargs: Any) -> Any:
            state = _traced(self, method, config_for, attributes)
            if state is None or within.known.get()[1] is state:
                return await method(self, *args, **kwargs)
            opened = activate(state)  # a with statement costs as much as a quarter of this
            try:
                return await method(self, *args, **kwargs)
            finally:
                deactivate(opened)

        return async_wrapper

    @functools.wraps(method)
    def wrapper(self: RequestHandler, *args: Any, **kwargs: Any) -> Any:
        state = _traced(self, method, config_for, attributes)
        if state is None:
            return method(self, *args, **kwargs)
        traced = active(state)
        with traced:
            result = method(self, *args, **kwargs)
        # What a decorator returns may only be run later: it needs the scope then.
        if inspect.isgenerator(result):
            return _iterate_in(traced, result)
        if inspect.isawaitable(result) and not asyncio.isfuture(result):
            return traced.wrap(result)
        return result

    return wrapper


def _iterate_in(traced: active, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    with traced:
        return (yield from generator)


def _start(
    config: TracingConfig, handler: RequestHandler, attributes: tuple[str, ...], is_seen: bool
) -> RequestSpan | None:
    options, request, handler_class = config.options, handler.request, type(handler)
    name = handler_class.__name__
    if options.operation_name is not None:
        name = routes.operation_name(config, handler.application, request, handler_class, handler)
    state = start_request_span(config, request, name, attributes)
    if state is None:
        return None
    if options.inject_response_headers or options.traced_response_headers:
        response.watch_headers(state, request)
    state.executing = is_seen and handler_class._execute is EXECUTE.replacement
    if not state.executing:
        response.watch_end(state, handler)
    elif (
        not isinstance(handler, WebSocketHandler)  # of which the task goes on with what is no part of the request
        and is_in_execute()
        and lifecycle.begin_with(state.tracer, state.span)
    ):
        # Active until the task is over, which spares all that is yet to come an activation.
        within.known.set((config, state))
    if options.start_span_cb is not None:
        started(state, request)
    return state


def _traced(
    handler: RequestHandler, method: Callable[..., Any], config_for: _ConfigFor, attributes: tuple[str, ...]
) -> RequestSpan | None:
    """The request's span, which is started if there is none; ``None`` where there is to be none."""
    if not isinstance(handler, RequestHandler):
        raise TypeError(
            f"@trace is for methods of a tornado.web.RequestHandler, but {method.__qualname__} was called "
            f"with {handler!r} first"
        )
    # A request that is under way when the hooks are put in place is not seen to its end by that of _execute.
    is_seen = table.SERVER.ensure()
    state: RequestSpan | None = getattr(handler.request, SPAN, None)
    if state is None:
        config = config_for(handler)
        if (config.filters_requests or process.has_excluded) and excludes(config, handler.request):
            return request_span(handler.request)
        state = _start(config, handler, attributes, is_seen)
    elif attributes and not state.finished:
        lifecycle.set_tags(state.span, attribute_tags(handler.request, attributes, state.options))
    return state
