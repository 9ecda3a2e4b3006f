"""The viewer's pages, to be mounted in any Application."""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.ioloop import PeriodicCallback
from tornado.routing import PathMatches, Rule
from tornado.template import Loader
from tornado.web import HTTPError, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.exclusion import exclude
from tornado_opentracing._settings.applications import UNCONFIGURED
from tornado_opentracing._settings.config import process
from tornado_opentracing.viewer import _pages
from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._receiver import Export, Import
from tornado_opentracing.viewer._recording import RecordingTracer

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from tornado_opentracing.viewer._trace import Trace

_HERE = Path(__file__).parent
_TEMPLATES = Loader(str(_HERE / "templates"))
_LIVE_INTERVAL_MS = 250
_MOST_LISTED = 500
_LONGEST_WANTED = 200

#: Seconds after which whoever has a page open is asked about again, though nothing is sent.
_ASK_AGAIN = 1.0
_POLICY_VIOLATION = 1008

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def viewer_routes(
    tracer: RecordingTracer,
    prefix: str = "/-/traces",
    allow: Callable[[HTTPServerRequest], object] | None = None,
    *,
    hosts: Iterable[str] = (),
) -> list[Rule]:
    """Routes of the viewer, for any Application. What is asked of them is not traced.

    Put them before any route that matches everything: what another route matches first is not the viewer's. That is
    logged, once, where such a request is traced.

    :param tracer: whose traces to show.
    :param prefix: the path of the list of traces; the other pages are below it.
    :param allow: ``allow(request)`` says who may see the traces. It is a plain function, asked with the handler's
        :class:`tornado.httputil.HTTPServerRequest` for each request, and again while a page is kept up to date over a
        WebSocket. Without it, who is connected from this machine, and through no proxy, may see them where the
        Application's setting ``debug`` is true, else nobody.
    :param hosts: the names by which the viewer may be asked for, beside ``localhost`` and addresses; with ``allow``
        too, for a page of elsewhere could otherwise have a name of its own lead here.
    :raises ValueError: for a prefix that does not begin with a slash, or ends with one.
    :raises TypeError: for an ``allow`` that cannot be called or is a coroutine, ``hosts`` that are no list of names, or
        a tracer of another kind.
    """
    if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+", prefix):
        raise ValueError(f"prefix must be a path like /-/traces, not {prefix!r}")
    if not isinstance(tracer, RecordingTracer):
        raise TypeError(f"tracer must be a RecordingTracer, not {tracer!r}")
    options = {"tracer": tracer, "prefix": prefix, "access": Access(allow, hosts)}
    path = re.escape(prefix)
    handlers: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [
        ("/?", _TraceList, options),
        ("/live", _Live, options),
        (r"/static/(viewer\.(?:css|js))", _Static, {**options, "path": str(_HERE / "static")}),
        (r"/([0-9a-f]{1,32})", _TracePage, options),
        (r"/([0-9a-f]{1,32})\.json", _TraceJson, options),
        (r"/([0-9a-f]{1,32})\.otlp\.json", Export, options),
        ("/import", Import, options),
    ]
    matchers = [_Untraced(path + below) for below, *_ in handlers]
    tracer._not_to_be_traced([matcher.regex for matcher in matchers])
    return [Rule(matcher, handler, options) for matcher, (_, handler, options) in zip(matchers, handlers, strict=True)]


class _Untraced(PathMatches):
    """Matches a path, and leaves the request out of tracing."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        found = super().match(request)
        if found is not None:
            # Though nothing is traced: it may be switched on before the handler is reached.
            exclude(request, process.tracing or UNCONFIGURED)
        return found


class _Page(RequestHandler):
    def initialize(self, tracer: RecordingTracer, prefix: str, access: Access, **_: Any) -> None:
        self.tracer = tracer
        self.prefix = prefix
        self.access = access
        self.refusal: str | None = None

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        if not self.may_see():
            raise HTTPError(403)

    def may_see(self) -> bool:
        self.refusal = self.access.refusal(self.request, is_debug=bool(self.settings.get("debug")))
        return self.refusal is None

    def write_error(self, status_code: int, **_: Any) -> None:
        texts = {
            403: f"The trace viewer is not open to you: {self.refusal}.",
            404: "There is no such trace, or no longer.",
        }
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
        self._asked = time.monotonic()
        self._check = PeriodicCallback(self._send_if_changed, _LIVE_INTERVAL_MS)
        self._check.start()
        self._send()

    def _send_if_changed(self) -> None:
        is_changed = self.tracer.version != self._version
        if (is_changed or time.monotonic() > self._asked + _ASK_AGAIN) and not self._may_still_see():
            self._check.stop()
            self.close(_POLICY_VIOLATION)
            return
        # What a client has not read yet is not added to.
        if is_changed and (self._sending is None or self._sending.done()):
            self._version = self.tracer.version
            self._send()

    def _may_still_see(self) -> bool:
        self._asked = time.monotonic()
        try:
            return self.may_see()
        except Exception:
            report("allow")
            return False

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
