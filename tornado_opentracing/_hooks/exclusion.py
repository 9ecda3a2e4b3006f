"""Which requests have no span: decided once, and for every Application that a request is handed on to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado_opentracing._guard import report
from tornado_opentracing._settings.config import process
from tornado_opentracing._spans.request import SPAN, Excluded, RequestSpan

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.config import TracingConfig

_ASKED = "_tornado_opentracing_asked"


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
        setattr(request, _ASKED, asked)
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
    setattr(request, SPAN, config.excluded)
