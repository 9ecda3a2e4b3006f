"""What is done at ``AsyncHTTPClient.fetch``: one span for each logical fetch, a chain of redirects being one."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentracing import tags
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from tornado_opentracing import _spans
from tornado_opentracing._config import TracingConfig, client_config
from tornado_opentracing._patching import Layer, Patch

if TYPE_CHECKING:
    from asyncio import Future


class FetchSpan(_spans.SpanLifecycle):
    """The span of one fetch."""

    __slots__ = ()

    answers = (HTTPClientError,)


def _fetch_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    @functools.wraps(original)
    def fetch(
        self: AsyncHTTPClient, request: str | HTTPRequest, raise_error: bool = True, **kwargs: Any
    ) -> Future[HTTPResponse]:
        config = client_config() if layer.enabled else None
        # simple_httpclient follows a redirect by another fetch: that one belongs to the span there is.
        if config is None or hasattr(request, "original_request"):
            return original(self, request, raise_error, **kwargs)  # type: ignore[no-any-return]
        own = _private_copy(request, kwargs)
        state = _start(config, own, request, kwargs)
        if state is None:
            return original(self, request, raise_error, **kwargs)  # type: ignore[no-any-return]
        try:
            # Without a request of its own: arguments that Tornado is about to refuse, in its own words.
            future = original(self, request, raise_error, **kwargs) if own is None else original(self, own, raise_error)
        except BaseException as error:
            state.fail(error)
            state.finish(None)
            raise
        try:
            future.add_done_callback(functools.partial(_done, state, request))
        except Exception:
            _spans.report("watching a fetch")
            state.finish(None)
        return future  # type: ignore[no-any-return]

    return fetch


def _private_copy(request: str | HTTPRequest, kwargs: dict[str, Any]) -> HTTPRequest | None:
    """The request for this fetch alone, or ``None`` where the arguments make none.

    ``fetch`` sets ``request.headers`` on the object it is given, and headers are read when the connection is made: two
    concurrent fetches of one ``HTTPRequest`` would both send the headers that were injected last.
    """
    try:
        if not isinstance(request, HTTPRequest):
            own = HTTPRequest(request, **kwargs)
        elif kwargs:
            return None
        else:
            own = copy.copy(request)
        own.headers = HTTPHeaders(own.headers)
        return own
    except Exception:
        return None


def _start(config: TracingConfig, own: HTTPRequest | None, request: Any, kwargs: dict[str, Any]) -> FetchSpan | None:
    url, method = (own.url, own.method) if own is not None else (request, kwargs.get("method", "GET"))
    if isinstance(request, HTTPRequest):
        url, method = request.url, request.method
    tracer = config.tracer
    span_tags = {
        tags.COMPONENT: "tornado",
        tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT,
        tags.HTTP_METHOD: method,
        tags.HTTP_URL: _spans.without_user_info(str(url)),
    }
    span = _spans.start(tracer, str(method), span_tags, parent=None, is_root=False)
    if span is None:
        return None
    if own is not None:
        _spans.call_back(config.options.start_span_cb, span, own)
        _spans.inject(tracer, span, own.headers)
    return FetchSpan(span)


def _done(state: FetchSpan, request: Any, future: Future[HTTPResponse]) -> None:
    """Finish the span; this runs before the caller can see the outcome, as the first of the future's callbacks."""
    if future.cancelled():
        state.fail(asyncio.CancelledError())
        state.finish(None)
        return
    # Not future.exception(), which would silence asyncio's warning of an exception that nobody retrieved.
    error = future._exception
    response = future.result() if error is None else getattr(error, "response", None)
    if isinstance(response, HTTPResponse):
        error = error or response.error
        if isinstance(request, HTTPRequest):
            response.request = request
    if error is not None:
        state.fail(error)
    state.finish(getattr(error if response is None else response, "code", None))


HOOKS = [Patch(AsyncHTTPClient, "fetch", _fetch_hook)]


def install_hooks() -> None:
    """Put the hook in place; it does nothing for a fetch that is not to be traced."""
    for hook in HOOKS:
        hook.apply()
