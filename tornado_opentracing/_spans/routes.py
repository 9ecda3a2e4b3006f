# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which route a request took, as a template (``/story/{story_id}``), and what its span is called."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tornado.web import Application, ErrorHandler, RequestHandler

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report
from tornado_opentracing._spans.templates import is_catch_all, template

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.config import TracingConfig

# What a handler has for a method that it does not have; others may replace or wrap it.
_UNIMPLEMENTED: Any = inspect.unwrap(RequestHandler._unimplemented_method)

#: Where the pattern that was matched is kept.
PATTERN = "_tornado_opentracing_route"


def route_of(request: HTTPServerRequest) -> str | None:
    """The template of the route that the request took; ``None`` where no path pattern was matched."""
    try:  # nearly all have one, and then this costs less than to ask for it
        pattern = request._tornado_opentracing_route  # type: ignore[attr-defined]
    except AttributeError:
        return None
    return None if pattern is None else template(pattern)


def telling_route_of(request: HTTPServerRequest) -> str | None:
    """The same, but ``None`` for one that every path takes, too."""
    pattern = getattr(request, PATTERN, None)
    return None if pattern is None or is_catch_all(pattern) else template(pattern)


def forget(request: HTTPServerRequest) -> None:
    """The request is about to be routed anew."""
    if hasattr(request, PATTERN):
        object.__delattr__(request, PATTERN)


def operation_name(
    config: TracingConfig,
    application: Application,
    request: HTTPServerRequest,
    handler_class: type[RequestHandler],
    handler: RequestHandler | None,
) -> str:
    """What the span of a request is called; a callback of the application's has a say where there is a handler."""
    choice = config.options.operation_name
    if not callable(choice):
        by_route = choice == "route"
        return operation_by_route(request, application, handler_class) if by_route else handler_class.__name__
    if handler is not None:
        try:
            name = choice(handler)
            if not isinstance(name, str):
                raise TypeError(f"operation_name must return a string, not {name!r}")
            return _redaction.clip(name)
        except Exception:
            report("operation_name")
    return handler_class.__name__


def operation_by_route(
    request: HTTPServerRequest, application: Application, handler_class: type[RequestHandler]
) -> str:
    """An operation name of low cardinality: the method and the route's template, or what stands for it."""
    method = request.method or ""
    if method not in handler_class.SUPPORTED_METHODS:
        known = method if method in RequestHandler.SUPPORTED_METHODS else "_OTHER"
        return f"{known} method_not_allowed"
    pattern: str | None = getattr(request, PATTERN, None)
    if pattern is None and handler_class in (ErrorHandler, application.settings.get("default_handler_class")):
        return f"{method} not_found"
    if handler_class.prepare is RequestHandler.prepare and _method(request, handler_class) is _UNIMPLEMENTED:
        return f"{method} method_not_allowed"
    return f"{method} {telling_route_of(request) or handler_class.__name__}"


def name_by_answer(
    request: HTTPServerRequest, handler_class: type[RequestHandler], status: int, error: BaseException | None
) -> str | None:
    """What a request is called for a 404 or 405 that only its handler could tell, by ``operation_name="route"``.

    :param error: the exception that was answered, if there was one.
    """
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        is_unimplemented = inspect.unwrap(_method(request, handler_class)) is _UNIMPLEMENTED
        return f"{request.method} method_not_allowed" if is_unimplemented or _is_raised_by_tornado(error) else None
    pattern: str | None = getattr(request, PATTERN, None)
    return f"{request.method} not_found" if pattern is not None and is_catch_all(pattern) else None


def _method(request: HTTPServerRequest, handler_class: type[RequestHandler]) -> Any:
    return getattr(handler_class, (request.method or "").lower(), None)


def _is_raised_by_tornado(error: BaseException | None) -> bool:
    """Whether it comes out of the method that a handler has where it has none, whatever that is wrapped in."""
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code is _UNIMPLEMENTED.__code__
