# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How long requests and fetches take, how many there are and how large, as OpenTelemetry's conventions name it."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING

from tornado_opentracing.opentelemetry._active import ActiveRequests
from tornado_opentracing.opentelemetry._environment import SCHEMA, version
from tornado_opentracing.opentelemetry._lag import LoopLag
from tornado_opentracing.opentelemetry._measurements import FetchMeasurement, Histograms, RequestMeasurement
from tornado_opentracing.opentelemetry._methods import known_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.metrics import Histogram, Meter, MeterProvider
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest

#: The buckets that the conventions ask for, in seconds.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LAGS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class _Instruments:
    """Those of one meter."""

    def __init__(self, meter: Meter) -> None:
        self.server, self.client = _histograms(meter, "server"), _histograms(meter, "client")
        self.active = ActiveRequests()
        meter.create_observable_up_down_counter(
            "http.server.active_requests", [self.active.observe], "{request}", "Number of active HTTP server requests."
        )
        self.lag = _histogram(meter, "tornado.ioloop.lag", "s", "How late the event loop runs what is due.", _LAGS)


#: A provider is to have each instrument once, whose callbacks are those that it was first made with.
_known: weakref.WeakKeyDictionary[MeterProvider, _Instruments] = weakref.WeakKeyDictionary()


def _instruments(provider: MeterProvider) -> _Instruments:
    with contextlib.suppress(TypeError):  # one of somebody else's to which there are no weak references
        if provider in _known:
            return _known[provider]
    made = _Instruments(provider.get_meter("tornado_opentracing", version(), SCHEMA))
    with contextlib.suppress(TypeError):
        _known[provider] = made
    return made


class HTTPMetrics:
    """Measures every request and fetch that has a span, sampled or not, and how late the event loop is."""

    def __init__(self, provider: MeterProvider) -> None:
        self._instruments = _instruments(provider)
        self._methods = known_methods()
        self._lag = LoopLag(self._instruments.lag)
        self._lag.watch()

    def request_started(self, request: HTTPServerRequest) -> RequestMeasurement:
        """Count a request, and measure it from here on."""
        self._lag.watch()
        instruments = self._instruments
        return RequestMeasurement(instruments.server, instruments.active, self._methods, request)

    def fetch_started(self, request: HTTPRequest) -> FetchMeasurement:
        """Measure a fetch from here on."""
        self._lag.watch()
        return FetchMeasurement(self._instruments.client, self._methods, request)

    def stop(self) -> None:
        """Look after no event loop any more."""
        self._lag.stop()


def _histograms(meter: Meter, side: str) -> Histograms:
    named = f"http.{side}"
    return Histograms(
        _histogram(meter, f"{named}.request.duration", "s", f"Duration of HTTP {side} requests.", _DURATIONS),
        _histogram(meter, f"{named}.request.body.size", "By", f"Size of HTTP {side} request bodies."),
        _histogram(meter, f"{named}.response.body.size", "By", f"Size of HTTP {side} response bodies."),
    )


def _histogram(
    meter: Meter, name: str, unit: str, description: str, buckets: Sequence[float] | None = None
) -> Histogram:
    try:
        return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=buckets)
    except TypeError:  # before OpenTelemetry 1.30, where only a view can say so
        return meter.create_histogram(name, unit, description)
