# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``@trace`` keeps the type of what it decorates, and takes names and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from tornado import gen
from tornado.web import RequestHandler
from typing_extensions import assert_type

from tornado_opentracing import TornadoTracing, trace

tracing = TornadoTracing()


class Undecorated(RequestHandler):
    def plain(self, number: str, times: int = 1) -> str:
        return number * times

    async def coroutine(self, number: str) -> int:
        return int(number)

    @gen.coroutine
    def generator(self, number: str) -> Generator[Any, Any, int]:
        yield None
        return int(number)


class Bare(RequestHandler):
    @trace
    def plain(self, number: str, times: int = 1) -> str:
        return number * times

    @trace
    async def coroutine(self, number: str) -> int:
        return int(number)

    @trace
    @gen.coroutine
    def generator(self, number: str) -> Generator[Any, Any, int]:
        yield None
        return int(number)

    @gen.coroutine
    @tracing.trace
    def generator_above(self, number: str) -> Generator[Any, Any, int]:
        yield None
        return int(number)


class WithNames(RequestHandler):
    @tracing.trace("uri", "method")
    def plain(self, number: str, times: int = 1) -> str:
        return number * times

    @trace("uri")
    async def coroutine(self, number: str) -> int:
        return int(number)

    @tracing.trace()
    @gen.coroutine
    def generator(self, number: str) -> Generator[Any, Any, int]:
        yield None
        return int(number)


class WithList(RequestHandler):
    @tracing.trace(["uri", "method"])
    def plain(self, number: str, times: int = 1) -> str:
        return number * times

    @trace(("uri",))
    async def coroutine(self, number: str) -> int:
        return int(number)

    @trace({"uri"})
    @gen.coroutine
    def generator(self, number: str) -> Generator[Any, Any, int]:
        yield None
        return int(number)


def kept(bare: Bare, names: WithNames, some: WithList) -> None:
    assert_type(bare.plain("1", times=2), str)
    assert_type(names.plain("1", times=2), str)
    assert_type(some.plain("1", times=2), str)
    for handler in (bare, names, some):
        handler.plain(1)  # expect: arg-type
        handler.plain("1", often=2)  # expect: call-arg


async def kept_by_coroutines(bare: Bare, names: WithNames, some: WithList) -> None:
    assert_type(await bare.coroutine("1"), int)
    assert_type(await names.coroutine("1"), int)
    assert_type(await some.coroutine("1"), int)
    await bare.coroutine(1)  # expect: arg-type
    await names.coroutine()  # expect: call-arg
    await some.coroutine("1", "2")  # expect: call-arg


def kept_of_generators(none: Undecorated, bare: Bare, names: WithNames, some: WithList) -> list[object]:
    # What gen.coroutine makes of a method, Tornado says.
    generators = [none.generator]
    generators += [bare.generator, bare.generator_above, names.generator, some.generator]
    return [generators]


def kept_on_classes() -> Callable[[Bare, str], str]:
    return Bare.plain


def kept_on_other_classes() -> Callable[[Bare, str], str]:
    return WithNames.plain  # expect: return-value


trace(1)  # expect: call-overload
trace("uri", 1)  # expect: call-overload
trace(["uri"], ["method"])  # expect: call-overload
trace([1])  # expect: list-item
trace(method="GET")  # expect: call-overload
tracing.trace(None)  # expect: call-overload
trace("uri")(1)  # expect: type-var
