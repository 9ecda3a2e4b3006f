# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The span of a fetch, from the call to its response; a chain of redirects is one fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from opentracing import Tracer as NoopTracer
from opentracing import tags
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse

from tornado_opentracing import _redaction
from tornado_opentracing._guard import ask, call_back, report
from tornado_opentracing._settings.config import process
from tornado_opentracing._spans import lifecycle, propagation
from tornado_opentracing._spans.tags import RESPONSE_HEADER, client_tags, header_tags
from tornado_opentracing._spans.terms import terms

if TYPE_CHECKING:
    from tornado_opentracing._settings.config import TracingConfig
    from tornado_opentracing._settings.measuring import Metrics

REDIRECTS = "http.redirects"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
EFFECTIVE_URL = "http.effective_url"

#: Where it is kept: in the ``__dict__`` of the private copy, and of what is copied from that to follow a redirect.
FETCH = "_tornado_opentracing"

_NOTHING: Mapping[str, Any] = {}


class FetchSpan(lifecycle.SpanLifecycle):
    """The span of one fetch, or of one WebSocket handshake, and the request that is sent for it.

    :func:`start_fetch_span` makes it; what is said of the caller's request, whoever sends the copy sets.
    """

    answers = (HTTPClientError,)
    is_client = True

    url: Any
    redirects: int
    #: The private copy that is sent, and the headers that were injected into it.
    own: HTTPRequest | None
    injected: Mapping[str, str]
    #: The caller's own request, where the caller gave one; what of the copy it has, to tell what is new.
    request: HTTPRequest | None
    headers: Any
    attributes: dict[str, Any] | None
    #: Names of headers that are not the caller's: ``start_span_cb`` changed them, or they carried another trace.
    changed: Collection[str]
    #: The caller's own callbacks, where the caller gave no request.
    callbacks: Mapping[str, Any]

    def leave(self) -> None:
        """Leave the private copy: it may be the caller's to copy, to pickle and to keep; the span is not."""
        if self.own is not None:
            self.own.__dict__.pop(FETCH, None)

    def finish_with_error(self, error: BaseException) -> None:
        """Finish the span of a request that got no response."""
        self.leave()
        self.fail(error)
        self.finish(_status(error) if isinstance(error, HTTPClientError) else None, error)

    def finish_with(self, error: BaseException | None, result: Any) -> None:
        """Finish the span with what the fetch brought: an exception, or else whatever it returned."""
        response = result if error is None else response_of(error)
        kind = type(response)
        if kind is not HTTPResponse and not issubclass(kind, HTTPResponse):  # isinstance() is what a mock can be
            if error is None:
                self.leave()
                self.finish(_status(result), result)
            else:
                self.finish_with_error(error)
            return
        code = None
        try:
            code = response.code
            failure = error or response.error
            if failure is not None and isinstance(failure, BaseException):
                self.fail(failure)
            if self.redirects or response.effective_url != self.url or self.options.traced_response_headers:
                lifecycle.set_tags(self.span, self._response_tags(response))
            if 300 <= code < 400 and self._is_failed_redirect(response):
                lifecycle.set_tags(self.span, {tags.HTTP_STATUS_CODE: code, tags.ERROR: True})
        except Exception:
            report("describing a response")
        self.finish(code if isinstance(code, int) else None, response if error is None else error)

    def _is_failed_redirect(self, response: HTTPResponse) -> bool:
        """Whether one more redirect would have been followed, had it been allowed: to OpenTelemetry, an error."""
        if self.own is None or not terms[type(self.tracer)].describe_fetch:
            return False
        is_followed = self.redirects > 0 or (self.own.max_redirects == 0 and self.own.follow_redirects is not False)
        return is_followed and response.code in _REDIRECTS and "Location" in response.headers

    def _response_tags(self, response: HTTPResponse) -> dict[str, Any]:
        options = self.options
        found: dict[str, Any] = {}
        url = response.effective_url
        if isinstance(url, str) and (self.redirects or url != self.url):
            found[EFFECTIVE_URL] = _redaction.redact_url(url, options.redacted_query_params)
        if self.redirects:
            found[REDIRECTS] = self.redirects
        if options.traced_response_headers:
            names = options.traced_response_headers
            found.update(header_tags(RESPONSE_HEADER, response.headers, names, options))
        return found


