# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One request that an Application took has one server span, from the making of its handler to the end of the response.

Whoever serves it in between, and whenever: a fallback, another handler, another Application, a task.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tornado
from opentracing import Format
from support import Recorder, Servers, only
from support.serving import connection, settled, until
from tornado import gen
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.web import Application, FallbackHandler, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect
from tornado.wsgi import WSGIContainer

from tornado_opentracing import init_tracing

# What handlers did that were there before init_tracing: their class has captured what it replaces.
_EXECUTE, _FINISH = RequestHandler._execute, RequestHandler.finish


@dataclasses.dataclass
class Site:
    """What the code of a request did, told by itself."""

    tracer: Any
    answered_at: float = 0.0
    worked: int = 0

    def work(self) -> None:
        """Open a span of the application's own."""
        self.worked += 1
        with self.tracer.start_active_span("work"):
            pass

    def answers(self) -> None:
        self.work()
        self.answered_at = time.time()


class OnSite(RequestHandler):
    @property
    def site(self) -> Site:
        site: Site = self.settings["site"]
        return site

    def answer(self, status: int = 200) -> None:
        self.site.answers()
        self.set_status(status)
        self.finish("answered")


class Plain(OnSite):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.answer(201)


class Fails(OnSite):
    async def get(self) -> None:
        self.site.answers()
        await asyncio.sleep(0)
        raise UnexpectedError("oops")


class UnexpectedError(Exception):
    pass


Make = Callable[[Site], Application]


def application(handlers: list[Any], site: Site, **settings: Any) -> Application:
    return Application(handlers, site=site, log_function=lambda handler: None, **settings)


# Fallbacks.


def wsgi(status: str, pool: bool) -> Make:
    def make(site: Site) -> Application:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            site.answers()
            start_response(status, [("Content-Type", "text/plain")])
            return [b"answered"]

        options: Any = {"executor": ThreadPoolExecutor(1)} if pool else {}
        return application([("/.*", FallbackHandler, {"fallback": WSGIContainer(app, **options)})], site)

    return make


def answer_by_connection(site: Site, request: HTTPServerRequest, status: int) -> None:
    connection: Any = request.connection
    site.answers()
    headers = HTTPHeaders({"Content-Length": "8"})
    connection.write_headers(ResponseStartLine("HTTP/1.1", status, "Whatever"), headers, b"answered")
    connection.finish()


def fallback_that_answers_later(status: int) -> Make:
    def make(site: Site) -> Application:
        def fallback(request: HTTPServerRequest) -> None:
            site.work()
            asyncio.get_running_loop().call_later(0.01, answer_by_connection, site, request, status)

        return application([("/.*", FallbackHandler, {"fallback": fallback})], site)

    return make


class SetsFinished(OnSite):
    """As OctoPrint's fallback does."""

    async def prepare(self) -> None:
        self._finished = True
        asyncio.get_running_loop().call_later(0.01, answer_by_connection, self.site, self.request, 200)


# Deferred answers.


class DefersFinish(OnSite):
    """``_auto_finish`` is True: Tornado would have finished, but for a ``finish`` of the handler's own."""

    def get(self) -> None:
        self.site.work()

    def finish(self, chunk: Any = None) -> Any:
        async def later() -> None:
            await asyncio.sleep(0.01)
            self.site.answers()
            super(DefersFinish, self).finish("answered")

        return asyncio.ensure_future(later())


class DefersError(OnSite):
    def prepare(self) -> None:
        raise UnexpectedError("oops")

    def _handle_request_exception(self, e: BaseException) -> None:
        asyncio.get_running_loop().call_later(0.01, self.later)

    def later(self) -> None:
        self.site.answers()
        self.send_error(503)


class DefersErrorByCoroutine(OnSite):
    def get(self) -> None:
        raise UnexpectedError("oops")

    @gen.coroutine
    def _handle_request_exception(self, e: BaseException) -> Any:  # type: ignore[override]
        self.site.work()
        yield gen.sleep(0.01)
        self.site.answers()
        self.send_error(500)


class HandlesErrorsItself(OnSite):
    def get(self) -> None:
        raise UnexpectedError("oops")

    def _handle_request_exception(self, e: BaseException) -> None:
        self.answer(503)


# Handed on.


class HandsOn(OnSite):
    auto = True

    async def get(self) -> None:
        self.site.work()
        if not self.auto:
            self._auto_finish = False
        await Plain(self.application, self.request)._execute([])
        self._finished = True
        self.site.work()


class HandsOnWithoutAutoFinish(HandsOn):
    auto = False


class HandsOnToApplication(OnSite):
    def get(self) -> None:
        self.site.work()
        self._auto_finish = False
        application([("/.*", Plain)], self.site)(self.request)


class HandsOnToApplicationAndIsDone(OnSite):
    async def get(self) -> None:
        application([("/.*", Plain)], self.site)(self.request)
        await until(lambda: self.site.answered_at)
        self._finished = True


class HandsOnToWhatFails(OnSite):
    def get(self) -> None:
        self._auto_finish = False
        application([("/.*", Fails)], self.site)(self.request)


