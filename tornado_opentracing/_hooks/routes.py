"""What is done at ``RuleRouter.find_handler``: the rule that a request was matched by is remembered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado import routing
from tornado.routing import PathMatches, Rule, RuleRouter
from tornado.web import Application, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._spans.routes import PATTERN

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

_NOTHING = object()
_ROUTERS = (RuleRouter, Application)


def _find_handler_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    is_tornados = getattr(original, "__globals__", None) is vars(routing)

    @functools.wraps(original)
    def find_handler(self: RuleRouter, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        if not layer.enabled:
            return original(self, request, **kwargs)  # type: ignore[no-any-return]
        if not is_tornados:
            delegate: HTTPMessageDelegate | None = original(self, request, **kwargs)
            if delegate is not None:
                _look_for_rule(self, request, delegate)
            return delegate
        # Tornado's own loop (the same from 6.0 to 6.6), told which rule it stopped at: to find that out afterwards
        # means to match every pattern a second time.
        for rule in self.rules:
            target_params = rule.matcher.match(request)
            if target_params is not None:
                if rule.target_kwargs:
                    target_params["target_kwargs"] = rule.target_kwargs
                delegate = self.get_target_delegate(rule.target, request, **target_params)
                if delegate is not None:
                    _remember(request, rule, delegate)
                    return delegate
        return None

    return find_handler


def _remember(request: HTTPServerRequest, rule: Rule, delegate: HTTPMessageDelegate) -> None:
    # Keep the innermost path pattern: it was matched against the whole path, and is the first to get here, as that of
    # the handler's class always is. Where nothing matched in a router, it answers with a 404 of its own.
    target = rule.target
    if (
        (type(delegate) is HandlerDelegate and delegate.handler_class is target)
        or (inner := getattr(request, PATTERN, _NOTHING)) is None
        or (inner is _NOTHING and not isinstance(target, _ROUTERS))
    ):
        matcher = rule.matcher
        pattern = matcher.regex.pattern if isinstance(matcher, PathMatches) else None
        # Not by way of request.__dict__, which makes every later look at an attribute dearer.
        request._tornado_opentracing_route = pattern  # type: ignore[attr-defined]


def _look_for_rule(router: RuleRouter, request: HTTPServerRequest, delegate: HTTPMessageDelegate) -> None:
    """Match once more, where somebody else's function found the handler, which does not say by which rule."""
    try:
        for rule in router.rules:
            is_handler = inspect.isclass(rule.target) and issubclass(rule.target, RequestHandler)
            if is_handler and rule.target is not getattr(delegate, "handler_class", None):
                continue
            if rule.matcher.match(request) is not None:
                _remember(request, rule, delegate)
                if is_handler or hasattr(request, PATTERN):
                    return
    except Exception:
        report("looking for the route of a request")


HOOKS = [Patch(RuleRouter, "find_handler", _find_handler_hook)]
