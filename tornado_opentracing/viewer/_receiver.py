# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What takes spans over HTTP: OTLP as JSON, and as protobuf where what reads that is installed."""

from __future__ import annotations

import json
import zlib
from typing import Any
from urllib.parse import urlsplit

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._otlp_in import decode, from_protobuf
from tornado_opentracing.viewer._otlp_out import encode
from tornado_opentracing.viewer._recording import RecordingTracer
from tornado_opentracing.viewer._remote import BELIEVED, forget_the_lost, record

#: Where OTLP over HTTP is sent.
PATH = "/v1/traces"

#: Bytes of a body, compressed or not.
MOST_BYTES = 16 * 1024 * 1024

_PROTOBUF = "application/x-protobuf"


class Receiver(RequestHandler):
    """Takes spans by POST, from who may see the traces; never from a page of elsewhere in somebody's browser."""

    def initialize(self, tracer: RecordingTracer, access: Access, **_: Any) -> None:
        self.tracer = tracer
        self.access = access

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        refusal = self.access.refusal(self.request, is_debug=bool(self.settings.get("debug")))
        if refusal is not None or not self._is_of_here():
            raise HTTPError(403)

    def check_xsrf_cookie(self) -> None:
        """A browser's request is known by its ``Origin``; other processes have no cookies."""

    def post(self) -> None:
        body = self._body()
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            if kind == "application/json":
                message: Any = json.loads(body)
            elif kind == _PROTOBUF:
                message = from_protobuf(body)
            else:
                raise HTTPError(415)
            store = self.tracer._store
            _, wrong = record(store, decode(message))
            if store.elsewhere:
                IOLoop.current().call_later(BELIEVED + 1, forget_the_lost, store)
        except ImportError:
            raise HTTPError(415) from None
        except (ValueError, RecursionError):
            raise HTTPError(400) from None
        self.set_header("Content-Type", kind)
        if kind == _PROTOBUF:
            self.finish(b"")
        elif wrong:
            self.finish({"partialSuccess": {"rejectedSpans": str(wrong), "errorMessage": "spans without valid ids"}})
        else:
            self.finish({"partialSuccess": {}})

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: OTLP is taken as JSON, or as protobuf with the extra 'opentelemetry'\n")

    def _is_of_here(self) -> bool:
        """Whether it comes from no browser, or from a page of this very host."""
        origin = self.request.headers.get("Origin")
        site = self.request.headers.get("Sec-Fetch-Site", "none")
        is_own = origin is None or urlsplit(origin).netloc.lower() == self.request.host.lower()
        return is_own and site in {"none", "same-origin"}

    def _body(self) -> bytes:
        body = self.request.body
        encoding = self.request.headers.get("Content-Encoding", "identity").lower()
        if encoding == "gzip":
            try:
                body = zlib.decompressobj(31).decompress(body, MOST_BYTES + 1)
            except zlib.error:
                raise HTTPError(400) from None
        elif encoding != "identity":
            raise HTTPError(415)
        if len(body) > MOST_BYTES:
            raise HTTPError(413)
        return body


class Import(Receiver):
    """Takes a file that somebody drags onto the list; it answers with the ids of the traces in it."""

    def post(self) -> None:
        try:
            spans = list(decode(json.loads(self._body())))
        except (ValueError, RecursionError):
            raise HTTPError(400) from None
        record(self.tracer._store, spans)
        traces = dict.fromkeys(f"{span.trace_id:x}" for span in spans if span is not None)
        if not traces:
            raise HTTPError(400)
        self.finish({"traces": list(traces)})


class Export(Receiver):
    """A trace as a file of OTLP in JSON."""

    def get(self, trace_id: str) -> None:
        trace = self.tracer.trace(int(trace_id, 16))
        if trace is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Disposition", f'attachment; filename="trace-{trace.trace_id:x}.otlp.json"')
        self.finish(encode(trace.spans))

    def post(self, *_: str) -> None:
        raise HTTPError(405)
