# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A fetch beneath our hook may return anything: the span lasts until that is done, and the caller gets its kind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import inspect
import warnings
from collections.abc import Callable, Generator
from typing import Any
from unittest import mock

import pytest
from support import Recorder, children, only
from support.fetching import Site, the_span
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from tornado_opentracing import init_client_tracing

# A recent pycurl says so of what Tornado before 6.6 uses.
pytestmark = pytest.mark.filterwarnings("ignore:IOCTLFUNCTION is deprecated:DeprecationWarning")

URL = "http://nowhere.invalid/path"


def answer(code: int) -> HTTPResponse:
    return HTTPResponse(HTTPRequest(URL), code)


class Answers:
    """Answers when the test says so: with a status, or by raising."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.outcome: int | BaseException = 200

    async def get(self, *args: Any, **kwargs: Any) -> HTTPResponse:
        await self.gate.wait()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return answer(self.outcome)


class Promise:
    """An awaitable that is neither a coroutine nor a future."""

    def __init__(self, awaitable: Any) -> None:
        self.awaitable = awaitable
        self.note = "mine"

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.awaitable.__await__()  # type: ignore[no-any-return]


def coroutine_function(answers: Answers) -> Any:
    async def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> HTTPResponse:
        return await answers.get()

    return fetch


def returning(make: Callable[[Any], Any]) -> Callable[[Answers], Any]:
    def bind(answers: Answers) -> Any:
        def fetch(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
            return make(answers.get())

        return fetch

    return bind


KINDS: dict[str, Callable[[Answers], Any]] = {
    "coroutine function": coroutine_function,
    "plain function that returns a coroutine": returning(lambda coroutine: coroutine),
    "plain function that returns a task": returning(asyncio.ensure_future),
    "plain function that returns an awaitable": returning(Promise),
    "mock": lambda answers: mock.AsyncMock(side_effect=answers.get),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, kind: Any) -> Answers:
    answers = Answers()
    monkeypatch.setattr(AsyncHTTPClient, "fetch", kind(answers))
    return answers


async def resolve(awaitable: Any) -> Any:
    return await awaitable


async def started(fetch: Any) -> asyncio.Task[Any]:
    task = asyncio.ensure_future(resolve(fetch))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


@each_kind
@pytest.mark.parametrize("code", [200, 404, 503])
async def test_the_span_lasts_until_what_fetch_returned_is_done(
    each_recorder: Recorder, client: AsyncHTTPClient, answers: Answers, code: int
) -> None:
    init_client_tracing(each_recorder.tracer)
    answers.outcome = code
    with each_recorder.tracer.start_active_span("caller"):
        task = await started(client.fetch(URL, raise_error=False))
        assert (each_recorder.unfinished, each_recorder.finished) == (2, [])
        answers.gate.set()
        assert (await task).code == code
    spans = each_recorder.finished
    span = only(children(spans, only(spans, name="caller")))
    assert (span.status, span.is_error) == (code, code >= 500)
    assert each_recorder.unfinished == 0


@each_kind
async def test_what_it_raises_is_on_the_span(
    each_recorder: Recorder, client: AsyncHTTPClient, answers: Answers
) -> None:
    init_client_tracing(each_recorder.tracer)
    for error, status, is_error in (
        (HTTPClientError(404), 404, False),
        (HTTPClientError(503, response=answer(503)), 503, True),
        (ZeroDivisionError("an open circuit"), None, True),
    ):
        answers.outcome = error
        answers.gate.set()
        with pytest.raises(type(error)) as caught:
            await client.fetch(URL)
        assert caught.value is error
        span = each_recorder.finished[-1]
        assert (span.status, span.is_error) == (status, is_error)
    assert (each_recorder.unfinished, len(each_recorder.finished)) == (0, 3)


@each_kind
async def test_a_fetch_that_is_cancelled_is_finished(
    each_recorder: Recorder, client: AsyncHTTPClient, answers: Answers
) -> None:
    init_client_tracing(each_recorder.tracer)
    task = await started(client.fetch(URL))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert (the_span(each_recorder).status, the_span(each_recorder).is_error) == (None, True)


@each_kind
async def test_what_the_caller_gets_is_of_the_same_kind(
    recorder: Recorder, client: AsyncHTTPClient, answers: Answers
) -> None:
    answers.gate.set()
    theirs: Any = client.fetch(URL)
    init_client_tracing(recorder.tracer)
    ours: Any = client.fetch(URL)
    for is_kind in (asyncio.iscoroutine, inspect.iscoroutine, asyncio.isfuture, inspect.isawaitable):
        assert is_kind(ours) == is_kind(theirs), is_kind
    # A mock has no name to give to what it returns.
    named = theirs if hasattr(AsyncHTTPClient.__dict__["fetch"].__wrapped__, "__qualname__") else ours
    assert getattr(ours, "__qualname__", None) == getattr(named, "__qualname__", None)
    assert getattr(ours, "note", None) == getattr(theirs, "note", None)
    fetch: Any
    for fetch in (theirs, ours):
        await fetch
        if inspect.iscoroutine(fetch):
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await fetch


@each_kind
async def test_our_replacement_is_of_the_kind_of_what_it_replaces(recorder: Recorder, answers: Answers) -> None:
    theirs = AsyncHTTPClient.__dict__["fetch"]
    init_client_tracing(recorder.tracer)
    ours: Any = AsyncHTTPClient.fetch
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    assert ours.__wrapped__ is theirs
    if not isinstance(theirs, mock.AsyncMock):  # which has no name, and no signature before Python 3.11
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__name__ == theirs.__name__


def test_our_replacement_of_tornados_own_is_of_its_kind(recorder: Recorder) -> None:
    theirs: Any = AsyncHTTPClient.fetch
    init_client_tracing(recorder.tracer)
    ours: Any = AsyncHTTPClient.fetch
    assert not inspect.iscoroutinefunction(ours)
    assert (ours.__wrapped__, ours.__name__, ours.__qualname__) == (theirs, "fetch", "AsyncHTTPClient.fetch")
    assert inspect.signature(ours) == inspect.signature(theirs)


def dropped(fetch: Callable[[], Any], how: str) -> list[str]:
    """The warnings that it gives not to await what a fetch returned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = fetch()
        if how == "closed":
            found.close()
        del found
        gc.collect()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("how", ["closed", "never awaited"])
