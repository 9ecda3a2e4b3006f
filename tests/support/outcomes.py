# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""All the ways in which a request can end, each with what its span must say."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import tornado
from tornado import gen
from tornado.httpclient import AsyncHTTPClient
from tornado.ioloop import IOLoop
from tornado.web import (
    Application,
    ErrorHandler,
    Finish,
    HTTPError,
    MissingArgumentError,
    RedirectHandler,
    RequestHandler,
    StaticFileHandler,
)

from support import Recorded, Recorder, Servers
from support.serving import only_span

HERE = pathlib.Path(__file__)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A handler, a request to it, and what becomes of it."""

    handler: type[RequestHandler]
    #: The status that goes out; ``None`` if nothing does.
    status: int | None
    #: Whether the span is marked as an error.
    error: bool
    #: The class of the exception that is logged on the span.
    logged: type[BaseException] | None
    method: str
    headers: Mapping[str, str]
    body: str | None
    path: str
    #: Which paths the handler serves, and what its ``initialize`` is given.
    pattern: str
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any]
    #: Whether the request gets as far as the handler's method, where ``@trace`` sees it.
    reaches_method: bool

    def application(self, handler: type[RequestHandler] | None = None) -> Application:
        return Application([(self.pattern, handler or self.handler, dict(self.arguments))], **self.settings)

    async def of(
        self, application: Application, recorder: Recorder, servers: Servers, client: AsyncHTTPClient
    ) -> Recorded:
        """Send the request, check the response, and return the request's one span."""
        url = servers.start(application)
        response = client.fetch(
            url + self.path,
            raise_error=False,
            follow_redirects=False,
            method=self.method,
            headers=self.headers,
            body=self.body,
            allow_nonstandard_methods=True,
        )
        # The span first: where nothing goes out, Tornado may leave the client waiting.
        span = await only_span(recorder)
        if self.status is not None:
            assert (await response).code == self.status
        return span

    def check(self, span: Recorded) -> None:
        assert span.name == self.handler.__name__
        assert span.kind == "server"
        assert span.tags["http.method"] == self.method
        assert span.path == self.path
        assert span.status == self.status
        assert span.is_error is self.error
        assert "error" not in span.tags or self.error
        logged = [log["error.kind"] for log in span.logs if "error.kind" in log]
        assert logged == ([self.logged.__name__] if self.logged is not None else [])


OUTCOMES: dict[str, Outcome] = {}

Handler = TypeVar("Handler", bound=type[RequestHandler])


def outcome(
    status: int | None,
    logged: type[BaseException] | None = None,
    *,
    error: bool | None = None,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    path: str = "/",
    pattern: str = "/",
    arguments: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    reaches_method: bool = True,
) -> Callable[[Handler], Handler]:
    """Put a handler into the table; by default it is an error exactly if an exception is logged."""

    def add(handler: Handler) -> Handler:
        name = f"{handler.__name__}-{method}-{status}"
        assert name not in OUTCOMES
        OUTCOMES[name] = Outcome(
            handler,
            status,
            logged is not None if error is None else error,
            logged,
            method,
            headers or {},
            body,
            path,
            pattern,
            arguments or {},
            settings or {},
            reaches_method,
        )
        return handler

    return add


class UnhandledError(Exception):
    """What a handler lets through."""


class LateError(Exception):
    """What goes wrong when something else went wrong already, or when all is over."""


def fail(*_: object) -> None:
    raise UnhandledError("oops")


# Answers.


@outcome(304, headers={"If-None-Match": "*"})
@outcome(405, method="POST", body="", reaches_method=False)
@outcome(405, method="BREW", body="", reaches_method=False)
@outcome(200, method="HEAD")
@outcome(200)
class Plain(RequestHandler):
    def get(self) -> None:
        self.write("hello")

    def head(self) -> None:
        self.set_header("Content-Length", "5")


