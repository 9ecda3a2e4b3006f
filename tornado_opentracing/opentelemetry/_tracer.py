# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""OpenTracing's tracer on OpenTelemetry's API: its spans and its active span are OpenTelemetry's."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import opentracing
from opentelemetry import trace
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation import _SPAN_KEY
from opentracing.tags import ERROR, HTTP_STATUS_CODE, SPAN_KIND

from tornado_opentracing.opentelemetry import _attributes, _carriers
from tornado_opentracing.opentelemetry._context import (
    NO_ITEMS,
    SpanContext,
    get_current,
    has_baggage,
)
from tornado_opentracing.opentelemetry._described import SharingTags, Tags
from tornado_opentracing.opentelemetry._http import (
    FetchDescription,
    RequestDescription,
    describe_fetch,
    describe_request,
    request_name,
)
from tornado_opentracing.opentelemetry._parents import NOWHERE, parent_of, referred
from tornado_opentracing.opentelemetry._scopes import ScopeManager
from tornado_opentracing.opentelemetry._span import Span, started
from tornado_opentracing.opentelemetry._starting import starter

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from contextlib import AbstractContextManager

    from opentracing import Reference, Scope
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing.opentelemetry._described import Described

# An enumeration's members are slow to look up.
_INTERNAL = SpanKind.INTERNAL
#: Where a span context, which is a tuple, has what its property of that name says.
_IS_VALID = 5
_DESCRIPTIONS = (RequestDescription, FetchDescription, SharingTags)