@pytest.mark.parametrize("kind", list(KINDS.values())[:2], ids=list(KINDS)[:2])
async def test_a_coroutine_that_is_not_awaited_gives_the_warnings_of_an_untraced_one(
    each_recorder: Recorder, client: AsyncHTTPClient, answers: Answers, how: str
) -> None:
    untraced = dropped(lambda: client.fetch(URL), how)
    assert len(untraced) == (how == "never awaited")
    init_client_tracing(each_recorder.tracer)
    assert dropped(lambda: client.fetch(URL), how) == untraced
    assert each_recorder.unfinished == 0


async def test_a_future_stays_that_future_whichever_thread_it_is_done_in(
    each_recorder: Recorder, client: AsyncHTTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def fetch(self: AsyncHTTPClient, request: Any) -> Any:
        made.append(asyncio.Future() if not made else concurrent.futures.Future())
        return made[-1]

    monkeypatch.setattr(AsyncHTTPClient, "fetch", fetch)
    init_client_tracing(each_recorder.tracer)
    first: Any = client.fetch(HTTPRequest(URL))
    second: Any = client.fetch(HTTPRequest(URL))
    third: Any = client.fetch(HTTPRequest(URL))
    assert [first, second, third] == made
    assert each_recorder.unfinished == 3
    first.set_result(answer(200))
    await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, second.set_result, answer(503))
    third.set_exception(ZeroDivisionError())
    assert [(span.status, span.is_error) for span in each_recorder.finished] == [
        (200, False),
        (503, True),
        (None, True),
    ]


class Response:
    """A response of somebody else's make."""

    def __init__(self, code: Any) -> None:
        self.code = code


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (lambda: answer(204), 204),
        (lambda: Response(503), 503),
        (lambda: Response("many"), None),
        (lambda: None, None),
        (mock.Mock, None),
        (lambda: mock.Mock(spec=HTTPResponse), None),
        (lambda: HTTPResponse(mock.Mock(), 200), 200),
    ],
)
@pytest.mark.parametrize("is_coroutine", [False, True])
async def test_a_finished_response_of_any_make_has_its_status_recorded(
    each_recorder: Recorder,
    client: AsyncHTTPClient,
    monkeypatch: pytest.MonkeyPatch,
    made: Any,
    status: Any,
    is_coroutine: bool,
) -> None:
    response = made()

    async def coroutine(self: AsyncHTTPClient, request: Any, **kwargs: Any) -> Any:
        return response

    monkeypatch.setattr(AsyncHTTPClient, "fetch", coroutine if is_coroutine else lambda *args, **kwargs: response)
    init_client_tracing(each_recorder.tracer)
    found: Any = client.fetch(URL)
    assert (await found if is_coroutine else found) is response
    assert (the_span(each_recorder).status, the_span(each_recorder).is_error) == (status, status == 503)


async def test_a_coroutine_function_over_tornados_own_fetch_is_traced_as_that(
    each_recorder: Recorder, each_client: AsyncHTTPClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = AsyncHTTPClient.fetch

    @functools.wraps(original)
    async def breaker(self: AsyncHTTPClient, *args: Any, **kwargs: Any) -> HTTPResponse:
        return await original(self, *args, **kwargs)

    monkeypatch.setattr(AsyncHTTPClient, "fetch", breaker)
    init_client_tracing(each_recorder.tracer)
    request = HTTPRequest(f"{site.url}/status/503")
    with pytest.raises(HTTPClientError) as caught:
        await each_client.fetch(request)
    assert caught.value.response is not None
    assert caught.value.response.request is request
    assert (the_span(each_recorder).status, the_span(each_recorder).is_error) == (503, True)
