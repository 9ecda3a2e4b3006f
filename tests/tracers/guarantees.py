# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a tracer must do under this package, whoever wrote it: the tests of each tracer inherit these."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
from opentracing import Format
from support import Recorded, Recorder, Servers, children, only
from support.serving import settled
from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TraceIdFilter, init_tracing

FETCHES = 3


class TracerRecorder:
    """A tracer whose finished spans somebody can list.

    :param finished_spans: lists the tracer's finished spans.
    :param read: makes a record of one.
    """

    def __init__(
        self, tracer: Any, finished_spans: Callable[[], Sequence[Any]], read: Callable[[Any], Recorded]
    ) -> None:
        self.tracer = tracer
        self._finished_spans = finished_spans
        self._read = read
        self._started = 0
        self._start_span = tracer.start_span
        tracer.start_span = self._count

    def _count(self, *args: Any, **kwargs: Any) -> Any:
        self._started += 1
        return self._start_span(*args, **kwargs)

    @property
    def finished(self) -> list[Recorded]:
        return [self._read(span) for span in self._finished_spans()]

    @property
    def unfinished(self) -> int:
        return self._started - len(self._finished_spans())


def shop(tracer: Any, servers: Servers) -> str:
    """Start a server whose page gathers items from itself, each beneath a span of its own; return its URL."""
    waiting: list[str] = []
    all_there = asyncio.Event()

    class Item(RequestHandler):
        async def get(self, number: str) -> None:
            with tracer.start_active_span(f"look for item {number}"):
                waiting.append(number)
                if len(waiting) == FETCHES:
                    all_there.set()
                await all_there.wait()
            self.write(number)

    class Page(RequestHandler):
        async def get(self) -> None:
            for body in await asyncio.gather(*map(self.item, range(FETCHES))):
                self.write(body)

        async def item(self, number: int) -> bytes:
            with tracer.start_active_span(f"ask for item {number}"):
                response = await AsyncHTTPClient().fetch(f"{url}/item/{number}")
            return response.body

    url = servers.start(Application([("/", Page), ("/item/([0-9]+)", Item)]))
    return url


class Greeting(RequestHandler):
    def get(self) -> None:
        self.write("hello")


class Guarantees(abc.ABC):
    """Inherit it, say how the tracer is made, and what is wrong in a header that it cannot read."""

    corrupt_header: ClassVar[tuple[str, str]]
    #: What it says that it is.
    service: ClassVar[str] = ""

    @abc.abstractmethod
    def make_recorder(self, **kwargs: Any) -> Recorder:
        """The tracer, with these keywords."""

    @pytest.fixture
    def recorder(self) -> Recorder:
        """The tracer as README says it is made."""
        return self.make_recorder(scope_manager=ContextVarsScopeManager())

    async def test_gathered_fetches_have_their_own_parents_across_the_servers(
        self, recorder: Recorder, servers: Servers
    ) -> None:
        init_tracing(recorder.tracer)
        response = await AsyncHTTPClient().fetch(shop(recorder.tracer, servers))
        assert response.body == b"012"
        spans = await settled(recorder, 2 + 4 * FETCHES)
        assert len({span.trace_id for span in spans}) == 1
        assert len(spans) == len({span.span_id for span in spans}) == 2 + 4 * FETCHES
        first = only(spans, parent_id=None)
        assert (first.name, first.kind, first.status) == ("GET", "client", 200)
        page = only(children(spans, first))
        assert (page.name, page.kind, page.status) == ("Page", "server", 200)
        asking = children(spans, page)
        assert sorted(span.name for span in asking) == [f"ask for item {number}" for number in range(FETCHES)]
        for span in asking:
            number = span.name[-1]
            fetch = only(children(spans, span))
            assert (fetch.name, fetch.kind, fetch.path) == ("GET", "client", f"/item/{number}")
            item = only(children(spans, fetch))
            assert (item.name, item.kind, item.path) == ("Item", "server", f"/item/{number}")
            assert only(children(spans, item)).name == f"look for item {number}"

    async def test_under_its_own_default_scope_manager_spans_are_lost_and_a_warning_says_so(
        self, servers: Servers
    ) -> None:
        recorder = self.make_recorder()
        with pytest.warns(RuntimeWarning, match="ThreadLocalScopeManager"):
            init_tracing(recorder.tracer)
        response = await AsyncHTTPClient().fetch(shop(recorder.tracer, servers))
        assert response.body == b"012"
        assert recorder.unfinished

    async def test_an_exception_is_on_the_spans_of_both_sides(
        self, recorder: Recorder, servers: Servers, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(RequestHandler):
            def get(self) -> None:
                raise KeyError("lost")

        init_tracing(recorder.tracer)
        url = servers.start(Application([("/", Broken)]))
        with caplog.at_level(logging.CRITICAL, "tornado"):
            response = await AsyncHTTPClient().fetch(url, raise_error=False)
        assert response.code == 500
        spans = await settled(recorder, 2)
        for span in spans:
            assert span.is_error
            assert span.status == 500
        log = only(spans, kind="server").logs[-1]
        assert log["event"] == "error"
        assert log["error.kind"] == "KeyError"
        assert log["message"] == "'lost'"
        assert "in get" in log["stack"]

    async def test_a_caller_s_trace_and_baggage_go_on(self, recorder: Recorder, servers: Servers) -> None:
        carried = []

        class Bag(RequestHandler):
            def get(self) -> None:
                span = recorder.tracer.active_span
                assert span is not None
                carried.append(span.get_baggage_item("customer"))

        init_tracing(recorder.tracer, trace_client=False)
        url = servers.start(Application([("/", Bag)]))
        with recorder.tracer.start_active_span("caller", ignore_active_span=True) as scope:
            scope.span.set_baggage_item("customer", "forty-two")
            headers: dict[str, str] = {}
            recorder.tracer.inject(scope.span.context, Format.HTTP_HEADERS, headers)
        await AsyncHTTPClient().fetch(url, headers=headers)
        spans = await settled(recorder, 2)
        caller = only(spans, name="caller")
        assert [span.name for span in children(spans, caller)] == ["Bag"]
        assert carried == ["forty-two"]

    async def test_the_log_says_which_trace_a_line_belongs_to(
        self, recorder: Recorder, servers: Servers, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Logs(RequestHandler):
            def get(self) -> None:
                logging.getLogger("shop").warning("sold")

        init_tracing(recorder.tracer, trace_client=False)
        url = servers.start(Application([("/", Logs)]))
        caplog.handler.addFilter(TraceIdFilter())
        with caplog.at_level(logging.INFO):
            await AsyncHTTPClient().fetch(url)
            span = only(await settled(recorder))
            logging.getLogger("shop").warning("closed")
        lines: list[Any] = [record for record in caplog.records if record.name in ("shop", "tornado.access")]
        ids = (f"{span.trace_id:032x}", f"{span.span_id:016x}")
        assert [(line.trace_id, line.span_id) for line in lines] == [ids, ids, ("0" * 32, "0" * 16)]
        assert {line.service for line in lines} == {self.service}

    async def test_a_header_that_it_cannot_read_is_logged_and_starts_a_new_trace(
        self, recorder: Recorder, servers: Servers, reports: list[logging.LogRecord]
    ) -> None:
        init_tracing(recorder.tracer, trace_client=False)
        url = servers.start(Application([("/", Greeting)]))
        response = await AsyncHTTPClient().fetch(url, headers=dict([self.corrupt_header]))
        assert response.body == b"hello"
        assert only(await settled(recorder)).parent_id is None
        assert len(reports) == 1
