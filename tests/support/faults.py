# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A tracer, and callbacks of an application, each part of which can be broken; and the ways to switch tracing on."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from opentracing import Scope, Span
from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.context import SpanContext as MockSpanContext
from opentracing.mocktracer.span import MockSpan
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_client_tracing, init_tracing

# What a broken thing does instead of its work.

Act = Callable[[Callable[[], Any]], Any]


class BrokenError(Exception):
    """What a tracer or a callback raises; it does not even let itself be shown."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def raising(error: BaseException) -> Act:
    def act(work: Callable[[], Any]) -> Any:
        raise error

    return act


def raises(work: Callable[[], Any]) -> Any:
    raise BrokenError


def raises_when_done(work: Callable[[], Any]) -> Any:
    try:
        work()
    finally:
        raise BrokenError


def is_slow(work: Callable[[], Any]) -> Any:
    time.sleep(0.001)
    return work()


def returning(value: Any) -> Act:
    return lambda work: value


class Rubbish:
    """Whatever is done with it, it raises."""

    def _fail(self, *args: Any) -> Any:
        raise BrokenError

    __bool__ = __call__ = __eq__ = __getattr__ = __getitem__ = __hash__ = __iter__ = __len__ = __repr__ = _fail


#: As what a tracer injects, this is worse than an object that raises: none of it is a header.
NO_HEADERS = {
    1: "x",
    "X-None": None,
    "X Y": "x",
    "X-Lines": "a\r\nX-Smuggled: b",
    "X-Accent": "\xe9",
    "X-Long": "x" * 10**5,
}

ACTS: dict[str, Act] = {
    "raises": raises,
    "raises when done": raises_when_done,
    "returns None": returning(None),
    "returns rubbish": returning(Rubbish()),
    "returns no headers": returning(NO_HEADERS),
    "is slow": is_slow,
}

#: Everything of a tracer's and of the application's that the package calls, or that its callbacks call.
THINGS = (
    "tracer.extract",
    "tracer.start_span",
    "tracer.inject",
    "tracer.scope_manager",
    "tracer.active_span",
    "carrier",
    "manager.activate",
    "manager.active",
    "scope.close",
    "span.context",
    "span.set_tag",
    "span.log_kv",
    "span.set_operation_name",
    "span.finish",
    "context.baggage",
    "start_span_cb",
    "finish_span_cb",
    "operation_name",
    "request_filter",
)

EVERYTHING = "everything"


class Faults:
    """What is broken at the moment, and what was called how often."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._thing: str | None = None
        self._act: Act = raises
        self._call: int | None = None

    @contextlib.contextmanager
    def of(self, thing: str | None, act: Act, *, call: int | None = None) -> Iterator[None]:
        """Within, one thing is broken, or everything, or nothing; at one call, or at every call."""
        self.calls.clear()
        self._thing, self._act, self._call = thing, act, call
        try:
            yield
        finally:
            self._thing = None

    @property
    def reached(self) -> list[str]:
        """What was called since something was last broken."""
        return [thing for thing in THINGS if thing in self.calls]

    def call(self, thing: str, work: Callable[[], Any]) -> Any:
        self.calls[thing] += 1
        is_broken = self._thing in (thing, EVERYTHING) and self._call in (None, self.calls[thing])
        return self._act(work) if is_broken else work()


class FaultySpanContext(MockSpanContext):
    faults: Faults

    @property
    def baggage(self) -> Any:
        return self.faults.call("context.baggage", lambda: super(FaultySpanContext, self).baggage)


class FaultySpan(MockSpan):
    faults: Faults

    @property
    def context(self) -> Any:
        return self.faults.call("span.context", lambda: super(FaultySpan, self).context)

    def set_operation_name(self, operation_name: str) -> Any:
        work = super().set_operation_name
        return self.faults.call("span.set_operation_name", lambda: work(operation_name))

    def set_tag(self, key: str, value: Any) -> Any:
        work = super().set_tag
        return self.faults.call("span.set_tag", lambda: work(key, value))

    def log_kv(self, key_values: Any, timestamp: float | None = None) -> Any:
        work = super().log_kv
        return self.faults.call("span.log_kv", lambda: work(key_values, timestamp))

    def finish(self, finish_time: float | None = None) -> None:
        work = super().finish
        self.faults.call("span.finish", lambda: work(finish_time))


