# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a span is called once it is there: by whom, and whether it may be called otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado_opentracing._guard import report
from tornado_opentracing._spans.terms import terms

if TYPE_CHECKING:
    from opentracing import Span, Tracer
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing._settings.options import Options


def called(span: Span, name: str) -> str:
    """What a span says that it is called, if it does: a tracer may name it otherwise than it was asked to."""
    try:
        found = getattr(span, "operation_name", name)
        return found if isinstance(found, str) else name
    except Exception:
        report("naming a span")
        return name


def by_tracer(tracer: Tracer, options: Options, request: HTTPServerRequest) -> str | None:
    """What a tracer that has terms of its own for HTTP calls a request, where the application has not said so."""
    name: Any = None if options.operation_name else terms[type(tracer)].name_request
    try:
        return None if name is None else name(tracer, request)
    except Exception:
        report("naming a span")
        return None


def is_by_route(tracer: Tracer, options: Options) -> bool:
    """Whether requests are called by their route: as the application has said, else as the tracer does."""
    if options.operation_name is not None:
        return options.operation_name == "route"
    return getattr(type(tracer), "name_request", None) is not None


def rename(span: Span, name: str, provisional: str | None = None) -> None:
    """Give a span another operation name.

    :param provisional: what it was called so far; if somebody else gave it another name since, as far as the span
        tells, that stays.
    """
    try:
        if provisional is None or getattr(span, "operation_name", provisional) == provisional:
            span.set_operation_name(name)
    except Exception:
        report("naming a span")
