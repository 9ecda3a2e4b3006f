# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Which tracer and options count here: those of the request that this runs for, or those of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import opentracing

from tornado_opentracing._scopes import within
from tornado_opentracing._settings.applications import UNCONFIGURED, config_of
from tornado_opentracing._settings.config import TracingConfig, process

if TYPE_CHECKING:
    from opentracing import Tracer


def current_config() -> TracingConfig | None:
    """The configuration that counts here: the request's, or that of the process."""
    config = within.known.get()[0]
    return (None if config is None else _in_force(config)) or _outside_of_requests()


def current_tracer() -> Tracer:
    """The tracer that counts where this is called, for libraries that start spans of their own.

    Within a request, and in what it started, it is the tracer of the Application that serves it, or of the
    :class:`TornadoTracing` whose ``trace`` decorates the handler. Elsewhere it is the one given to
    ``init_client_tracing`` or else ``init_tracing``, else the newest Application's. Where there is none of these, as
    before ``init_tracing`` and after ``remove_tracing``, it is :func:`opentracing.global_tracer`, which does nothing
    unless it was set. Never raises; look it up each time, for it may be another one in the next request.

    :return: a tracer, never ``None``.
    """
    config = current_config()
    return opentracing.global_tracer() if config is None else config.tracer


def client_config() -> TracingConfig | None:
    """The configuration for a fetch that is made now; ``None`` if it is not to be traced."""
    config: TracingConfig | None = within.known.get()[0]
    if config is not None:
        config = _in_force(config)
    if config is None:
        config = _outside_of_requests()
        return config if config is not None and config.options.trace_client else None
    if not config.options.trace_client:
        return None
    client = process.client
    return config if client is None else config.fetching(client)


def _in_force(config: TracingConfig) -> TracingConfig | None:
    """A request's configuration; where it is left from before the latest ``init_tracing``, what counts now instead."""
    if config.base is None or config.base is (process.tracing or UNCONFIGURED):
        return config
    application = None if config.application is None else config.application()
    found = process.tracing if application is None else config_of(application)
    return found.untraced if found is not None and config.is_untraced else found


def _outside_of_requests() -> TracingConfig | None:
    base, client = process.tracing, process.client
    if base is not None and base.own_tracer is None and (newest := process.newest_application) is not None:
        base = config_of(newest) or base
    if client is None or base is None:
        return client or base
    return client.over(base)
