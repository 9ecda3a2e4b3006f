"""What is done at ``AsyncHTTPClient.fetch``: one span for each logical fetch, a chain of redirects being one."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentracing import Tracer as NoopTracer
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from tornado_opentracing import _propagation, _redaction, _spans, _tags
from tornado_opentracing._config import TracingConfig, client_config
from tornado_opentracing._patching import Layer, Patch

if TYPE_CHECKING:
    from asyncio import Future

#: On the private copy, and on the copies of it that simple_httpclient makes for redirects.
_FETCH = "_tornado_opentracing"

REDIRECTS = "http.redirects"
EFFECTIVE_URL = "http.effective_url"


class ClientSpan(_spans.SpanLifecycle):
    """The span of one fetch, or of one WebSocket handshake."""

    answers = (HTTPClientError,)

    redirects: int
    #: The caller's own request, where the caller gave one.
    request: HTTPRequest | None

    def finish_with_error(self, error: BaseException) -> None:
        """Finish the span of a request that got no response."""
        self.fail(error)
        self.finish(getattr(error, "code", None) if isinstance(error, HTTPClientError) else None, error)


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
            state = start(config, own, own.url, own.method)
        else:
            # Arguments that Tornado is about to refuse, in its own words.
            state = start(config, None, getattr(request, "url", request), kwargs.get("method", "GET"))
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
        watch(future, _done, state)
        return future  # type: ignore[no-any-return]

    return fetch


def _is_redirect(request: HTTPRequest) -> bool:
    """Whether simple_httpclient makes this fetch to follow a redirect: then there is a span, of the first fetch."""
    if not hasattr(request, "original_request"):
        return False
    state = getattr(request, _FETCH, None)
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


def start(config: TracingConfig, own: HTTPRequest | None, url: Any, method: Any) -> ClientSpan | None:
    """Start the span of a request and inject it into the private copy."""
    options = config.options
    # Not always by way of the property: to call one is what costs.
    tracer = config.tracer if config.own_tracer is None else config.own_tracer
    # OpenTracing's own tracer keeps nothing, and puts nothing into headers.
    is_kept = type(tracer) is not NoopTracer
    span_tags: dict[str, Any] = {}
    if is_kept:
        try:
            span_tags = _tags.client_tags(own, url, method, options)
        except Exception:
            _spans.report("describing a fetch")
    state = _spans.start(ClientSpan, config, tracer, str(method), span_tags, None, False)
    if state is None:
        return None
    # Not defaults of the class: CPython takes its time to look for what may be either on it or on the instance.
    state.redirects = 0
    state.request = None
    if own is not None:
        try:
            if options.start_span_cb is not None:
                _spans.call_back("start_span_cb", options.start_span_cb, state.span, own)
            if is_kept:
                _propagation.inject(tracer, state.span, own.headers)
        except BaseException:
            state.finish(None, None)
            raise
    return state


def watch(future: Any, done: Callable[[ClientSpan, Any], None], state: ClientSpan) -> None:
    """Call back when the future is done, before the caller's own callbacks."""
    try:
        if future.done():
            done(state, future)
        else:
            future.add_done_callback(functools.partial(done, state))
    except Exception:  # somebody else's fetch, beneath ours, that returns no future
        _spans.report("watching a fetch")
        state.finish(None, None)


def outcome_of(future: Future[Any]) -> BaseException | None:
    """The exception that a future that is done will raise, if any."""
    if future.cancelled():
        return asyncio.CancelledError()
    # Not future.exception(), which would silence asyncio's warning of an exception that nobody retrieved.
    return future._exception


def _done(state: ClientSpan, future: Future[HTTPResponse]) -> None:
    raised = outcome_of(future)
    response = future.result() if raised is None else getattr(raised, "response", None)
    if not isinstance(response, HTTPResponse):
        if raised is not None:
            state.finish_with_error(raised)
        else:
            state.finish(None, None)
        return
    if state.request is not None:
        response.request = state.request
    else:
        # The response is the caller's to copy, to pickle and to keep; the span is not.
        try:  # noqa: SIM105 - suppress() costs as much again
            del response.request._tornado_opentracing  # type: ignore[attr-defined]
        except Exception:  # noqa: S110 - the request of some other client
            pass
    error = raised or response.error
    if error is not None:
        state.fail(error)
    try:
        is_elsewhere = state.redirects or response.effective_url != response.request.url
        if is_elsewhere or state.options.traced_response_headers:
            _spans.set_tags(state.span, _response_tags(state, response))
    except Exception:
        _spans.report("describing a response")
    state.finish(response.code, response if raised is None else raised)


def _response_tags(state: ClientSpan, response: HTTPResponse) -> dict[str, Any]:
    options = state.options
    found: dict[str, Any] = {}
    if state.redirects or response.effective_url != response.request.url:
        found[EFFECTIVE_URL] = _redaction.redact_url(response.effective_url, options.redacted_query_params)
    if state.redirects:
        found[REDIRECTS] = state.redirects
    if options.traced_response_headers:
        names = options.traced_response_headers
        found.update(_tags.header_tags(_tags.RESPONSE_HEADER, response.headers, names, options))
    return found


def _response_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: HTTPResponse, request: HTTPRequest, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, request, *args, **kwargs)
        # Not left to _done: a future that is done already is not waited for, and its callbacks come later.
        state = getattr(self.request, _FETCH, None) if layer.enabled else None
        if state is not None and state.request is not None:
            self.request = state.request

    return __init__


HOOKS = [Patch(AsyncHTTPClient, "fetch", _fetch_hook), Patch(HTTPResponse, "__init__", _response_hook)]
