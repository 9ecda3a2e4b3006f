"""The span of a fetch, from the call to its response; a chain of redirects is one fetch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from opentracing import Tracer as NoopTracer
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse

from tornado_opentracing import _redaction
from tornado_opentracing._guard import ask, call_back, report
from tornado_opentracing._spans import lifecycle, propagation
from tornado_opentracing._spans.tags import RESPONSE_HEADER, client_tags, header_tags

if TYPE_CHECKING:
    from asyncio import Future

    from tornado_opentracing._settings.config import TracingConfig

#: Where it is kept: on the private copy, and on the copies of it that simple_httpclient makes for redirects.
FETCH = "_tornado_opentracing"

REDIRECTS = "http.redirects"
EFFECTIVE_URL = "http.effective_url"


class FetchSpan(lifecycle.SpanLifecycle):
    """The span of one fetch, or of one WebSocket handshake."""

    answers = (HTTPClientError,)
    is_client = True

    redirects: int
    #: The caller's own request, where the caller gave one.
    request: HTTPRequest | None

    def finish_with_error(self, error: BaseException) -> None:
        """Finish the span of a request that got no response."""
        self.fail(error)
        self.finish(getattr(error, "code", None) if isinstance(error, HTTPClientError) else None, error)


def start_fetch_span(config: TracingConfig, own: HTTPRequest | None, url: Any, method: Any) -> FetchSpan | None:
    """Start the span of a request and inject it into the private copy; ``None`` if it is to have none."""
    options = config.options
    is_wanted = options.client_filter
    if is_wanted is not None and own is not None and not ask("client_filter", is_wanted, own, otherwise=True):
        return None
    # Not always by way of the property: to call one is what costs.
    tracer = config.tracer if config.own_tracer is None else config.own_tracer
    # OpenTracing's own tracer keeps nothing, and puts nothing into headers.
    is_kept = type(tracer) is not NoopTracer
    span_tags: dict[str, Any] = {}
    if is_kept:
        try:
            span_tags = client_tags(own, url, method, options)
        except Exception:
            report("describing a fetch")
    state = lifecycle.start(FetchSpan, config, tracer, str(method), span_tags, None, False)
    if state is None:
        return None
    # Not defaults of the class: CPython takes its time to look for what may be either on it or on the instance.
    state.redirects = 0
    state.request = None
    if own is not None:
        try:
            if options.start_span_cb is not None:
                call_back("start_span_cb", options.start_span_cb, state.span, own)
            may_know = options.propagation_filter
            if is_kept and (may_know is None or ask("propagation_filter", may_know, own, otherwise=False)):
                propagation.inject(tracer, state.span, own.headers)
            elif is_kept:
                propagation.withhold(tracer, state.span, own.headers)
        except BaseException:
            state.finish(None, None)
            raise
    return state


def outcome_of(future: Future[Any]) -> BaseException | None:
    """The exception that a future that is done will raise, if any."""
    if future.cancelled():
        return asyncio.CancelledError()
    # Not future.exception(), which would silence asyncio's warning of an exception that nobody retrieved.
    return future._exception


def fetched(state: FetchSpan, future: Future[HTTPResponse]) -> None:
    """Finish the span with what a future that is done brought."""
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
            lifecycle.set_tags(state.span, _response_tags(state, response))
    except Exception:
        report("describing a response")
    state.finish(response.code, response if raised is None else raised)


def _response_tags(state: FetchSpan, response: HTTPResponse) -> dict[str, Any]:
    options = state.options
    found: dict[str, Any] = {}
    if state.redirects or response.effective_url != response.request.url:
        found[EFFECTIVE_URL] = _redaction.redact_url(response.effective_url, options.redacted_query_params)
    if state.redirects:
        found[REDIRECTS] = state.redirects
    if options.traced_response_headers:
        names = options.traced_response_headers
        found.update(header_tags(RESPONSE_HEADER, response.headers, names, options))
    return found