def fallback_to_application(make: Callable[[Application], Any]) -> Make:
    return lambda site: application(
        [("/.*", FallbackHandler, {"fallback": make(application([("/.*", Plain)], site))})], site
    )


# ``_execute`` overridden, captured.


class AnswersFromExecute(OnSite):
    """As SockJS does."""

    async def _execute(self, transforms: Any, *args: Any, **kwargs: Any) -> None:
        self._transforms = transforms
        self.site.work()
        await asyncio.sleep(0)
        self.answer(202)


class AnswersLaterFromExecute(OnSite):
    async def _execute(self, transforms: Any, *args: Any, **kwargs: Any) -> None:
        asyncio.get_running_loop().call_later(0.01, answer_by_connection, self.site, self.request, 500)


class Transaction(Plain):
    """BEGIN and COMMIT around what ``_execute`` does."""

    async def _execute(self, transforms: Any, *args: Any, **kwargs: Any) -> None:
        self.site.work()
        await super()._execute(transforms, *args, **kwargs)
        self.site.work()


class CapturedExecute(Plain):
    _execute = _EXECUTE


class CapturedFinish(Plain):
    finish = _FINISH


class CapturedFinishLater(OnSite):
    finish = _FINISH

    def get(self) -> None:
        self._auto_finish = False
        asyncio.get_running_loop().call_later(0.01, self.answer, 200)


class CapturedBoth(CapturedFinishLater):
    _execute = _EXECUTE


class WorksWhenMade(Plain):
    def initialize(self) -> None:
        self.site.work()

    def set_default_headers(self) -> None:
        # Only once it is made: clear() calls this, too, when an error is sent.
        self.site.work()


def handler(kind: type[RequestHandler]) -> Make:
    return lambda site: application([("/.*", kind)], site)


CASES: dict[str, tuple[Make, int]] = {
    "wsgi": (wsgi("200 OK", False), 200),
    "wsgi that fails": (wsgi("503 No", False), 503),
    "fallback that answers later": (fallback_that_answers_later(200), 200),
    "fallback that fails later": (fallback_that_answers_later(503), 503),
    "sets _finished": (handler(SetsFinished), 200),
    "defers finish": (handler(DefersFinish), 200),
    "defers send_error": (handler(DefersError), 503),
    "defers send_error by a coroutine": (handler(DefersErrorByCoroutine), 500),
    "handles errors itself": (handler(HandlesErrorsItself), 503),
    "hands on": (handler(HandsOn), 201),
    "hands on without auto_finish": (handler(HandsOnWithoutAutoFinish), 201),
    "hands on to an application": (handler(HandsOnToApplication), 201),
    "hands on to an application and is done": (handler(HandsOnToApplicationAndIsDone), 201),
    "hands on to what fails": (handler(HandsOnToWhatFails), 500),
    "fallback to an application": (fallback_to_application(lambda inner: inner), 201),
    "fallback to a function that calls an application": (fallback_to_application(lambda inner: inner.__call__), 201),
    "answers from _execute": (handler(AnswersFromExecute), 202),
    "answers later from _execute": (handler(AnswersLaterFromExecute), 500),
    "around super()._execute": (handler(Transaction), 201),
    "captured _execute": (handler(CapturedExecute), 201),
    "captured finish": (handler(CapturedFinish), 201),
    "captured finish, later": (handler(CapturedFinishLater), 200),
    "captured both": (handler(CapturedBoth), 200),
    "works when made": (handler(WorksWhenMade), 201),
}
if tornado.version_info >= (6, 3):
    CASES["wsgi in threads"] = wsgi("200 OK", True), 200
    CASES["wsgi that fails in threads"] = wsgi("500 No", True), 500


@pytest.mark.parametrize("case", CASES)
async def test_a_request_has_one_span_with_what_went_out_whoever_serves_it(
    case: str, each_recorder: Recorder, servers: Servers
) -> None:
    make, status = CASES[case]
    tracer = each_recorder.tracer
    site = Site(tracer)
    told: list[Any] = []

    def finished(span: Any, handler: Any) -> None:
        told.append((time.time(), span, handler))

    init_tracing(tracer, trace_client=False, inject_response_headers=True, finish_span_cb=finished)
    url = servers.start(make(site))
    with tracer.start_active_span("caller") as scope:
        carrier: dict[str, str] = {}
        tracer.inject(scope.span.context, Format.HTTP_HEADERS, carrier)
    async with connection(url) as opened:
        assert (await opened.get("/page", *(f"{name}: {value}" for name, value in carrier.items())))[0] == status
    spans = await settled(each_recorder, 2 + site.worked)
    caller, server = only(spans, name="caller"), only(spans, kind="server")
    assert (server.trace_id, server.parent_id) == (caller.trace_id, caller.span_id)
    assert (server.status, server.is_error) == (status, status >= 500)
    assert server.finish_time >= site.answered_at > 0
    assert [span.parent_id for span in spans if span.name == "work"] == [server.span_id] * site.worked
    ((when, told_span, handler),) = told
    assert when >= site.answered_at
    assert isinstance(handler, RequestHandler)
    injected: dict[str, str] = {}
    tracer.inject(told_span.context, Format.HTTP_HEADERS, injected)
    assert injected
    assert {name: opened.headers.get(name.lower()) for name in injected} == injected


