# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Outside of any request: which of several tracers and settings counts for a fetch."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from support import MockRecorder, Recorder, Servers, only, span_id
from support.applications import application, kinds, tracing_of
from tornado.httpclient import AsyncHTTPClient

from tornado_opentracing import init_client_tracing, init_tracing


async def fetched_by(recorders: dict[str, Recorder], client: AsyncHTTPClient, url: str) -> str | None:
    """Whose tracer a fetch made here and now has a span of, if any."""
    before = {name: len(recorder.finished) for name, recorder in recorders.items()}
    await client.fetch(f"{url}/leaf")
    grown = [name for name, recorder in recorders.items() if len(recorder.finished) > before[name]]
    assert len(grown) <= 1
    return grown[0] if grown else None


async def test_outside_of_requests_the_tracer_given_to_init_tracing_counts(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str
) -> None:
    opentracing.set_global_tracer(recorders["global"].tracer)
    init_tracing(recorders["init"].tracer)
    newest = application(client, **tracing_of(recorders["one"]))
    assert await fetched_by(recorders, client, untraced) == "init"
    del newest


@pytest.mark.parametrize("order", [1, -1])
async def test_outside_of_requests_the_tracer_given_to_init_client_tracing_counts_more(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str, order: int
) -> None:
    opentracing.set_global_tracer(recorders["global"].tracer)
    inits: list[Callable[[], None]] = [
        lambda: init_client_tracing(recorders["client init"].tracer),
        lambda: init_tracing(recorders["init"].tracer),
    ]
    for init in inits[::order]:
        init()
    newest = application(client, **tracing_of(recorders["one"]))
    assert await fetched_by(recorders, client, untraced) == "client init"
    del newest


async def test_within_a_request_the_own_application_counts_more_than_init_client_tracing(
    recorders: dict[str, Recorder], servers: Servers, client: AsyncHTTPClient, untraced: str
) -> None:
    init_tracing(recorders["init"].tracer)
    init_client_tracing(recorders["client init"].tracer)
    own = servers.start(application(client, **tracing_of(recorders["one"])))
    await client.fetch(f"{own}/front?url={untraced}/leaf")
    assert kinds(recorders["one"]) == ["client", "server"]
    assert kinds(recorders["client init"]) == ["client"]
    assert kinds(recorders["init"]) == []


async def test_outside_of_requests_the_newest_application_counts_where_init_tracing_was_given_no_tracer(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str
) -> None:
    opentracing.set_global_tracer(recorders["global"].tracer)
    init_tracing()
    assert await fetched_by(recorders, client, untraced) == "global"
    one = application(client, **tracing_of(recorders["one"]))
    assert await fetched_by(recorders, client, untraced) == "one"
    two = application(client, **tracing_of(recorders["two"]))
    assert await fetched_by(recorders, client, untraced) == "two"
    del one, two


async def test_outside_of_requests_the_newest_applications_settings_count_too(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str
) -> None:
    init_tracing()
    called: list[Any] = []
    one = application(client, **tracing_of(recorders["one"], start_span_cb=lambda span, request: called.append(span)))
    assert await fetched_by(recorders, client, untraced) == "one"
    assert [span_id(span) for span in called] == [only(recorders["one"].finished).span_id]
    two = application(client, **tracing_of(recorders["two"], trace_client=False))
    assert await fetched_by(recorders, client, untraced) is None
    del one, two


async def test_outside_of_requests_the_global_tracer_counts_where_nobody_was_given_one(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str
) -> None:
    init_tracing()
    plain = application(client)
    assert await fetched_by(recorders, client, untraced) is None
    opentracing.set_global_tracer(recorders["global"].tracer)
    assert await fetched_by(recorders, client, untraced) == "global"
    del plain


async def test_within_a_request_outside_settings_do_not_matter(
    recorders: dict[str, Recorder], servers: Servers, client: AsyncHTTPClient, untraced: str
) -> None:
    """Not even where the newest Application is another one."""
    init_tracing()
    one = servers.start(application(client, **tracing_of(recorders["one"])))
    two = application(client, **tracing_of(recorders["two"]))
    await client.fetch(f"{one}/front?url={untraced}/leaf")
    assert kinds(recorders["one"]) == ["client", "server"]
    assert kinds(recorders["two"]) == ["client"]
    del two


async def test_a_newest_application_that_is_gone_is_forgotten(
    recorders: dict[str, Recorder], client: AsyncHTTPClient, untraced: str
) -> None:
    opentracing.set_global_tracer(recorders["global"].tracer)
    init_tracing()
    newest = application(client, **tracing_of(recorders["one"]))
    assert await fetched_by(recorders, client, untraced) == "one"
    del newest
    gc.collect()
    assert await fetched_by(recorders, client, untraced) == "global"


@pytest.mark.parametrize("is_served", [False, True])
async def test_tracing_keeps_no_application_alive(recorder: Recorder, client: AsyncHTTPClient, is_served: bool) -> None:
    init_tracing(recorder.tracer)
    own = application(client, **tracing_of(MockRecorder()))
    if is_served:
        servers = Servers()
        await client.fetch(servers.start(own) + "/leaf")
        await servers.stop()
        del servers
    gone = weakref.ref(own)
    del own
    for _ in range(10):  # the connection's last callbacks
        await asyncio.sleep(0)
    gc.collect()
    assert gone() is None
