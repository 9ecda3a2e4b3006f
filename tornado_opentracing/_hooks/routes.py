"""What is done at ``RuleRouter.find_handler``: the rule that a request was matched by is remembered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.routing import PathMatches, RuleRouter
from tornado.web import Application
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._spans.routes import PATTERN

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

_NOTHING = object()
_ROUTERS = (RuleRouter, Application)


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
                        or (inner := getattr(request, PATTERN, _NOTHING)) is None
                        or (inner is _NOTHING and not isinstance(target, _ROUTERS))
                    ):
                        pattern = matcher.regex.pattern if isinstance(matcher, PathMatches) else None
                        # Not by way of request.__dict__, which makes every later look at an attribute dearer.
                        request._tornado_opentracing_route = pattern  # type: ignore[attr-defined]
                    return delegate
        return None

    return find_handler


HOOKS = [Patch(RuleRouter, "find_handler", _find_handler_hook)]