@outcome(200)
class Async(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("hello")


@outcome(200)
class Coroutine(RequestHandler):
    @gen.coroutine
    def get(self) -> Any:
        yield gen.moment
        self.write("hello")


@outcome(302)
class Redirects(RequestHandler):
    def get(self) -> None:
        self.redirect("/elsewhere")


@outcome(202)
class RaisesFinish(RequestHandler):
    async def get(self) -> None:
        self.set_status(202)
        raise Finish("that is all")


@outcome(500, error=True)
class SetsStatus500(RequestHandler):
    def get(self) -> None:
        self.set_status(500)


@outcome(500, error=True)
class SendsAnError(RequestHandler):
    def get(self) -> None:
        self.send_error()


@outcome(503, error=True)
class SendsError503(RequestHandler):
    def get(self) -> None:
        self.send_error(503)


@outcome(403)
class SendsError403(RequestHandler):
    async def get(self) -> None:
        self.send_error(403)


@outcome(200)
class FinishesEarly(RequestHandler):
    async def get(self) -> None:
        self.finish("hello")
        await asyncio.sleep(0)


@outcome(200)
class CallsFinishWithASubclass(RequestHandler):
    def get(self) -> None:
        self.write("hello")

    def finish(self, chunk: Any = None) -> Any:
        return super().finish(chunk)


@outcome(200)
class SetsStatusAfterFlush(RequestHandler):
    async def get(self) -> None:
        await self.flush()
        self.set_status(500)


# Answers from elsewhere than the method.


@outcome(200, reaches_method=False)
class FinishesInPrepare(RequestHandler):
    def prepare(self) -> None:
        self.finish("hello")


@outcome(200, reaches_method=False)
class RaisesFinishInPrepare(RequestHandler):
    def prepare(self) -> None:
        raise Finish


@outcome(401, reaches_method=False)
class RefusesInPrepare(RequestHandler):
    async def prepare(self) -> None:
        raise HTTPError(401)


@outcome(403, method="POST", body="", settings={"xsrf_cookies": True}, reaches_method=False)
class Xsrf(RequestHandler):
    def post(self) -> None:
        raise AssertionError


# Until 6.5 Tornado makes nothing of a malformed body, and the handler is called.
_refuses_bodies = tornado.version_info >= (6, 5)


@outcome(
    400 if _refuses_bodies else 200,
    method="POST",
    headers={"Content-Type": "multipart/form-data"},
    body="no boundary",
    reaches_method=not _refuses_bodies,
)
class Body(RequestHandler):
    def post(self) -> None:
        pass


@outcome(400, path="/%ff", pattern="/(.*)", reaches_method=False)
class PathArgument(RequestHandler):
    pass


outcome(404, path="/unmatched", reaches_method=False)(ErrorHandler)
outcome(301, arguments={"url": "/elsewhere"}, reaches_method=False)(RedirectHandler)

_static: Any = {"pattern": "/(.*)", "arguments": {"path": str(HERE.parent)}, "reaches_method": False}
outcome(200, path="/" + HERE.name, **_static)(StaticFileHandler)
outcome(200, method="HEAD", path="/" + HERE.name, **_static)(StaticFileHandler)
outcome(304, path="/" + HERE.name, headers={"If-None-Match": "*"}, **_static)(StaticFileHandler)
outcome(404, path="/missing", **_static)(StaticFileHandler)


# ``finish()`` is called when ``_execute`` is over.


@outcome(200)
class FinishedByTask(RequestHandler):
    def get(self) -> None:
        self._auto_finish = False
        self.task = asyncio.ensure_future(self.later())

    async def later(self) -> None:
        await asyncio.sleep(0)
        self.finish("hello")


@outcome(200)
class FinishedByTimer(RequestHandler):
    async def get(self) -> None:
        self._auto_finish = False
        IOLoop.current().call_later(0.001, self.finish, "hello")


@outcome(200)
class FinishedByCallback(RequestHandler):
    @gen.coroutine
    def get(self) -> Any:
        self._auto_finish = False
        yield gen.moment
        IOLoop.current().add_callback(self.finish)


@outcome(503, error=True)
class FailsByTask(FinishedByTask):
    async def later(self) -> None:
        await asyncio.sleep(0)
        self.send_error(503)


@outcome(200, UnhandledError, settings={"log_function": fail})
class FinishedByTaskAndLogFunctionRaises(FinishedByTask):
    async def later(self) -> None:
        with contextlib.suppress(UnhandledError):
            await super().later()


# Exceptions.


@outcome(404)
class Raises404(RequestHandler):
    def get(self) -> None:
        raise HTTPError(404)


@outcome(400)
class MissesArgument(RequestHandler):
    async def get(self) -> None:
        try:
            self.get_argument("missing")
        except MissingArgumentError:
            raise


@outcome(503, HTTPError)
class Raises503(RequestHandler):
    async def get(self) -> None:
        raise HTTPError(503)


@outcome(500, UnhandledError)
class Raises(RequestHandler):
    def get(self) -> None:
        fail()


@outcome(500, UnhandledError)
class AsyncRaises(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        fail()


@outcome(500, UnhandledError)
class CoroutineRaises(RequestHandler):
    @gen.coroutine
    def get(self) -> Any:
        yield gen.moment
        fail()


@outcome(500, TypeError)
class FinishesWithNonsense(RequestHandler):
    def get(self) -> None:
        self.finish(object())  # type: ignore[arg-type]


@outcome(500, UnhandledError)
class RaisesBeforeItIsFinishedElsewhere(RequestHandler):
    """Tornado answers for a handler that raises, even if it meant to answer later."""

    def get(self) -> None:
        self._auto_finish = False
        fail()


@outcome(500, UnhandledError, settings={"log_function": fail})
class RaisesBeforeItIsFinishedElsewhereAndLogFunctionRaises(RaisesBeforeItIsFinishedElsewhere):
    pass


@outcome(200, UnhandledError)
class FlushesThenRaises(RequestHandler):
    async def get(self) -> None:
        self.write("hello")
        await self.flush()
        fail()


@outcome(200)
class FinishesThenRaises(RequestHandler):
    async def get(self) -> None:
        self.finish("hello")
        raise LateError


@outcome(500, UnhandledError, reaches_method=False)
class RaisesInPrepare(RequestHandler):
    def prepare(self) -> None:
        fail()


@outcome(500, UnhandledError, reaches_method=False)
class RaisesInAsyncPrepare(RequestHandler):
    async def prepare(self) -> None:
        await asyncio.sleep(0)
        fail()


@outcome(None, UnhandledError, reaches_method=False)
class RaisesInInitialize(RequestHandler):
    def initialize(self) -> None:
        fail()


@outcome(None, HTTPError, reaches_method=False)
class RaisesHTTPErrorInInitialize(RequestHandler):
    """Which nobody answers, though it is a way to answer."""

    def initialize(self) -> None:
        raise HTTPError(404)


@outcome(None, UnhandledError, reaches_method=False)
class RaisesInSetDefaultHeaders(RequestHandler):
    def set_default_headers(self) -> None:
        fail()


@outcome(500, UnhandledError)
class RaisesInWriteError(Raises):
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        raise LateError


@outcome(500, UnhandledError)
class RaisesInLogException(Raises):
    def log_exception(self, *exc_info: Any) -> None:
        raise LateError


@outcome(200, UnhandledError)
class RaisesInOnFinish(Plain):
    def on_finish(self) -> None:
        fail()


@outcome(404, UnhandledError)
class Raises404ThenRaisesInOnFinish(Raises404):
    """The answer was one, but then something was not handled."""

    def on_finish(self) -> None:
        fail()


@outcome(500, UnhandledError)
class RaisesAgainInOnFinish(AsyncRaises):
    def on_finish(self) -> None:
        raise LateError


@outcome(200, UnhandledError, settings={"log_function": fail})
class LogFunctionRaises(Plain):
    pass


class _AnswersWith(RequestHandler):
    """``write_error`` has the last word on the status."""

    answer: int

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_status(self.answer)
        self.finish("sorry")


@outcome(418)
class Answers418ToHTTPError(_AnswersWith):
    answer = 418

    def get(self) -> None:
        raise HTTPError(500)


@outcome(418, UnhandledError)
class Answers418ToException(_AnswersWith):
    answer = 418

    async def get(self) -> None:
        fail()


@outcome(503, HTTPError)
class Answers503ToHTTPError(_AnswersWith):
    answer = 503

    def get(self) -> None:
        raise HTTPError(404)


# Cancellation. Until 6.6 Tornado sends nothing then.

_answers_cancellation = tornado.version_info >= (6, 6)


@outcome(500 if _answers_cancellation else None, asyncio.CancelledError)
class IsCancelled(RequestHandler):
    async def get(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)


@outcome(500 if _answers_cancellation else None, asyncio.CancelledError)
class AwaitsWhatIsCancelled(RequestHandler):
    async def get(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future


# Overrides, none of which calls what it overrides.


class _KeepsToItself(RequestHandler):
    def initialize(self) -> None:
        pass

    def set_default_headers(self) -> None:
        pass

    def check_xsrf_cookie(self) -> None:
        pass

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        return value.decode()

    def prepare(self) -> Awaitable[None] | None:
        pass

    def get_current_user(self) -> None:
        pass

    def compute_etag(self) -> None:
        pass

    def log_exception(self, *exc_info: Any) -> None:
        pass

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        pass

    def on_finish(self) -> None:
        pass

    def on_connection_close(self) -> None:
        pass

    def _log(self) -> None:
        pass


@outcome(200)
class OverridesEverything(_KeepsToItself):
    def get(self) -> None:
        pass


@outcome(500, UnhandledError)
class OverridesEverythingAndRaises(_KeepsToItself):
    async def get(self) -> None:
        fail()
