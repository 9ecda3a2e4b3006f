# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
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
from tornado_opentracing._settings.config import TracingConfig, config_in, process
from tornado_opentracing._settings.options import OptionValues
from tornado_opentracing._settings.paths import warn_of_useless
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
        Example: ``MockTracer(scope_manager=ContextVarsScopeManager())``
    :param start_span_cb: ``callback(span, request)``, called when a server or client span was started, before its
        context is injected; it may rename the span, set tags and baggage. What it raises is logged. Default: ``None``.
        Example: ``lambda span, request: span.set_tag("tenant", request.headers.get("X-Tenant"))``
    :param trace_all: a bool: whether every request gets a span; ``False`` leaves it to the :func:`trace` decorator.
        Default: ``True``. Example: ``False``
    :param trace_client: a bool: whether fetches get a span. Default: ``True``. Example: ``False``
    :param traced_attributes: names of attributes of ``HTTPServerRequest``, and of its methods that need no argument, to
        set as tags of every server span. Default: ``()``. Example: ``["remote_ip", "full_url"]``
    :param operation_name: how server spans are called: ``"handler"``, after the handler's class; ``"route"``, after
        method and route; or a callable of the handler that returns the name. Default: ``"handler"``; with the tracer of
        ``create_tracer()``, ``"route"``. Example: ``"route"``
    :param excluded_paths: regular expressions, or compiled ones; a request whose whole path matches one gets no span,
        nor do its fetches. Default: ``()``. Example: ``["/health", r"/static/.*"]``
    :param request_filter: ``callback(request)``, called with each ``HTTPServerRequest`` that no path excludes;
        ``False`` excludes it. Default: ``None``. Example: ``lambda request: request.method != "OPTIONS"``
    :param finish_span_cb: ``callback(span, outcome)``, called just before a span is finished, with the handler of a
        server span, the ``HTTPResponse`` or the exception of a client span. What it raises is logged. Default:
        ``None``. Example: ``lambda span, outcome: span.set_tag("outcome", type(outcome).__name__)``
    :param traced_request_headers: names of headers to set as tags ``http.request.header.<name>``, of server and client
        spans. Default: ``()``. Example: ``["X-Request-Id"]``
    :param traced_response_headers: the same of responses, ``http.response.header.<name>``. Default: ``()``. Example:
        ``["Content-Type"]``
    :param unredacted_headers: names of headers to show although they look like secrets. Default: ``()``. Example:
        ``["X-Api-Key"]``
    :param redacted_query_params: names of parameters and fields whose values are replaced by ``REDACTED``, in the place
        of the default ones. Default: ``DEFAULT_REDACTED_QUERY_PARAMS``. Example:
        ``DEFAULT_REDACTED_QUERY_PARAMS | {"ticket"}``
    :param inject_response_headers: a bool: whether the span's context is put into the response's headers. Default:
        ``False``. Example: ``True``
    :param trace_websocket_messages: whether each ``on_message``, ``open`` and ``on_close`` of a WebSocket gets a span:
        a bool; or ``"both"``, for each ``write_message``, too. Default: ``False``. Example: ``"both"``
    :param websocket_message_filter: ``callback(handler, message)``; ``False`` leaves a message without a span. Default:
        ``None``. Example: ``lambda handler, message: message != "ping"``
    :param trace_websocket_connection: a bool: whether each connection of a WebSocket gets a span, from open to close.
        Default: ``False``. Example: ``True``
    :param trace_templates: a bool: whether each ``Template.generate`` gets a span. Default: ``False``. Example:
        ``True``
    :param background: what the ticks of a ``PeriodicCallback`` that a request starts have to do with it:
        ``"detached"``, nothing; ``"inherit"``, they are in its trace; ``"link"``, they follow from it. Default:
        ``"detached"``. Example: ``"link"``
    :param accept_parent: whether a request's headers choose its parent: a bool, or a callable of the
        ``HTTPServerRequest``. Default: ``True``. Example: ``lambda request: request.remote_ip.startswith("10.")``
    :param client_filter: ``callback(request)``, called with the ``HTTPRequest`` of each fetch; ``False`` leaves it
        without a span. Default: ``None``. Example: ``lambda request: not request.url.endswith("/metrics")``
    :param propagation_filter: ``callback(request)``, called with the ``HTTPRequest`` of each fetch that has a span;
        ``False`` keeps trace headers from who gets it. Default: ``None``. Example:
        ``lambda request: request.url.startswith("https://internal.example/")``
    :param server_error_statuses: statuses that make a server span an error. Default: ``range(500, 1000)``. Example:
        ``range(400, 600)``
    :param client_error_statuses: statuses that make a client span an error; no response, 599, always is one. Default:
        ``range(500, 1000)``. Example: ``[500, 502, 503]``
    :param blocked_after: seconds; what holds an event loop for longer is logged on the active span, with its stack.
        Default: ``None``. Example: ``0.1``
    :raises TypeError: an argument has the wrong type, or there is no such option; the message names it.
    :raises ValueError: an argument has the right type and means nothing, such as a regular expression that is none; the
        message names it.

    Warns with a ``RuntimeWarning``, once, of a tracer whose scope manager does not follow asyncio's tasks, and of an
    excluded path that can match none.
    """
    config = TracingConfig(tracer, {"start_span_cb": start_span_cb, **options})
    accept(config.tracer)
    warn_of_useless(config.options.excluded_paths, "excluded_paths", stacklevel=2)
    config.base, config.face = config, TornadoTracing
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
        fetch, instead of what :func:`init_tracing`, a ``TornadoTracing`` or an Application's settings say. ``None``
        leaves it to those.
    :raises TypeError: an argument has the wrong type; the message names it.

    .. code-block:: python

        init_client_tracing(SomeTracer(scope_manager=ContextVarsScopeManager()))
    """
    given: dict[str, Any] = {"trace_client": True}
    if isinstance(tracer, TornadoTracing):
        asked = config_in(tracer)
        given, tracer = {**asked.given, **given}, asked.own_tracer
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
