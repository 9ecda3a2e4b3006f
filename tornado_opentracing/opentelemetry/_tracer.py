"""OpenTelemetry's OpenTracing shim, with what it leaves out: tracer, span and span context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import opentracing
from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import DefaultGetter
from opentelemetry.shim.opentracing_shim import SpanContextShim, SpanShim, TracerShim
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentracing import Format, ReferenceType, UnsupportedFormatException
from opentracing.tags import ERROR, HTTP_STATUS_CODE, SPAN_KIND

from tornado_opentracing.opentelemetry import _attributes
from tornado_opentracing.opentelemetry._context import NONE, ROOT, SpanContext, carrying_of
from tornado_opentracing.opentelemetry._scopes import ScopeManager, with_baggage

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from opentracing import Reference, Scope

# An enumeration's members are slow to look up.
_INTERNAL = SpanKind.INTERNAL
_FORMATS = (Format.TEXT_MAP, Format.HTTP_HEADERS)
_REFERENCE_TYPES = {ReferenceType.CHILD_OF: "child_of", ReferenceType.FOLLOWS_FROM: "follows_from"}


class _Getter(DefaultGetter):
    """Reads a carrier whose names are in lower case; some propagators ask for others."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        return super().get(carrier, key.lower())


_GETTER = _Getter()


class Span(SpanShim):
    """A span whose tags and logs arrive where OpenTelemetry's back ends look for them."""

    def __init__(self, tracer: Tracer, context: SpanContext, otel_span: trace.Span, kind: SpanKind) -> None:
        # All that the shim's own and OpenTracing's set, one after the other.
        self._tracer, self._context, self._otel_span = tracer, context, otel_span
        self._kind = kind
        self._status_code: object = None
        self._has_error = False
        self._is_ok = False

    def set_operation_name(self, operation_name: str) -> Span:
        """Rename the span."""
        self._otel_span.update_name(_attributes.text(operation_name))
        return self

    def set_tag(self, key: str, value: Any) -> Span:
        """Set the attributes that say the same; ``error`` is the span's status instead."""
        if not self._otel_span.is_recording():
            return self
        if key == ERROR:
            self._set_error(value)
            return self
        if key == HTTP_STATUS_CODE:
            self._status_code = value
        # One by one: set_attributes() of one or two costs more.
        for name, attribute in _attributes.of_tags({key: value}, self._kind).items():
            self._otel_span.set_attribute(name, attribute)
        return self

    def log_kv(self, key_values: Mapping[str, Any] | None, timestamp: float | None = None) -> Span:
        """Add an event; that of an error is an ``exception``, and the span's status.

        :param key_values: the fields; ``event`` is the event's name.
        :param timestamp: when it happened, in seconds since the epoch; now if it is ``None``.
        """
        if not self._otel_span.is_recording():
            return self
        name, attributes = _attributes.of_log(key_values or {})
        if name == _attributes.EXCEPTION:
            self._has_error, self._is_ok = True, False
            self._otel_span.set_status(Status(StatusCode.ERROR, attributes.get("exception.message")))
            self._otel_span.set_attribute("error.type", attributes.get("exception.type", "_OTHER"))
        self._otel_span.add_event(name, attributes, None if timestamp is None else int(timestamp * 1e9))
        return self

    def set_baggage_item(self, key: str, value: str) -> Span:
        """Give a baggage item to the children that are yet to start."""
        super().set_baggage_item(key, value)
        if trace.get_current_span() is self._otel_span:
            # For OpenTelemetry's own propagation too; what made the span active takes it away with the span.
            otel.attach(baggage.set_baggage(key, value))
        return self

    def finish(self, finish_time: float | None = None) -> None:
        """End the span; every call but the first does nothing.

        :param finish_time: the end, in seconds since the epoch; now if it is ``None``.
        """
        if self._otel_span.is_recording():
            if self._is_ok:
                # Not before: OpenTelemetry takes no other status after this one.
                self._otel_span.set_status(StatusCode.OK)
            super().finish(finish_time)

    def _set_error(self, value: object) -> None:
        if str(value).lower() in ("", "0", "false", "none"):
            self._is_ok = True
            return
        self._is_ok = False
        if not self._has_error:
            self._has_error = True
            self._otel_span.set_status(StatusCode.ERROR)
            self._otel_span.set_attribute("error.type", _attributes.text(self._status_code or "_OTHER"))


