# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A name that only the answer tells does not replace what ``start_span_cb`` has called the span."""

from __future__ import annotations

from typing import Any

import pytest
from support import Recorder, Servers
from support.serving import only_span
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, HTTPError, RequestHandler

from tornado_opentracing import init_tracing


class FindsNothing(RequestHandler):
    def get(self, path: str) -> None:
        raise HTTPError(404)


# The spans of OpenTelemetry's shim do not tell what they are called: there, what a callback may have set stays.
@pytest.mark.parametrize("each_recorder", ["ours", "bridge"], indirect=True)
@pytest.mark.parametrize(
    ("called", "expected"), [(None, "GET not_found"), ("mine", "mine")], ids=["not renamed", "renamed"]
)
async def test_what_is_not_found_is_called_so_unless_start_span_cb_called_it_otherwise(
    called: str | None, expected: str, each_recorder: Recorder, servers: Servers, client: AsyncHTTPClient
) -> None:
    def start_span_cb(span: Any, request: Any) -> None:
        if called is not None:
            span.set_operation_name(called)

    init_tracing(each_recorder.tracer, operation_name="route", start_span_cb=start_span_cb, trace_client=False)
    await client.fetch(servers.start(Application([("/(.*)", FindsNothing)])) + "/nowhere", raise_error=False)
    assert (await only_span(each_recorder)).name == expected
