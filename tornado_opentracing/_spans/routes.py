"""Which route a request took, as a template (``/story/{story_id}``), and what its span is called."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from tornado.web import Application, ErrorHandler, RequestHandler

from tornado_opentracing import _redaction
from tornado_opentracing._guard import report

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.config import TracingConfig

_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")

#: Where the pattern that was matched is kept.
PATTERN = "_tornado_opentracing_route"


def route_of(request: HTTPServerRequest) -> str | None:
    """The template of the route that the request took; ``None`` where no path pattern was matched."""
    pattern = getattr(request, PATTERN, None)
    return None if pattern is None else template(pattern)


def forget(request: HTTPServerRequest) -> None:
    """The request is about to be routed anew."""
    if hasattr(request, PATTERN):
        delattr(request, PATTERN)


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
    route = route_of(request)
    if route is None and handler_class in (ErrorHandler, application.settings.get("default_handler_class")):
        return f"{method} not_found"
    if handler_class.prepare is RequestHandler.prepare and lacks_method(request, handler_class):
        return f"{method} method_not_allowed"
    return f"{method} {route or handler_class.__name__}"


def lacks_method(request: HTTPServerRequest, handler_class: type[RequestHandler]) -> bool:
    """Whether the handler has no method for the request: then Tornado answers 405, unless ``prepare`` answers first."""
    method = getattr(handler_class, (request.method or "").lower(), None)
    return method is RequestHandler._unimplemented_method


@functools.lru_cache(maxsize=4096)
def template(pattern: str) -> str:
    r"""The template form of a path pattern: each group becomes its name, or its number, in braces.

    ``/story/(?P<story_id>\d+)$`` gives ``/story/{story_id}``, ``/a/(\d+)/(\w+)`` gives ``/a/{0}/{1}``. What Tornado
    cannot reverse (alternatives, optional parts) stays in the template as it is written. This never raises.
    """
    stripped = pattern.removesuffix("$")
    is_escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
    end = len(pattern if is_escaped else stripped)
    result: list[str] = []
    groups = 0
    position = 1 if pattern.startswith("^") else 0
    while position < end:
        character = pattern[position]
        if character == "\\":
            # An escaped letter is a class or a control character, an escaped sign stands for itself.
            following = pattern[position + 1 : position + 2]
            result.append(following if not following.isalnum() else character + following)
            position += 2
        elif character == "[":
            after = _after_class(pattern, position)
            result.append(pattern[position:after])
            position = after
        elif character == "(" and _is_capturing(pattern, position):
            name = _NAMED_GROUP.match(pattern, position)
            result.append(f"{{{name[1] if name else groups}}}")
            after = _after_group(pattern, position)
            groups += 1 + _groups_in(pattern[position + 1 : after])
            position = after
        else:
            result.append(character)
            position += 1
    return "".join(result)


def _is_capturing(pattern: str, position: int) -> bool:
    return pattern[position + 1 : position + 2] != "?" or pattern[position + 1 : position + 4] == "?P<"


def _groups_in(pattern: str) -> int:
    """How many capturing groups begin in part of a pattern."""
    count = position = 0
    while position < len(pattern):
        if pattern[position] == "[":
            position = _after_class(pattern, position)
            continue
        count += pattern[position] == "(" and _is_capturing(pattern, position)
        position += 2 if pattern[position] == "\\" else 1
    return count


def _after_class(pattern: str, position: int) -> int:
    """Where a character class that begins at a position is over."""
    position += 1
    if pattern[position : position + 1] == "^":
        position += 1
    first = True
    while position < len(pattern) and (first or pattern[position] != "]"):
        position += 2 if pattern[position] == "\\" else 1
        first = False
    return position + 1


def _after_group(pattern: str, position: int) -> int:
    """Where a group that begins at a position is over."""
    depth = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "[":
            position = _after_class(pattern, position)
            continue
        if character == "\\":
            position += 1
        depth += (character == "(") - (character == ")")
        position += 1
        if depth == 0:
            break
    return position