class Tracer(TracerShim):
    """A tracer whose spans and active span are OpenTelemetry's."""

    def __init__(self, otel_tracer: trace.Tracer) -> None:
        super().__init__(otel_tracer)
        self._scope_manager = ScopeManager(self.wrap)

    def start_active_span(  # type: ignore[override]  # noqa: PLR0917 - as in OpenTracing
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
        return self.scope_manager.activate(span, finish_on_close)

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

        :param start_time: the start, in seconds since the epoch; now if it is ``None``.
        """
        links: list[Any] = []
        if references:
            links = [link for link in references if isinstance(link.referenced_context, SpanContextShim)]
            if child_of is None and links:
                first = next((link for link in links if link.type == ReferenceType.CHILD_OF), links[0])
                child_of = first.referenced_context
                if first.type == ReferenceType.CHILD_OF:
                    links.remove(first)
        parent = NONE if child_of is None and ignore_active_span else self._context_of(child_of)
        attributes = dict(tags or {})
        kind = _attributes.KINDS.get(str(attributes.get(SPAN_KIND)), _INTERNAL)
        if kind is not _INTERNAL:
            del attributes[SPAN_KIND]
        error = attributes.pop(ERROR, None)
        otel_span = self._otel_tracer.start_span(
            _attributes.text(operation_name or ""),
            context=ROOT if parent is NONE else carrying_of(parent),
            kind=kind,
            attributes=_attributes.of_tags(attributes, kind),
            links=links
            and [
                trace.Link(link.referenced_context.unwrap(), {"opentracing.ref_type": _REFERENCE_TYPES[link.type]})
                for link in links
                if link.referenced_context.unwrap().is_valid
            ],
            start_time=None if start_time is None else int(start_time * 1e9),
        )
        context = SpanContext(otel_span.get_span_context(), parent._baggage)
        span = Span(self, context, otel_span, kind)
        return span if error is None else span.set_tag(ERROR, error)

    def inject(self, span_context: Any, format: object, carrier: MutableMapping[str, str]) -> None:  # type: ignore[override]  # noqa: A002
        """Write a span's context into a carrier, with OpenTelemetry's global propagator.

        :raises opentracing.UnsupportedFormatException: for a format that is not of text or HTTP headers.
        """
        self._check(format)
        context = self._context_of(span_context)
        get_global_textmap().inject(carrier, context=carrying_of(context))

    def extract(self, format: object, carrier: Mapping[str, str]) -> SpanContext | None:  # type: ignore[override]  # noqa: A002
        """The context that a carrier brings, with OpenTelemetry's global propagator; ``None`` where it brings none.

        :raises opentracing.UnsupportedFormatException: for a format that is not of text or HTTP headers.
        """
        self._check(format)
        # An empty context to begin with: the propagator of baggage would take the current one.
        found = get_global_textmap().extract({name.lower(): carrier[name] for name in carrier}, Context(), _GETTER)
        context, items = trace.get_current_span(found).get_span_context(), baggage.get_all(found)
        return SpanContext(context, with_baggage(Context(), items)) if context.is_valid or items else None

    def wrap(self, otel_span: trace.Span, below: Any) -> Span:
        """A span of OpenTelemetry's that is active, as one of OpenTracing's.

        :param below: our scope beneath it: its span may have been given baggage that OpenTelemetry's context has not.
        """
        context, items = otel_span.get_span_context(), baggage.get_all()
        if below is not None and below.span.context.unwrap().trace_id == context.trace_id:
            items = {**items, **below.span.context.baggage}
        carrying = with_baggage(Context(), items)
        return Span(self, SpanContext(context, carrying), otel_span, getattr(otel_span, "kind", _INTERNAL))

    def _context_of(self, parent: Any) -> SpanContextShim:
        """The context of a span, the active one for ``None``, or the span context itself."""
        if type(parent) is SpanContext:
            return parent
        if parent is None:
            scope: Any = self._scope_manager.active
            span = None if scope is None else scope.span
            items = baggage.get_all()
            if span is None:
                return SpanContext(trace.INVALID_SPAN_CONTEXT, with_baggage(Context(), items)) if items else NONE
            if not items:
                return cast("SpanContextShim", span.context)
            # Items may have been set on the span since it became active.
            return SpanContext(span.context.unwrap(), with_baggage(Context(), {**items, **span.context.baggage}))
        context: Any = parent.context if isinstance(parent, opentracing.Span) else parent
        # Of a tracer that does nothing, or of another kind, there is nothing to go on with.
        return context if isinstance(context, SpanContextShim) else NONE

    def _check(self, format: object) -> None:  # noqa: A002
        if format not in _FORMATS:
            raise UnsupportedFormatException
