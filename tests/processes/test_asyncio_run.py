# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``asyncio.run``, ``asyncio.Runner`` and Tornado's ``run_sync``: how the loop is made and ended changes no span."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tornado
from support import Recorder, active_id, children, only
from support.loops import application, check_tree, serving
from support.serving import connection, settled
from tornado.httpclient import AsyncHTTPClient, HTTPClient
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing


def by_run(main: Any) -> None:
    asyncio.run(main())


def by_debugged_run(main: Any) -> None:
    asyncio.run(main(), debug=True)


def by_run_sync(main: Any) -> None:
    """Tornado's own, where no loop was made before: Python 3.14 makes none by itself any more."""
    asyncio.set_event_loop(None)
    loop = IOLoop()
    try:
        loop.run_sync(main)
    finally:
        loop.close()


def by_runner(main: Any) -> None:
    if sys.version_info >= (3, 11):
        with asyncio.Runner() as runner:
            runner.run(main())


def by_loop_factory(main: Any) -> None:
    if sys.version_info >= (3, 12):
        asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop)


def since(python: tuple[int, int], run: Callable[[Any], None]) -> Any:
    return pytest.param(run, marks=pytest.mark.skipif(sys.version_info < python, reason=f"came with Python {python}"))


# Before 6.3 Tornado itself asks asyncio for a loop that is not there, which is deprecated.
RUN_SYNC = pytest.param(
    by_run_sync, marks=pytest.mark.skipif(tornado.version_info < (6, 3), reason="needs Tornado 6.3")
)
WAYS = [by_run, by_debugged_run, RUN_SYNC, since((3, 11), by_runner), since((3, 12), by_loop_factory)]
every_way = pytest.mark.parametrize("way", WAYS)


def elsewhere(function: Callable[..., Any], *args: Any) -> Any:
    """In a thread that never had an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(30)


@every_way
def test_requests_are_traced_however_the_loop_is_run(each_recorder: Recorder, way: Callable[[Any], None]) -> None:
    """Twice, for the second loop finds what the first one left."""
    init_tracing(each_recorder.tracer)

    async def main() -> None:
        seen = len(each_recorder.finished)
        async with serving(application(each_recorder.tracer)) as url, connection(url) as opened:
            assert await opened.get("/tree") == (200, "leaf")
            spans = (await settled(each_recorder, seen + 8))[seen:]
            check_tree(spans, spans)
        assert active_id(each_recorder.tracer) is None

    for _ in range(2):
        elsewhere(way, main)


class Waiting(RequestHandler):
    """Never answers by itself."""

    async def get(self) -> None:
        self.settings["arrived"].set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("way", [by_run, since((3, 11), by_runner), since((3, 12), by_loop_factory)])
def test_what_is_at_work_when_the_loop_ends_is_finished_once(
    each_recorder: Recorder, way: Callable[[Any], None]
) -> None:
    """The server is stopped, then whatever task there is is cancelled."""
    init_tracing(each_recorder.tracer)

    async def main() -> None:
        arrived = asyncio.Event()
        async with serving(Application([("/", Waiting)], arrived=arrived)) as url:
            client: Any = AsyncHTTPClient(force_instance=True)
            fetching = asyncio.ensure_future(client.fetch(url))
            fetching.add_done_callback(lambda fetched: fetched.cancelled() or fetched.exception())
            await arrived.wait()

    elsewhere(way, main)
    assert each_recorder.unfinished == 0
    fetch, request = (only(each_recorder.finished, kind=kind) for kind in ("client", "server"))
    assert children(each_recorder.finished, fetch) == [request]
    assert len(each_recorder.finished) == 2


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, as it does where nobody said otherwise; a process of pytest-xdist's ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.run takes Ctrl-C from Python 3.11 on")
def test_what_ctrl_c_cancels_is_finished_once(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)

    async def main() -> None:
        arrived = asyncio.Event()
        async with serving(Application([("/", Waiting)], arrived=arrived, url="")) as url:
            client: Any = AsyncHTTPClient(force_instance=True)
            with tracer.start_active_span("main"):
                fetching = asyncio.ensure_future(client.fetch(url))
                await arrived.wait()
                signal.raise_signal(signal.SIGINT)
                await fetching

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    spans = each_recorder.finished
    assert each_recorder.unfinished == 0
    assert len(spans) == len({span.span_id for span in spans}) == 3
    fetch = only(children(spans, only(spans, name="main")))
    assert only(children(spans, fetch)).kind == "server"
    assert active_id(tracer) is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.Runner came with Python 3.11")
def test_a_runners_calls_share_a_context_and_its_requests_none_of_it(each_recorder: Recorder) -> None:
    """What one call leaves active is there in the next, as the Runner's documentation has it; requests are roots."""
    tracer = each_recorder.tracer
    init_tracing(tracer)
    left: list[Any] = []

    async def leave_open() -> None:
        left.append(tracer.start_active_span("left"))

    async def serve() -> int | None:
        async with serving(application(tracer)) as url, connection(url) as opened:
            assert await opened.get("/leaf") == (200, "leaf")
        return active_id(tracer)

    def run() -> int | None:
        with asyncio.Runner() as runner:
            runner.run(leave_open())
            found = runner.run(serve())
            left[0].span.finish()
            return found

    found = elsewhere(run)
    spans = each_recorder.finished
    assert only(spans, name="left").span_id == found
    assert only(spans, name="Leaf").parent_id is None
    assert len(spans) == 2


def test_a_blocking_client_is_traced_where_there_is_no_event_loop(each_recorder: Recorder) -> None:
    tracer = each_recorder.tracer
    init_tracing(tracer)
    ready, over = threading.Event(), threading.Event()
    urls: list[str] = []

    async def main() -> None:
        async with serving(application(tracer)) as url:
            urls.append(url)
            ready.set()
            await asyncio.get_running_loop().run_in_executor(None, over.wait, 20)

    def fetch() -> None:
        client = HTTPClient()
        with tracer.start_active_span("caller"):
            assert client.fetch(urls[0] + "/leaf").body == b"leaf"
        client.close()

    with ThreadPoolExecutor(1) as pool:
        serving_thread = pool.submit(asyncio.run, main())
        assert ready.wait(20)
        try:
            elsewhere(fetch)
        finally:
            over.set()
        serving_thread.result(20)
    spans = each_recorder.finished
    client_span = only(children(spans, only(spans, name="caller")))
    assert only(children(spans, client_span)).name == "Leaf"
