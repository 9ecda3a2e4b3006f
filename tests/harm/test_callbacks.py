# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``start_span_cb`` and ``finish_span_cb`` that misbehave do the application no harm."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support import Recorder, Servers
from support.callbacks import Site, application
from support.outcomes import UnhandledError
from support.serving import only_span, settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import RequestHandler

from tornado_opentracing import init_tracing


def raising(*args: object) -> None:
    raise UnhandledError("a callback")


@pytest.mark.parametrize("name", ["start_span_cb", "finish_span_cb"])
@pytest.mark.parametrize("path", ["/ok", "/raising", "/late"])
async def test_a_callback_that_raises_is_logged_and_changes_nothing(
    path: str,
    name: str,
    each_recorder: Recorder,
    servers: Servers,
    client: AsyncHTTPClient,
    reports: list[logging.LogRecord],
) -> None:
    site = Site()
    site.release.set()
    options: Any = {name: raising}
    init_tracing(each_recorder.tracer, **options)
    response = await client.fetch(servers.start(application(site)) + path, raise_error=False)
    spans = await settled(each_recorder, 2)
    assert {span.status for span in spans} == {response.code}
    assert {span.trace_id for span in spans} == {spans[0].trace_id}
    # The second is left out: at most one a minute.
    (report,) = reports
    assert report.getMessage().startswith(name)
    assert report.exc_info is not None
    assert report.exc_info[0] is UnhandledError


@pytest.mark.parametrize("name", ["start_span_cb", "finish_span_cb"])
async def test_a_callback_of_the_wrong_signature_is_logged_and_changes_nothing(
    name: str, recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    options: Any = {name: lambda span: None}
    init_tracing(recorder.tracer, **options)
    assert (await client.fetch(servers.start(application(Site())) + "/ok")).body == b"ok"
    assert len(await settled(recorder, 2)) == 2
    assert len(reports) == 1


async def test_a_callback_that_finishes_the_response_again_does_no_harm(
    recorder: Recorder, servers: Servers, client: AsyncHTTPClient, reports: list[logging.LogRecord]
) -> None:
    def finishing(span: Any, subject: Any) -> None:
        if isinstance(subject, RequestHandler):
            subject.finish()

    init_tracing(recorder.tracer, finish_span_cb=finishing, trace_client=False)
    assert (await client.fetch(servers.start(application(Site())) + "/ok")).body == b"ok"
    await only_span(recorder)
    assert len(reports) == 1
