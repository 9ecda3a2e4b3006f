# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which requests have no span: decided once, and for every Application that a request is handed on to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tornado_opentracing._guard import report
from tornado_opentracing._settings.config import process
from tornado_opentracing._spans.keeping import keep
from tornado_opentracing._spans.request import SPAN, RequestSpan

if TYPE_CHECKING:
    from opentracing import Span, Tracer
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.config import TracingConfig

_ASKED = "_tornado_opentracing_asked"


class _Asked(tuple[Any, ...]):
    """What a request was asked for."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Whoever pickles a request pickles no settings."""
        return type(None), ()


class Excluded(RequestSpan):
    """Stands in the place of the span of a request that a setting excludes: it has none, nor gets one otherwise.

    One for all requests of a configuration, for it keeps nothing of them.
    """

    is_excluded = True

    def __init__(self, config: TracingConfig) -> None:
        self.span, self.tracer = cast("Span", None), cast("Tracer", None)
        self.config = config.untraced
        self.options = self.config.options
        self.finished = True
        self.measurement = None
        self.provisional_name = None

    def fail(self, error: BaseException, *, can_answer: bool = True) -> None:
        """There is nothing to note it on."""


def excludes(config: TracingConfig, request: HTTPServerRequest) -> bool:
    """Whether the request is to have no span."""
    if process.has_excluded and is_excluded(request):
        return True
    if not config.filters_requests:
        return False
    options = config.options
    asked = (options.excluded_paths, options.request_filter)
    if getattr(request, _ASKED, None) == asked:
        return False
    is_wanted = True
    for pattern in options.excluded_paths:
        if pattern.fullmatch(request.path):
            is_wanted = False
            break
    if is_wanted and options.request_filter is not None:
        try:
            is_wanted = options.request_filter(request) is not False
        except Exception:
            report("request_filter")
    if is_wanted:
        keep(request, _ASKED, _Asked(asked))
    else:
        exclude(request, config)
    return not is_wanted


def is_excluded(request: HTTPServerRequest) -> bool:
    """Whether that is settled already."""
    state: RequestSpan | None = getattr(request, SPAN, None)
    return state is not None and state.is_excluded


def exclude(request: HTTPServerRequest, config: TracingConfig) -> None:
    """Leave a request without a span, from here to its end."""
    process.has_excluded = True
    if config.excluded is None:
        config.excluded = Excluded(config)
    try:
        request._tornado_opentracing = config.excluded  # type: ignore[attr-defined]
    except Exception:
        keep(request, SPAN, config.excluded)