def start_fetch_span(
    config: TracingConfig, own: HTTPRequest | None, url: Any, method: Any, *, is_tornados: bool = False
) -> FetchSpan | None:
    """Start the span of a request and inject it into the private copy; ``None`` if it is to have none.

    :param is_tornados: whether the copy goes to Tornado's own ``fetch``, which makes ``HTTPHeaders`` of its headers.
    """
    options = config.options
    is_wanted = options.client_filter
    if is_wanted is not None and own is not None and not ask("client_filter", is_wanted, own, otherwise=True):
        return None
    # Not always by way of the property: to call one is what costs.
    tracer = config.tracer if config.own_tracer is None else config.own_tracer
    # OpenTracing's own tracer keeps nothing, and puts nothing into headers.
    own_terms = None if type(tracer) is NoopTracer else terms[type(tracer)]
    span_tags: Any = {}
    if own_terms is not None:
        try:
            # A tracer with terms of its own for HTTP describes the fetch itself; None leaves it untraced.
            describe = own_terms.describe_fetch
            span_tags = (
                client_tags(own, url, method, options)
                if describe is None
                else describe(tracer, own, url, method, options)
            )
        except Exception:
            report("describing a fetch")
    if span_tags is None:
        return None
    state = lifecycle.start(FetchSpan, config, tracer, str(method), span_tags, None, False)
    if state is None:
        return None
    # Not defaults of the class: CPython takes its time to look for what may be either on it or on the instance.
    state.url = url
    state.redirects = 0
    state.own = own
    state.request = None
    state.injected = state.callbacks = _NOTHING
    if own is not None:
        # Not by setattr(), which a class of somebody else's may refuse.
        own.__dict__[FETCH] = state
        metrics = process.metrics
        if metrics is not None:
            _measure(metrics, state, own)
        try:
            if options.start_span_cb is not None:
                call_back("start_span_cb", options.start_span_cb, state.span, own)
            may_know = options.propagation_filter
            if own_terms is not None and (
                may_know is None or ask("propagation_filter", may_know, own, otherwise=False)
            ):
                headers: Any = own.headers
                if is_tornados and not headers:
                    # To fill a plain dict, and to make HTTPHeaders of that, takes half the work.
                    own.headers = headers = {}
                state.injected = propagation.inject(tracer, state.span, headers, own_terms.inject_headers)
            elif own_terms is not None:
                propagation.withhold(tracer, state.span, own.headers)
        except BaseException:
            state.finish(None, None)
            raise
    return state


def _measure(metrics: Metrics, state: FetchSpan, own: HTTPRequest) -> None:
    try:
        state.measurement = metrics.fetch_started(own)
    except Exception:
        report("measuring")


def response_of(error: BaseException) -> Any:
    """The response that an exception brings, if it does."""
    return _attribute(error, "response")


def _status(answer: Any) -> int | None:
    """The status of a response or an error, which may be of somebody else's make and answer to any name."""
    code = _attribute(answer, "code")
    return code if isinstance(code, int) else None


def _attribute(found: Any, name: str) -> Any:
    try:
        return getattr(found, name, None)
    except Exception:  # a property of somebody else's
        return None


def outcome_of(future: Any) -> BaseException | None:
    """The exception that a future that is done will raise, if any."""
    error: BaseException | None
    if future.cancelled():
        error = asyncio.CancelledError()
    elif asyncio.isfuture(future):
        # Not future.exception(), which would silence asyncio's warning of an exception that nobody retrieved.
        error = future._exception
    else:
        error = future.exception()
    return error
