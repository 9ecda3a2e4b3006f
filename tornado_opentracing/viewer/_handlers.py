"""The viewer's pages, to be mounted in any Application."""

from __future__ import annotations

import contextlib
import inspect
import ipaddress
import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.ioloop import PeriodicCallback
from tornado.routing import PathMatches, Rule
from tornado.template import Loader
from tornado.web import HTTPError, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tornado_opentracing._hooks.exclusion import exclude
from tornado_opentracing._settings.config import process
from tornado_opentracing.viewer import _pages
from tornado_opentracing.viewer._recording import RecordingTracer

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing.viewer._recording import Trace

logger = logging.getLogger("tornado_opentracing")

_HERE = Path(__file__).parent
_TEMPLATES = Loader(str(_HERE / "templates"))
_LIVE_INTERVAL_MS = 250
_MOST_LISTED = 500
_LONGEST_WANTED = 200

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def viewer_routes(
    tracer: RecordingTracer, prefix: str = "/-/traces", allow: Callable[[HTTPServerRequest], object] | None = None
) -> list[Rule]:
    """Routes of the viewer, for any Application. What is asked of them is not traced.

    :param tracer: whose traces to show.
    :param prefix: the path of the list of traces; the other pages are below it.
    :param allow: ``allow(request)`` says who may see the traces; it is asked for each request. Without it, whoever
        reaches the Application by ``localhost`` or an address may where its setting ``debug`` is true, else nobody.
    :raises ValueError: for a prefix that does not begin with a slash, or ends with one.
    :raises TypeError: for an ``allow`` that cannot be called or is a coroutine, or a tracer of another kind.
    """
    if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+", prefix):
        raise ValueError(f"prefix must be a path like /-/traces, not {prefix!r}")
    if allow is not None and not callable(allow):
        raise TypeError(f"allow must be callable, not {allow!r}")
    if inspect.iscoroutinefunction(allow):
        raise TypeError(f"allow must be a plain function, not the coroutine {allow!r}")
    if not isinstance(tracer, RecordingTracer):
        raise TypeError(f"tracer must be a RecordingTracer, not {tracer!r}")
    options = {"tracer": tracer, "prefix": prefix, "allow": allow}
    path = re.escape(prefix)
    return [
        Rule(_Untraced(path + "/?"), _TraceList, options),
        Rule(_Untraced(path + "/live"), _Live, options),
        Rule(_Untraced(path + r"/static/(viewer\.(?:css|js))"), _Static, {**options, "path": str(_HERE / "static")}),
        Rule(_Untraced(path + r"/([0-9a-f]{1,32})"), _TracePage, options),
        Rule(_Untraced(path + r"/([0-9a-f]{1,32})\.json"), _TraceJson, options),
    ]


class _Untraced(PathMatches):
    """Matches a path, and leaves the request out of tracing."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        found = super().match(request)
        config = process.tracing
        if found is not None and config is not None:
            exclude(request, config)
        return found


def _cannot_be_rebound(host: str) -> bool:
    """Whether no page of elsewhere can have this host: its name would have to lead here, by a DNS of its own."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return True


class _Page(RequestHandler):
    def initialize(
        self, tracer: RecordingTracer, prefix: str, allow: Callable[[HTTPServerRequest], object] | None, **_: Any
    ) -> None:
        self.tracer = tracer
        self.prefix = prefix
        self.allow = allow

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        if self.allow is None and not self.settings.get("debug"):
            logger.warning("the trace viewer is closed: outside of debug mode, viewer_routes needs allow=")
            raise HTTPError(403)
        if self.allow is None and not _cannot_be_rebound(self.request.host_name):
            logger.warning("the trace viewer is closed to hosts by name, unless viewer_routes has allow=")
            raise HTTPError(403)
        if self.allow is not None:
            may = self.allow(self.request)
            if inspect.isawaitable(may):  # which is true, whatever it would say
                raise TypeError("allow must answer at once, not with an awaitable")
            if not may:
                raise HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        texts = {403: "The trace viewer is not open to you.", 404: "There is no such trace, or no longer."}
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(texts.get(status_code, "The trace viewer failed.") + "\n")

    def show(self, template: str, **values: Any) -> None:
        self.finish(_TEMPLATES.load(template).generate(prefix=self.prefix, **values))

    def wanted(self) -> _pages.Filter:
        """What the form above the list asks for; a minimum that is no number is none."""
        # Each trace is compared with it.
        operation, status, least = (
            self.get_query_argument(name, "")[:_LONGEST_WANTED] for name in ("operation", "status", "min_ms")
        )
        try:
            min_ms = float(least or 0)
        except ValueError:
            min_ms = 0.0
        return _pages.Filter(
            operation,
            status,
            min_ms if math.isfinite(min_ms) else 0.0,
        )

    def listed(self, known: dict[int, _pages.Summary] | None = None) -> list[_pages.Summary]:
        return _pages.summaries(self.tracer.traces(), self.wanted(), known)[:_MOST_LISTED]

    def trace(self, trace_id: str) -> Trace:
        trace = self.tracer.trace(int(trace_id, 16))
        if trace is None:
            raise HTTPError(404)
        return trace


class _TraceList(_Page):
    def get(self) -> None:
        self.show("list.html", traces=self.listed(), wanted=self.wanted(), query=self.request.query)


class _TracePage(_Page):
    def get(self, trace_id: str) -> None:
        trace = self.trace(trace_id)
        rows, duration_ms = _pages.rows(trace)
        services = sorted({(row.service, row.colour) for row in rows})
        self.show(
            "trace.html",
            trace=_pages.summary_of(trace),
            rows=rows,
            services=services,
            duration_ms=duration_ms,
            data=_pages.to_script(_pages.as_json(trace)),
        )


class _TraceJson(_Page):
    def get(self, trace_id: str) -> None:
        text = json.dumps(_pages.as_json(self.trace(trace_id)), indent=1, default=str)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="trace-{int(trace_id, 16):x}.json"')
        self.finish(text)


class _Static(_Page, StaticFileHandler):
    def initialize(self, path: str, **options: Any) -> None:  # type: ignore[override]
        _Page.initialize(self, **options)
        StaticFileHandler.initialize(self, path)

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        self.set_header("Cache-Control", "no-cache")


class _Live(_Page, WebSocketHandler):
    """Sends the rows of the list, filtered as the page is, whenever they change."""

    def open(self) -> None:
        self._version = self.tracer.version
        self._sent = b""
        self._sending: Any = None
        self._known: dict[int, _pages.Summary] = {}
        self._check = PeriodicCallback(self._send_if_changed, _LIVE_INTERVAL_MS)
        self._check.start()
        self._send()

    def _send_if_changed(self) -> None:
        # What a client has not read yet is not added to.
        if self.tracer.version != self._version and (self._sending is None or self._sending.done()):
            self._version = self.tracer.version
            self._send()

    def _send(self) -> None:
        found = _TEMPLATES.load("rows.html").generate(prefix=self.prefix, traces=self.listed(self._known))
        if found != self._sent:
            self._sent = found
            with contextlib.suppress(WebSocketClosedError):
                self._sending = self.write_message(found.decode())
                self._sending.add_done_callback(lambda sending: sending.cancelled() or sending.exception())

    def on_message(self, message: str | bytes) -> None:
        """Nothing is expected."""

    def on_close(self) -> None:
        self._check.stop()
