# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle that server and client spans share: start, fail, finish once.

Everything that a tracer is asked for is asked here, behind the guard.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from opentracing import Span as NoopSpan
from opentracing import logs, tags

from tornado_opentracing import _redaction, scope_manager
from tornado_opentracing._guard import call_back, report
from tornado_opentracing._tracebacks import exception_message, format_exception

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentracing import Reference, Scope, Span, SpanContext, Tracer

    from tornado_opentracing._settings.config import TracingConfig
    from tornado_opentracing._settings.measuring import Measurement
    from tornado_opentracing._settings.options import Options


Lifecycle = TypeVar("Lifecycle", bound="SpanLifecycle")


class SpanLifecycle:
    """A span from start to finish; which event finishes it does not matter, the first one does.

    :func:`start` makes it, and sets what follows: to have that done by an ``__init__`` takes CPython twice as long.
    """

    span: Span
    config: TracingConfig
    options: Options
    tracer: Tracer
    finished: bool
    #: Where requests and fetches are measured beside their spans.
    measurement: Measurement | None
    _error: BaseException | None
    _failed: bool

    #: Exceptions that are a way to answer, not a failure; the status tells whether they were an error.
    answers: ClassVar[tuple[type[BaseException], ...]] = ()
    #: Whether it is the span of a fetch.
    is_client: ClassVar[bool] = False

    def __deepcopy__(self: Lifecycle, memo: object) -> Lifecycle:
        """Whoever copies a request copies no span."""
        return self

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Whoever pickles a request pickles no span."""
        return type(None), ()

    def fail(self, error: BaseException, *, can_answer: bool = True) -> None:
        """Note an exception; the first that is a failure counts.

        :param can_answer: whether one of :attr:`answers` is answered, and so is no failure by itself.
        """
        if not self._failed:
            self._error = error
            self._failed = not (can_answer and isinstance(error, self.answers))

    @property
    def has_error(self) -> bool:
        """Whether an exception was noted."""
        return self._error is not None

    def finish(self, status: int | None, outcome: object | None) -> None:
        """Write the outcome onto the span and finish it; every call but the first does nothing.

        :param status: the response's status, if there was a response.
        :param outcome: what ``finish_span_cb`` is given: the handler, the ``HTTPResponse`` or the exception.
        """
        if self.finished:
            return
        self.finished = True
        options = self.options
        failed = self._failed or status in (
            options.client_error_statuses if self.is_client else options.server_error_statuses
        )
        # The exception's traceback leads back here through frames that hold this object.
        error = self._error
        if error is not None:
            self._error = None
        span = self.span
        if self.measurement is not None:
            self._measure(status, failed, error, outcome)
        try:
            if status is not None:
                span.set_tag(tags.HTTP_STATUS_CODE, status)
            if failed:
                span.set_tag(tags.ERROR, True)
                if error is not None:
                    log_error(span, error, options)
        except Exception:
            report("tagging a span")
        try:
            if options.finish_span_cb is not None and outcome is not None:
                call_back("finish_span_cb", options.finish_span_cb, span, outcome)
        finally:
            try:
                span.finish()
            except Exception:
                report("finishing a span")

    def _measure(self, status: int | None, failed: bool, error: BaseException | None, outcome: object | None) -> None:
        # The measurement leads back here by the request.
        measurement, self.measurement = self.measurement, None
        try:
            if measurement is not None:
                measurement.finish(self.span, status, failed, error, outcome)
        except Exception:
            report("measuring")


def start(  # noqa: PLR0917 - keywords cost more
    kind: type[Lifecycle],
    config: TracingConfig,
    tracer: Tracer,
    operation_name: str,
    span_tags: Any,
    parent: SpanContext | None,
    is_root: bool,
    references: list[Reference] | None = None,
) -> Lifecycle | None:
    """Start a span; ``None`` if the tracer could not.

    :param kind: the kind of lifecycle that the span gets.
    :param parent: the parent; where it is ``None``, the active span is the parent unless ``is_root``.
    """
    if len(operation_name) > _redaction.LONGEST_VALUE:
        operation_name = _redaction.clip(operation_name)
    try:
        span: Span | None = tracer.start_span(
            operation_name, child_of=parent, references=references, tags=span_tags, ignore_active_span=is_root
        )
    except Exception:
        report("starting a span")
        return None
    if span is None:
        return None
    lifecycle = kind()
    lifecycle.span = span
    lifecycle.config = config
    lifecycle.options = config.options
    lifecycle.tracer = tracer
    lifecycle.finished = lifecycle._failed = False
    lifecycle._error = lifecycle.measurement = None
    return lifecycle


def active_span(tracer: Tracer) -> Span | None:
    """The tracer's active span."""
    try:
        return tracer.active_span
    except Exception:
        report("looking up the active span")
        return None


def kept_beside(tracer: Tracer) -> Callable[[], AbstractContextManager[object]] | None:
    """What a tracer keeps in the current context beside the active span, to be entered in another context."""
    try:
        keep: Any = getattr(type(tracer), "kept_beside", None)
        return None if keep is None else keep(tracer)
    except Exception:
        report("looking up what is active")
        return None


def activate(tracer: Tracer, span: Span) -> Scope | None:
    """Make the span active; the scope does not own its finish."""
    try:
        return tracer.scope_manager.activate(span, False)
    except Exception:
        report("activating a span")
        return None


def close(scope: Scope | None) -> None:
    """Close what :func:`activate` returned."""
    if scope is None:
        return
    try:
        scope.close()
    except Exception:
        report("closing a scope")


def nothing_active(tracer: Tracer) -> AbstractContextManager[object]:
    """A context manager in which nothing of the tracer's is active."""
    try:
        return scope_manager.nothing_active(tracer.scope_manager)
    except Exception:
        report("looking up the scope manager")
        return nullcontext()


def staying(tracer: Tracer, span: Span | None) -> Callable[[], None] | None:
    """Make a span, or nothing, active for good, and return what does so again, if there is something cheap."""
    try:
        return scope_manager.staying(tracer.scope_manager, span)
    except Exception:
        report("looking up the scope manager")
        return None


def begin_with(tracer: Tracer, span: Span) -> bool:
    """Make the span active for good in a context in which nothing of the tracer's is; return whether that could be."""
    try:
        return scope_manager.begin_with(tracer.scope_manager, span)
    except Exception:
        report("activating a span")
        return False


def set_tags(span: Span, values: dict[str, Any]) -> None:
    """Set tags on a span that has started."""
    try:
        for name, value in values.items():
            span.set_tag(name, value)
    except Exception:
        report("tagging a span")


def log_error(span: Span, error: BaseException, options: Options) -> None:
    """Log an exception on a span that keeps it, with OpenTracing's standard fields."""
    is_recording = getattr(span, "is_recording", None)
    if type(span) is NoopSpan or (is_recording is not None and is_recording() is False):
        return
    names = options.redacted_query_params
    fields = {
        logs.EVENT: tags.ERROR,
        logs.ERROR_KIND: type(error).__name__,
        logs.MESSAGE: (message := exception_message(error, names)),
        logs.STACK: format_exception(error, names, message),
    }
    try:
        span.log_kv({**fields, logs.ERROR_OBJECT: error})
    except Exception:
        # Some ask the object for its text at once, which may be what fails.
        span.log_kv(fields)