@pytest.mark.parametrize("case", CASES)
async def test_a_client_that_leaves_ends_the_span_that_nobody_will_end_otherwise(
    case: str, recorder: Recorder, servers: Servers
) -> None:
    """Where the answer comes at once, or later, or not at all: one finished span."""
    make, _ = CASES[case]
    site = Site(recorder.tracer)
    init_tracing(recorder.tracer)
    async with connection(servers.start(make(site))) as opened:
        opened.send("GET /page HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: recorder.unfinished or recorder.finished)
    await until(lambda: site.answered_at and not recorder.unfinished)
    only(await settled(recorder), kind="server")


@pytest.mark.parametrize("case", ["wsgi", "fallback that answers later", "captured both", "defers finish"])
async def test_a_span_that_awaits_its_response_ends_also_after_remove_tracing(
    case: str, recorder: Recorder, servers: Servers
) -> None:
    from tornado_opentracing import remove_tracing

    make, status = CASES[case]
    init_tracing(recorder.tracer)
    async with connection(servers.start(make(Site(recorder.tracer)))) as opened:
        opened.send("GET /page HTTP/1.1\nHost: localhost\n\n")
        await until(lambda: recorder.unfinished or recorder.finished)
        remove_tracing()
        assert (await opened.answer())[0] == status
    server = only(await settled(recorder, 1), kind="server")
    assert server.status == status


async def test_an_error_that_a_handler_answers_itself_is_logged(each_recorder: Recorder, servers: Servers) -> None:
    init_tracing(each_recorder.tracer)
    async with connection(servers.start(CASES["handles errors itself"][0](Site(each_recorder.tracer)))) as opened:
        await opened.get("/page")
    server = only(await settled(each_recorder, 2), kind="server")
    assert [log["error.kind"] for log in server.logs] == ["UnexpectedError"]


class Socket(WebSocketHandler):
    tasks: list[Any]
    release: asyncio.Event
    tracer: Any

    def prepare(self) -> None:
        self.tasks.append(asyncio.ensure_future(self.work()))

    async def work(self) -> None:
        for _ in range(2):
            await self.release.wait()
            with self.tracer.start_active_span("work"):
                pass
            self.release.clear()

    def on_message(self, message: Any) -> None:
        self.write_message(message)


async def test_a_task_of_a_websockets_prepare_keeps_the_handshake_as_parent(
    each_recorder: Recorder, servers: Servers
) -> None:
    """While the connection is open and afterwards, as that of any other handler."""
    init_tracing(each_recorder.tracer, trace_client=False)
    release = asyncio.Event()
    tasks: list[Any] = []
    kind = type("Socket", (Socket,), {"tasks": tasks, "release": release, "tracer": each_recorder.tracer})
    url = servers.start(Application([("/", kind)]))
    opened = await websocket_connect(url.replace("http", "ws"))
    await opened.write_message("hello")
    assert await opened.read_message() == "hello"
    release.set()
    await until(lambda: not release.is_set())
    opened.close()
    assert await opened.read_message() is None
    release.set()
    await asyncio.gather(*tasks)
    spans = await settled(each_recorder, 3)
    handshake = only(spans, kind="server")
    assert [span.parent_id for span in spans if span.name == "work"] == [handshake.span_id] * 2


async def test_a_handler_that_cancels_itself_when_its_client_has_left_is_no_error(
    each_recorder: Recorder, servers: Servers
) -> None:
    """As Tornado, which does not log it."""
    entered = asyncio.Event()

    class Waits(RequestHandler):
        async def get(self) -> None:
            self.task = asyncio.current_task()
            entered.set()
            await asyncio.Event().wait()

        def on_connection_close(self) -> None:
            assert self.task is not None
            self.task.cancel()

    init_tracing(each_recorder.tracer)
    async with connection(servers.start(Application([("/", Waits)]))) as opened:
        opened.send("GET / HTTP/1.1\nHost: localhost\n\n")
        await entered.wait()
    span = only(await settled(each_recorder, 1))
    assert (span.status, span.is_error) == (None, False)
    assert [log["event"] for log in span.logs] == ["connection closed"]


async def test_late_handlers_keep_their_spans_when_somebody_takes_our_finish_away(
    recorder: Recorder, servers: Servers
) -> None:
    """As ``ddtrace``'s ``unpatch`` does, which puts back what lay beneath what it wrapped."""

    class Late(RequestHandler):
        def get(self) -> None:
            self._auto_finish = False
            asyncio.get_running_loop().call_later(0.01, self.finish, "late")

    init_tracing(recorder.tracer)
    ours = RequestHandler.finish
    RequestHandler.finish = _FINISH  # type: ignore[method-assign]
    try:
        async with connection(servers.start(Application([("/", Late)]))) as opened:
            assert await opened.get("/") == (200, "late")
        assert only(await settled(recorder, 1)).status == 200
    finally:
        RequestHandler.finish = ours  # type: ignore[method-assign]
