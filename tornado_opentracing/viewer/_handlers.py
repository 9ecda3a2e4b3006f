# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The viewer's pages, to be mounted in any Application."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tornado.ioloop import IOLoop
from tornado.routing import PathMatches, Rule
from tornado.web import RequestHandler, StaticFileHandler

from tornado_opentracing._hooks.exclusion import exclude
from tornado_opentracing._settings.applications import UNCONFIGURED
from tornado_opentracing._settings.config import process
from tornado_opentracing.viewer import _operations, _pages
from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._listing import Listing
from tornado_opentracing.viewer._live import ListLive, TraceLive
from tornado_opentracing.viewer._page import HERE, Page
from tornado_opentracing.viewer._receiver import Export, Import
from tornado_opentracing.viewer._recording import RecordingTracer

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest


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
        ("/live", ListLive, options),
        (r"/list\.json", _ListJson, options),
        (r"/words\.json", _Words, options),
        ("/operations", _Operations, options),
        (r"/static/([a-z]+\.(?:css|js))", _Static, {**options, "path": str(HERE / "static")}),
        (r"/([0-9a-f]{1,32})", _TracePage, options),
        (r"/([0-9a-f]{1,32})/live", TraceLive, options),
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


#: Of the table of operations: by what it is sorted, its title, and its class.
_COLUMNS = [
    ("operation", "Operation", "operation"),
    ("count", "Calls", "number count"),
    ("errors", "Errors", "number errors"),
    ("p50_ms", "p50", "number"),
    ("p95_ms", "p95", "number"),
    ("p99_ms", "p99", "number"),
    ("total_ms", "Total", "number"),
    ("self_ms", "Self", "number self"),
    ("", "Over time", "spark"),
]


#: What the script of a trace's page imports, asked for before that says so.
_SCRIPTS = ["bars", "compare", "curl", "dom", "flame", "keys", "model", "panel", "waterfall", "zoom"]


class _TraceList(Page):
    def get(self) -> None:
        wanted = self.wanted()
        listing = Listing(wanted).all(self.tracer.traces())
        self.show("list.html", wanted=wanted, data=_pages.to_script(listing))


class _Operations(Page):
    async def get(self) -> None:
        # It takes a while, in which the application's own requests go on.
        found = await IOLoop.current().run_in_executor(None, _operations.operations, self.tracer.traces())
        self.show("operations.html", traces=found["traces"], columns=_COLUMNS, data=_pages.to_script(found))


class _Words(Page):
    def get(self) -> None:
        self.finish(_operations.words(self.tracer.traces()))


class _ListJson(Page):
    def get(self) -> None:
        self.finish(Listing(self.wanted()).all(self.tracer.traces()))


class _TracePage(Page):
    def get(self, trace_id: str) -> None:
        summary = _pages.summary_of(self.trace(trace_id))
        # An Application that is not traced has taken none of the requests that are shown.
        serves = self.settings.get("opentracing_trace_all", True)
        self.show("trace.html", serves=serves, summary=summary, scripts=_SCRIPTS)


class _TraceJson(Page):
    def get(self, trace_id: str) -> None:
        text = _pages.to_text(_pages.as_json(self.trace(trace_id)))
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="trace-{int(trace_id, 16):x}.json"')
        self.finish(text)


class _Static(Page, StaticFileHandler):
    def initialize(self, path: str, **options: Any) -> None:  # type: ignore[override]
        Page.initialize(self, **options)
        StaticFileHandler.initialize(self, path)

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        self.set_header("Cache-Control", "no-cache")
