# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What measures requests and fetches beside their spans, where that was asked for: ``ProcessDefaults.metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tornado.httpclient import HTTPRequest
    from tornado.httputil import HTTPServerRequest


class Measurement(Protocol):
    """Of one request or fetch, made when its span starts."""

    def received(self, size: int) -> None:
        """So many bytes more of a body that is streamed have come in."""

    def sent(self, size: int) -> None:
        """So many bytes more of a body went out."""

    def finish(self, span: Any, status: int | None, failed: bool, error: BaseException | None, outcome: object) -> None:
        """It is over; called once, before the span is finished, in whatever context.

        :param span: its span, of OpenTracing.
        :param failed: whether the span is one of an error.
        :param error: the exception that was noted, which may be a way to answer and no error.
        :param outcome: as for ``SpanLifecycle.finish``.
        """


class Metrics(Protocol):
    """Makes the measurements."""

    def request_started(self, request: HTTPServerRequest) -> Measurement:
        """A request has a span now."""

    def fetch_started(self, request: HTTPRequest) -> Measurement:
        """A fetch has one; the request is its own, whose callbacks may be replaced."""

    def stop(self) -> None:
        """Measure no more of what goes on by itself; from any thread."""
