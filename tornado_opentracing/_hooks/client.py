# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``AsyncHTTPClient.fetch``: one span for each logical fetch, a chain of redirects being one.

What lies beneath is given what the caller gave, in the form in which it was given, with a private copy in place of the
caller's ``HTTPRequest``. Tornado's own ``fetch`` is given such a copy for a URL, too, for nobody else can tell, and it
is how the span is found again; somebody else's is given the URL, and the headers and callbacks among its arguments.
"""

from __future__ import annotations

import functools
import inspect
from asyncio import Future
from collections.abc import Callable
from types import FunctionType
from typing import Any

from tornado import httpclient
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse, _RequestProxy

from tornado_opentracing._hooks import callbacks, private_request
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._hooks.watching import ended, fetched, watched
from tornado_opentracing._settings.config import TracingConfig
from tornado_opentracing._settings.current import client_config
from tornado_opentracing._spans.fetch import FETCH, FetchSpan, start_fetch_span

Args = tuple[Any, ...]
Kwargs = dict[str, Any]
#: The span of a fetch, and the arguments for what lies beneath.
Sending = tuple[FetchSpan, Args, Kwargs]

#: The arguments of ``fetch`` that are none of ``HTTPRequest``.
_OF_FETCH = frozenset(("request", "raise_error"))
_OF_REQUEST = frozenset(inspect.signature(HTTPRequest).parameters)


def _fetch_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    is_tornados = type(original) is FunctionType and original.__globals__ is vars(httpclient)
    begin = _begin if is_tornados else _begin_above_others

    @functools.wraps(original)
    def fetch(self: AsyncHTTPClient, /, *args: Any, **kwargs: Any) -> Any:
        sending = begin(layer, args, kwargs)
        if sending is None:
            return original(self, *args, **kwargs)
        state, args, kwargs = sending
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            ended(state, error, None)
            raise
        if type(result) is not Future:
            return watched(state, result)
        if result.done():
            fetched(state, result)
        else:
            result.add_done_callback(functools.partial(fetched, state))
        return result

    @functools.wraps(original)
    async def fetch_coroutine(self: AsyncHTTPClient, /, *args: Any, **kwargs: Any) -> Any:
        sending = begin(layer, args, kwargs)
        if sending is None:
            return await original(self, *args, **kwargs)
        state, args, kwargs = sending
        try:
            result = await original(self, *args, **kwargs)
        except BaseException as error:
            ended(state, error, None)
            raise
        ended(state, None, result)
        return result

    return fetch_coroutine if inspect.iscoroutinefunction(original) else fetch


def _begin(layer: Layer, args: Args, kwargs: Kwargs) -> Sending | None:
    """Start the span of a fetch for which Tornado's own ``fetch`` is called; ``None`` if it has none."""
    if not layer.enabled or not (args or kwargs):
        return None
    config = client_config()
    request: Any = args[0] if args else kwargs.get("request")
    if type(request) is not str and isinstance(request, HTTPRequest):  # which takes its time to say no
        return _begin_request(config, request, args, kwargs, is_tornados=True)
    if config is None:
        return None
    own: HTTPRequest | None
    if kwargs:
        own = private_request.made_of(request, {name: kwargs[name] for name in kwargs if name not in _OF_FETCH})
        if own is None:
            return _begin_without_copy(config, request, kwargs.get("method", "GET"), args, kwargs)
    else:
        own = HTTPRequest(request)
    state = start_fetch_span(config, own, own.url, own.method, is_tornados=True)
    if state is None:
        return None
    if kwargs:
        state.callbacks = {name: kwargs[name] for name in callbacks.NAMES if name in kwargs}
        kwargs = {name: kwargs[name] for name in kwargs if name in _OF_FETCH}
    if not args:
        kwargs["request"] = own
    return state, (own, *args[1:]) if len(args) > 1 else args and (own,), kwargs


def _begin_above_others(layer: Layer, args: Args, kwargs: Kwargs) -> Sending | None:
    """The same where somebody else's ``fetch`` is called, which may take and do more than Tornado's."""
    if not layer.enabled or not (args or kwargs):
        return None
    config = client_config()
    request: Any = args[0] if args else kwargs.get("request")
    if isinstance(request, HTTPRequest):
        return _begin_request(config, request, args, kwargs, is_tornados=False)
    if config is None:
        return None
    given = {name: kwargs[name] for name in kwargs if name in _OF_REQUEST}
    own = private_request.made_of(request, given)
    if own is None:
        return _begin_without_copy(config, request, kwargs.get("method", "GET"), args, kwargs)
    state = start_fetch_span(config, own, own.url, own.method)
    if state is None:
        return None
    replaced = {name: getattr(own, name) for name in callbacks.NAMES if given.get(name) is not None}
    if own.headers != (given.get("headers") or {}):
        replaced["headers"] = own.headers
    return state, args, {**kwargs, **replaced}


def _begin_request(
    config: TracingConfig | None, request: HTTPRequest, args: Args, kwargs: Kwargs, *, is_tornados: bool
) -> Sending | None:
    if config is None or _is_redirect(request):
        private_request.forget_injected(request)
        return None
    # Further arguments Tornado is about to refuse, in its own words.
    is_refused = is_tornados and not _OF_FETCH.issuperset(kwargs)
    own = None if is_refused else private_request.copy_of(request)
    if own is None:
        url, method = getattr(request, "url", ""), getattr(request, "method", "")
        return _begin_without_copy(config, url, method, args, kwargs)
    before = private_request.shown(own.headers)
    state = start_fetch_span(config, own, own.url, own.method, is_tornados=is_tornados)
    if state is None:
        private_request.forget_injected(request)
        return None
    private_request.send_for(request, before, state, is_tornados=is_tornados)
    return (state, (own, *args[1:]), kwargs) if args else (state, args, {**kwargs, "request": own})


def _begin_without_copy(config: TracingConfig, url: Any, method: Any, args: Args, kwargs: Kwargs) -> Sending | None:
    state = start_fetch_span(config, None, url, method)
    return None if state is None else (state, args, kwargs)


def _is_redirect(request: HTTPRequest) -> bool:
    """Whether simple_httpclient makes this fetch to follow a redirect: then there is a span, of the first fetch."""
    original = vars(request).get("original_request")
    if original is None:
        return False
    while isinstance(original, _RequestProxy):
        original = original.request
    state = vars(original).get(FETCH)
    if state is not None:
        state.redirects += 1
    return True


def _response_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: HTTPResponse, /, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        if not layer.enabled:
            return
        # Not left to the future's callback: one that is done already is not waited for, and its callbacks come later.
        holder: Any = self
        while type(holder.request) is _RequestProxy:  # isinstance() costs more
            holder = holder.request
        request = holder.request
        try:  # not by getattr(), to which a mock answers
            attributes = request.__dict__
        except AttributeError:
            return
        if FETCH not in attributes:
            return
        state: Any = attributes[FETCH]
        if state is not None and state.own is request and state.request is not None:
            private_request.hand_back(state)
            holder.request = state.request
            return
        # The response is the caller's to copy, to pickle and to keep; the span is not.
        del attributes[FETCH]
        if state is not None and state.own is request and (state.injected or state.callbacks):
            private_request.give(request, state)

    return __init__


HOOKS = [Patch(AsyncHTTPClient, "fetch", _fetch_hook), Patch(HTTPResponse, "__init__", _response_hook)]
