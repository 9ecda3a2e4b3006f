# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``RuleRouter.find_handler``: the rule that a request was matched by is remembered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tornado import routing
from tornado.routing import PathMatches, Rule, RuleRouter
from tornado.web import Application, RequestHandler
from tornado.web import _HandlerDelegate as HandlerDelegate

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._spans.keeping import keep
from tornado_opentracing._spans.routes import PATTERN

if TYPE_CHECKING:
    from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest

_NOTHING = object()
_ROUTERS = (RuleRouter, Application)


def _find_handler_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    # A proxy, as the library wrapt makes, has its function's globals.
    is_tornados = type(original) is FunctionType and original.__globals__ is vars(routing)

    @functools.wraps(original)
    def find_handler(self: RuleRouter, request: HTTPServerRequest, **kwargs: Any) -> HTTPMessageDelegate | None:
        if not layer.enabled:
            return original(self, request, **kwargs)  # type: ignore[no-any-return]
        rule: Rule | None
        delegate: HTTPMessageDelegate | None = None
        if is_tornados:
            # Tornado's own loop (the same from 6.0 to 6.6), told which rule it stopped at: to find that out afterwards
            # means to match every pattern a second time.
            for rule in self.rules:
                target_params = rule.matcher.match(request)
                if target_params is not None:
                    if rule.target_kwargs:
                        target_params["target_kwargs"] = rule.target_kwargs
                    delegate = self.get_target_delegate(rule.target, request, **target_params)
                    if delegate is not None:
                        break
            else:
                return None
        else:
            delegate = original(self, request, **kwargs)
            rule = None if delegate is None else _rule_of(self, request, delegate)
            if rule is None:
                return delegate
        # Keep the innermost path pattern: it was matched against the whole path, and is the first to get here, as that
        # of the handler's class always is. Where nothing matched in a router, it answers with a 404 of its own.
        target = rule.target
        if (
            (type(delegate) is HandlerDelegate and delegate.handler_class is target)
            or (inner := getattr(request, PATTERN, _NOTHING)) is None
            or (inner is _NOTHING and not isinstance(target, _ROUTERS))
        ):
            matcher = rule.matcher
            pattern = matcher.regex.pattern if isinstance(matcher, PathMatches) else None
            # Not by way of request.__dict__, which makes every later look at an attribute dearer.
            try:
                request._tornado_opentracing_route = pattern  # type: ignore[attr-defined]
            except Exception:
                keep(request, PATTERN, pattern)
        return delegate

    return find_handler


def _rule_of(router: RuleRouter, request: HTTPServerRequest, delegate: HTTPMessageDelegate) -> Rule | None:
    """The rule that somebody else's function found the handler by, which does not say so: all are matched once more."""
    try:
        for rule in router.rules:
            target = rule.target
            if inspect.isclass(target) and issubclass(target, RequestHandler):
                is_candidate = target is getattr(delegate, "handler_class", None)
            else:
                # One that found nothing has left the request to the next rule.
                is_candidate = not isinstance(target, _ROUTERS) or hasattr(request, PATTERN)
            if is_candidate and rule.matcher.match(request) is not None:
                return rule
    except Exception:
        report("looking for the route of a request")
    return None


HOOKS = [Patch(RuleRouter, "find_handler", _find_handler_hook)]
