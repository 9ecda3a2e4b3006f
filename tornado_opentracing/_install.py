"""Switching tracing on and off."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.web import Application

from tornado_opentracing._hooks import table
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._settings import blocking
from tornado_opentracing._settings.applications import hide, resolve
from tornado_opentracing._settings.config import TracingConfig, process
from tornado_opentracing._settings.options import OptionValues
from tornado_opentracing._settings.tracers import accept
from tornado_opentracing._tracing import TornadoTracing

if TYPE_CHECKING:
    from opentracing import Tracer
    from typing_extensions import Unpack

    from tornado_opentracing._settings.options import StartSpanCallback


def init_tracing(
    tracer: Tracer | None = None,
    *,
    start_span_cb: StartSpanCallback | None = None,
    **options: Unpack[OptionValues],
) -> None:
    """Trace the requests of every Application in the process, and the fetches of ``AsyncHTTPClient``.

    Call it once at start-up; Applications that exist already are traced too. Calling it again replaces the arguments.
    An Application's ``opentracing_*`` settings win over the arguments.

    :param tracer: an OpenTracing tracer; ``None`` means :func:`opentracing.global_tracer`, looked up at each request.
    :param start_span_cb: ``callback(span, request)``, called when a server or client span was started, before its
        context is injected; it may rename the span, set tags and baggage. What it raises is logged.
    :param trace_all: whether every request gets a span; ``False`` leaves it to the :func:`trace` decorator.
    :param trace_client: whether fetches get a span.
    :param traced_attributes: names of attributes of ``HTTPServerRequest`` to set as tags of every server span.
    :raises TypeError: an argument has the wrong type, or there is no such option; the message names it.

    Warns with a ``RuntimeWarning``, once, of a tracer whose scope manager does not follow asyncio's tasks.
    """
    config = TornadoTracing.unasked(tracer, {"start_span_cb": start_span_cb, **options})
    accept(config.tracer)
    config.base = config
    process.tracing = config
    if process.client is not None and process.client.base is not None:  # made along with what this replaces
        process.client = None
    for hooks in _START_HOOKS:
        hooks.install()
    blocking.watch.ensure(config.options.blocked_after)


def init_client_tracing(
    tracer: Tracer | TornadoTracing | None = None, start_span_cb: StartSpanCallback | None = None
) -> None:
    """Trace the fetches of ``AsyncHTTPClient``, without tracing any Application.

    Within a request that is traced, the request's own tracer counts for its fetches, and what is given here else.

    :param tracer: an OpenTracing tracer; or a :class:`TornadoTracing`, whose tracer and options then count. ``None``
        means the one given to :func:`init_tracing`, else the newest Application's, else
        :func:`opentracing.global_tracer`, looked up at each fetch.
    :param start_span_cb: ``callback(span, request)``, called with the :class:`tornado.httpclient.HTTPRequest` of each
        fetch, instead of what :func:`init_tracing`, a ``TornadoTracing`` or an Application's settings say.
    :raises TypeError: an argument has the wrong type; the message names it.
    """
    given: dict[str, Any] = {"trace_client": True}
    if isinstance(tracer, TracingConfig):
        given, tracer = {**tracer.given, **given}, tracer.own_tracer
    if start_span_cb is not None:
        given["start_span_cb"] = start_span_cb
    config = TracingConfig(tracer, given)
    accept(config.tracer)
    process.client = config
    table.CLIENT.install()


def remove_tracing() -> None:
    """Undo :func:`init_tracing`, :func:`init_client_tracing` and ``init_metrics``; safe at any time, and repeatedly.

    Tornado gets its own functions back. Where somebody has patched on top of this package's hook, the hook stays
    beneath that patch and does nothing. A method under ``@trace`` goes on being traced: its next call puts back the
    hooks that it needs. ``opentracing_tracing`` is taken out of the settings of Applications that did not set it.
    """
    process.tracing = process.client = None
    blocking.watch.stop()
    metrics, process.metrics = process.metrics, None
    if metrics is not None:
        metrics.stop()
    process.applications = weakref.WeakValueDictionary()
    for reference in process.shown_to.valuerefs():
        application = reference()
        if application is not None:
            hide(application)
    for hooks in _ALL_HOOKS:
        hooks.remove()


def _application_init_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Application, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(self, *args, **kwargs)
        defaults = process.tracing if layer.enabled else None
        if defaults is not None:
            resolve(self, defaults)
            process.applications[id(self)] = self

    return __init__


_APPLICATION = table.Hooks(Patch(Application, "__init__", _application_init_hook))
_START_HOOKS = (_APPLICATION, table.SERVER, table.CLIENT, table.EXECUTOR)
_ALL_HOOKS = (*_START_HOOKS, table.MEASURING)
