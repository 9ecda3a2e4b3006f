"""What is done at ``AsyncHTTPClient.fetch``: one span for each logical fetch, a chain of redirects being one."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._settings.current import client_config
from tornado_opentracing._spans.fetch import FETCH, FetchSpan, fetched, start_fetch_span

if TYPE_CHECKING:
    from asyncio import Future


def _fetch_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def fetch(
        self: AsyncHTTPClient, request: str | HTTPRequest, raise_error: bool = True, **kwargs: Any
    ) -> Future[HTTPResponse]:
        config = client_config() if layer.enabled else None
        if config is None or (isinstance(request, HTTPRequest) and _is_redirect(request)):
            return original(self, request, raise_error, **kwargs)  # type: ignore[no-any-return]
        own = private_copy(request, kwargs)
        if own is not None:
            state = start_fetch_span(config, own, own.url, own.method)
        else:
            # Arguments that Tornado is about to refuse, in its own words.
            state = start_fetch_span(config, None, getattr(request, "url", request), kwargs.get("method", "GET"))
        if state is None:
            return original(self, request, raise_error, **kwargs)  # type: ignore[no-any-return]
        try:
            if own is None:
                future = original(self, request, raise_error, **kwargs)
            else:
                own._tornado_opentracing = state  # type: ignore[attr-defined]
                if isinstance(request, HTTPRequest):
                    state.request = request
                future = original(self, own, raise_error)
        except BaseException as error:
            state.finish_with_error(error)
            raise
        watch(future, fetched, state)
        return future  # type: ignore[no-any-return]

    return fetch


def _is_redirect(request: HTTPRequest) -> bool:
    """Whether simple_httpclient makes this fetch to follow a redirect: then there is a span, of the first fetch."""
    if not hasattr(request, "original_request"):
        return False
    state = getattr(request, FETCH, None)
    if state is not None:
        state.redirects += 1
    return True


def private_copy(request: str | HTTPRequest, kwargs: dict[str, Any]) -> HTTPRequest | None:
    """The request for this fetch alone, or ``None`` where the arguments make none.

    ``fetch`` sets ``request.headers`` on the object it is given, and headers are read when the connection is made: two
    concurrent fetches of one ``HTTPRequest`` would both send the headers that were injected last.
    """
    try:
        if not isinstance(request, HTTPRequest):
            own = HTTPRequest(request, **kwargs)
            if not kwargs:
                return own
        elif kwargs:
            return None
        else:
            own = _copy(request)
        # Of the caller's kind: Tornado finds what is wrong with a header in a dict later than in HTTPHeaders.
        own.headers = HTTPHeaders(own.headers) if isinstance(own.headers, HTTPHeaders) else dict(own.headers)
    except Exception:
        return None
    # A fetch that waits for a place among max_clients is started by the one that ends, in that one's context.
    for name in ("streaming_callback", "header_callback", "body_producer"):
        callback = getattr(own, name)
        if callback is not None:
            setattr(own, name, _in_context(contextvars.copy_context(), callback))
    return own


def _copy(request: HTTPRequest) -> HTTPRequest:
    if type(request) is not HTTPRequest:
        return copy.copy(request)
    # What copy() does, too, by way of asking how it is to be pickled, which takes ten times as long.
    own = HTTPRequest.__new__(HTTPRequest)
    vars(own).update(vars(request))
    return own


def _in_context(context: contextvars.Context, callback: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(callback):  # which curl_httpclient refuses, so it has to look like one

        @functools.wraps(callback)
        async def run_coroutine(*args: Any) -> Any:
            return await context.run(asyncio.ensure_future, callback(*args))

        return run_coroutine

    @functools.wraps(callback)
    def run(*args: Any) -> Any:
        result = context.run(callback, *args)
        # A coroutine runs in the context of whoever awaits it, a task in the one it was made in.
        return context.run(asyncio.ensure_future, result) if inspect.iscoroutine(result) else result

    return run


def watch(future: Any, done: Callable[[FetchSpan, Any], None], state: FetchSpan) -> None:
    """Call back when the future is done, before the caller's own callbacks."""
    try:
        if future.done():
            done(state, future)
        else:
            future.add_done_callback(functools.partial(done, state))
    except Exception:  # somebody else's fetch, beneath ours, that returns no future
        report("watching a fetch")
        state.finish(None, None)


def _response_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: HTTPResponse, request: HTTPRequest, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, request, *args, **kwargs)
        # Not left to _done: a future that is done already is not waited for, and its callbacks come later.
        state = getattr(self.request, FETCH, None) if layer.enabled else None
        if state is not None and state.request is not None:
            self.request = state.request

    return __init__


HOOKS = [Patch(AsyncHTTPClient, "fetch", _fetch_hook), Patch(HTTPResponse, "__init__", _response_hook)]
