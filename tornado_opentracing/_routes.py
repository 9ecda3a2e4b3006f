"""Which route a request took, as a template: ``/story/{story_id}``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.routing import PathMatches, RuleRouter
from tornado.web import Application, ErrorHandler, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._patching import Layer, Patch

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

_PATTERN = "_tornado_opentracing_route"
_NOTHING = object()
_ROUTERS = (RuleRouter, Application)


def route_of(request: HTTPServerRequest) -> str | None:
    """The template of the route that the request took; ``None`` where no path pattern was matched."""
    pattern = getattr(request, _PATTERN, None)
    return None if pattern is None else template(pattern)


def forget(request: HTTPServerRequest) -> None:
    """The request is about to be routed anew."""
    if hasattr(request, _PATTERN):
        delattr(request, _PATTERN)


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
            name = re.match(r"\(\?P<(\w+)>", pattern[position:])
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


def _find_handler_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    # Tornado's own loop (the same from 6.0 to 6.6), told which rule it stopped at: to find that out afterwards would
    # mean to match every pattern a second time.
    @functools.wraps(original)
    def find_handler(self: RuleRouter, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        if not layer.enabled:
            return original(self, request, **kwargs)  # type: ignore[no-any-return]
        for rule in self.rules:
            matcher = rule.matcher
            target_params = matcher.match(request)
            if target_params is not None:
                if rule.target_kwargs:
                    target_params["target_kwargs"] = rule.target_kwargs
                target = rule.target
                delegate = self.get_target_delegate(target, request, **target_params)
                if delegate is not None:
                    # Keep the innermost path pattern: it was matched against the whole path, and is the first to get
                    # here, as that of the handler's class always is. Where nothing matched in a router, it answers with
                    # a 404 of its own.
                    if (
                        (type(delegate) is HandlerDelegate and delegate.handler_class is target)
                        or (inner := getattr(request, _PATTERN, _NOTHING)) is None
                        or (inner is _NOTHING and not isinstance(target, _ROUTERS))
                    ):
                        pattern = matcher.regex.pattern if isinstance(matcher, PathMatches) else None
                        # Not by way of request.__dict__, which makes every later look at an attribute dearer.
                        request._tornado_opentracing_route = pattern  # type: ignore[attr-defined]
                    return delegate
        return None

    return find_handler


HOOKS = [Patch(RuleRouter, "find_handler", _find_handler_hook)]