class FaultyScope(Scope):
    def __init__(self, faults: Faults, scope: Scope) -> None:
        super().__init__(scope.manager, scope.span)
        self._faults = faults
        self._scope = scope

    def close(self) -> None:
        self._faults.call("scope.close", self._scope.close)


class FaultyScopeManager(ContextVarsScopeManager):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def activate(self, span: Span, finish_on_close: bool) -> Any:
        work = super().activate
        return self._faults.call("manager.activate", lambda: FaultyScope(self._faults, work(span, finish_on_close)))

    @property
    def active(self) -> Any:
        return self._faults.call("manager.active", lambda: super(FaultyScopeManager, self).active)


class FaultyTracer(MockTracer):
    """``MockTracer``, each part of which can be broken."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(FaultyScopeManager(faults))
        self._faults = faults

    @property
    def scope_manager(self) -> Any:
        return self._faults.call("tracer.scope_manager", lambda: super(FaultyTracer, self).scope_manager)

    @property
    def active_span(self) -> Any:
        return self._faults.call("tracer.active_span", lambda: super(FaultyTracer, self).active_span)

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        def start() -> Any:
            span: Any = super(FaultyTracer, self).start_span(*args, **kwargs)
            span.__class__ = FaultySpan
            span.faults = span._context.faults = self._faults
            span._context.__class__ = FaultySpanContext
            return span

        return self._faults.call("tracer.start_span", start)

    def inject(self, span_context: Any, format: Any, carrier: Any) -> Any:  # noqa: A002 - OpenTracing's name
        work = super().inject
        written: dict[Any, Any] = {}
        self._faults.call("tracer.inject", lambda: work(span_context, format, written))
        carrier.update(self._faults.call("carrier", lambda: written))

    def extract(self, *args: Any) -> Any:
        work = super().extract
        return self._faults.call("tracer.extract", lambda: work(*args))


# The ways in which tracing is switched on.


@dataclasses.dataclass
class Tracing:
    """What an application does for it besides."""

    decorate: Callable[[Any], Any] = lambda method: method
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


Setup = Callable[[FaultyTracer, Faults], Tracing]


def callbacks(faults: Faults) -> dict[str, Any]:
    """The application's callbacks, which work unless they are broken."""
    return {
        "start_span_cb": lambda span, subject: faults.call(
            "start_span_cb", lambda: span.set_operation_name(f"own {getattr(subject, 'method', 'message')}")
        ),
        "finish_span_cb": lambda span, outcome: faults.call("finish_span_cb", lambda: span.set_tag("own", 1)),
    }


def options(faults: Faults) -> dict[str, Any]:
    """Every feature there is."""

    def operation_name(handler: RequestHandler) -> Any:
        return faults.call("operation_name", lambda: "named")

    def request_filter(request: HTTPServerRequest) -> Any:
        return faults.call("request_filter", lambda: True)

    return {
        **callbacks(faults),
        "operation_name": operation_name,
        "request_filter": request_filter,
        "traced_attributes": ["uri", "headers", "cookies", "arguments", "body", "protocol"],
        "excluded_paths": ["/excluded"],
        "traced_request_headers": ["Host", "Cookie", "X-Own"],
        "traced_response_headers": ["Server", "Content-Type", "X-Own"],
        "inject_response_headers": True,
        "trace_websocket_messages": True,
    }


def with_all_options(tracer: FaultyTracer, faults: Faults) -> Tracing:
    init_tracing(tracer, **options(faults))
    return Tracing()


def by_route(tracer: FaultyTracer, faults: Faults) -> Tracing:
    init_tracing(tracer, operation_name="route")
    return Tracing()


def by_settings(tracer: FaultyTracer, faults: Faults) -> Tracing:
    """The process knows no tracer but the one of its Application; what it says of fetches lies over that."""
    init_tracing(excluded_paths=["/excluded"])
    init_client_tracing(start_span_cb=callbacks(faults)["start_span_cb"])
    return Tracing(settings={"opentracing_tracing": TornadoTracing(tracer, **options(faults))})


def by_decorator(tracer: FaultyTracer, faults: Faults) -> Tracing:
    """What needs no ``init_tracing``; the server only."""
    return Tracing(TornadoTracing(tracer, **options(faults)).trace)


def by_both(tracer: FaultyTracer, faults: Faults) -> Tracing:
    init_tracing(tracer, **options(faults))
    return Tracing(TornadoTracing(tracer, **options(faults)).trace("method", "uri"))