class Tracer(opentracing.Tracer):
    """A tracer whose spans and active span are OpenTelemetry's.

    :param otel_tracer: what makes the spans.
    :param is_dup: whether attributes have the names that they have in OpenTracing, too.
    """

    _scope_manager: ScopeManager

    def __init__(self, otel_tracer: trace.Tracer, is_dup: bool = False) -> None:
        super().__init__(ScopeManager(self.wrap))
        self._otel_tracer = otel_tracer
        self._start = starter(otel_tracer)
        self.is_dup = is_dup

    def unwrap(self) -> trace.Tracer:
        """OpenTelemetry's tracer."""
        return self._otel_tracer

    def start_active_span(  # noqa: PLR0917 - as in OpenTracing
        self,
        operation_name: str,
        child_of: Any = None,
        references: list[Reference] | None = None,
        tags: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
        finish_on_close: bool = True,
    ) -> Scope:
        """Start a span and make it active; see :meth:`opentracing.Tracer.start_active_span`."""
        span = self.start_span(operation_name, child_of, references, tags, start_time, ignore_active_span)
        return self._scope_manager.activate(span, finish_on_close)

    def start_span(  # noqa: PLR0917
        self,
        operation_name: str | None = None,
        child_of: Any = None,
        references: list[Reference] | None = None,
        tags: Mapping[str, Any] | None = None,
        start_time: float | None = None,
        ignore_active_span: bool = False,
    ) -> Span:
        """Start a span; see :meth:`opentracing.Tracer.start_span`.

        Its parent is ``child_of``; without it, the first reference that is ``child_of``, or the first of them all;
        without references, the active span. What else it refers to is a link, and so is a parent that it follows from.

        :param tags: those that say the same as the semantic conventions are attributes of the names that these have.
        :param start_time: the start, in seconds since the epoch; now if it is ``None``.
        """
        links: list[trace.Link] = []
        if references:
            child_of, links = referred(child_of, references)
        parent: trace.SpanContext | None = None
        context, items = NOWHERE, NO_ITEMS
        if child_of is not None or not ignore_active_span:
            context, items = self._current() if child_of is None else parent_of(child_of)
            above: Any = context.get(_SPAN_KEY)
            if above is not None:
                parent = above.get_span_context()
                if not parent[_IS_VALID]:
                    parent = None
        error = status = None
        described: Described
        if type(tags) in _DESCRIPTIONS:  # isinstance() takes ten times as long
            described = cast("Described", tags)
        else:
            given = dict(tags or {})
            kind = _attributes.KINDS.get(str(given.get(SPAN_KIND)), _INTERNAL) if given else _INTERNAL
            if kind is not _INTERNAL:
                del given[SPAN_KIND]
            error, status = given.pop(ERROR, None), given.get(HTTP_STATUS_CODE)
            described = Tags(given, kind, self.is_dup)
        nanoseconds = None if start_time is None else int(start_time * 1e9)
        otel_span = self._start(operation_name or "", described, context, parent, links, nanoseconds)
        span = started(self, otel_span, items, described.kind, described.error_statuses)
        if status is not None:
            span.note_status(status)
        return span if error is None else span.set_tag(ERROR, error)

    #: What :meth:`start_span` takes for the tags of a request, and of a fetch.
    describe_request = describe_request
    describe_fetch = describe_fetch

    def name_request(self, request: HTTPServerRequest) -> str:
        """What the span of a request is called where the application has not said so: ``GET /book/{number}``."""
        return request_name(request)

    def describe_connection(self, tags: dict[str, Any]) -> Callable[[dict[str, Any]], SharingTags]:
        """What makes of further tags what :meth:`start_span` takes, which has these as well."""
        shared = _attributes.of_tags(tags, _INTERNAL, self.is_dup)
        return functools.partial(SharingTags, shared, self.is_dup)

    def inject(self, span_context: Any, format: object, carrier: Any) -> None:  # noqa: A002
        """Write a span's context into a carrier, with OpenTelemetry's global propagator.

        :param carrier: a ``dict`` for text and HTTP headers, a ``bytearray`` for the binary format.
        :raises opentracing.UnsupportedFormatException: there is no such format, or the carrier is not one of its.
        """
        _carriers.inject(self._current()[0] if span_context is None else parent_of(span_context)[0], format, carrier)

    #: What :meth:`extract` finds in a request's headers; where that is nothing, no carrier is made.
    extract_headers = staticmethod(_carriers.extract_headers)

    def kept_beside(self) -> Callable[[], AbstractContextManager[object]] | None:
        """The current baggage, as what has it in another context; ``None`` where there is none."""
        items = self._current()[1]
        return functools.partial(has_baggage, items) if items else None

    def inject_headers(self, span: Span, headers: MutableMapping[str, str]) -> dict[str, str]:
        """Do as :meth:`inject` and return what was written: nothing where there is more than a trace to tell."""
        return {} if span._items else _carriers.inject_traceparent(span._otel_span.get_span_context(), headers)

    def extract(self, format: object, carrier: Any) -> SpanContext | None:  # type: ignore[override]  # noqa: A002
        """The context that a carrier brings, with OpenTelemetry's global propagator; ``None`` where it brings none.

        :param carrier: a mapping for text and HTTP headers, bytes for the binary format.
        :raises opentracing.UnsupportedFormatException: there is no such format, or the carrier is not one of its.
        :raises opentracing.SpanContextCorruptedException: the bytes are none that :meth:`inject` has written.
        """
        return _carriers.extract(format, carrier)

    def wrap(self, otel_span: trace.Span, below: Any) -> Span:
        """A span of OpenTelemetry's that is active, as one of OpenTracing's.

        :param below: our scope beneath it: its span may have been given baggage that OpenTelemetry's context has not.
        """
        items: Any = get_current().get(_BAGGAGE_KEY, NO_ITEMS)
        if (
            below is not None
            and below.span.unwrap().get_span_context().trace_id == otel_span.get_span_context().trace_id
        ):
            items = _merged(items, below.span.context.baggage)
        return started(self, otel_span, items, getattr(otel_span, "kind", _INTERNAL))

    def _current(self) -> tuple[Context, dict[str, Any]]:
        """OpenTelemetry's current context and the baggage in it, with the active span's where that has more."""
        current = get_current()
        if not current:
            return current, NO_ITEMS
        carried: Any = current.get(_BAGGAGE_KEY, NO_ITEMS)
        scope: Any = self._scope_manager.active
        if scope is None:
            if not trace.get_current_span(current).get_span_context().is_valid:
                return current, carried
            return Context({_BAGGAGE_KEY: carried}), carried
        own = scope.span.context.baggage
        if own is carried:
            return current, carried
        items = _merged(carried, own)
        return Context({**current, _BAGGAGE_KEY: items}), items


def _merged(items: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    if not items or not more or items is more:
        return items or more
    return {**items, **more}
