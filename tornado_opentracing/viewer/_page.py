# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What all pages of the viewer have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.template import Loader
from tornado.web import HTTPError, RequestHandler

from tornado_opentracing.viewer._listing import ORDERS, Wanted

if TYPE_CHECKING:
    from tornado_opentracing.viewer._access import Access
    from tornado_opentracing.viewer._recording import RecordingTracer
    from tornado_opentracing.viewer._trace import Trace

HERE = Path(__file__).parent
_TEMPLATES = Loader(str(HERE / "templates"))
_LAST_PAGE = 10_000

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Page(RequestHandler):
    """Whatever the viewer answers: to whom it may, and with what the page must not do."""

    def initialize(self, tracer: RecordingTracer, prefix: str, access: Access, **_: Any) -> None:
        self.tracer = tracer
        self.prefix = prefix
        self.access = access
        self.refusal: str | None = None

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        if not self.may_see():
            raise HTTPError(403)

    def may_see(self) -> bool:
        """Whether who asks may see the traces."""
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
        """Answer with a page."""
        self.finish(_TEMPLATES.load(template).generate(prefix=self.prefix, **values))

    def trace(self, trace_id: str) -> Trace:
        """The trace that the path names."""
        trace = self.tracer.trace(int(trace_id, 16))
        if trace is None:
            raise HTTPError(404)
        return trace

    def wanted(self) -> Wanted:
        """What the address asks of the list."""
        page = self.get_query_argument("page", "1")
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < 6 else 1
        search, sort = self.get_query_argument("q", ""), self.get_query_argument("sort", "-time")
        sort = sort if sort.removeprefix("-") in ORDERS else "-time"
        return Wanted(search, sort, min(max(number, 1), _LAST_PAGE))
