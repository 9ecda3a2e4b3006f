# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Whoever looks at a function of Tornado's while it is replaced sees what he would see without tracing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt
from support import MockRecorder

from tornado_opentracing import _install, init_client_tracing, init_tracing, remove_tracing
from tornado_opentracing._hooks import table
from tornado_opentracing._hooks.patching import Patch

#: Everything of Tornado's that is replaced.
PATCHES = {f"{patch.owner.__name__}.{patch.name}": patch for hooks in _install._ALL_HOOKS for patch in hooks.patches}

KINDS = ["iscoroutinefunction", "isgeneratorfunction", "isasyncgenfunction", "isfunction"]


def plain(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def somebody_s(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return somebody_s


def coroutine(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def somebody_s(*args: Any, **kwargs: Any) -> Any:
        return await original(*args, **kwargs)

    return somebody_s


def with_names_of_its_own(original: Callable[..., Any]) -> Callable[..., Any]:
    """Like those of instrumentations that do not use ``functools.wraps``."""

    def somebody_s(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Do as somebody likes."""
        return original(self, *args, **kwargs)

    return somebody_s


def proxy(original: Callable[..., Any]) -> Any:
    return wrapt.FunctionWrapper(original, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))


BENEATH: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "Tornado's own": lambda original: original,
    "a plain function": plain,
    "a coroutine function": coroutine,
    "a function with names of its own": with_names_of_its_own,
    "wrapt's proxy": proxy,
}


#: What returns something to wait for; around anything else a coroutine function would break Tornado untraced, too.
AWAITED = {"_execute", "_accept_connection", "fetch", "run_in_executor"}

CASES = [
    pytest.param(patch, BENEATH[beneath], id=f"{name}, {beneath}")
    for name, patch in PATCHES.items()
    for beneath in BENEATH
    if beneath != "a coroutine function" or patch.name in AWAITED
]


@pytest.fixture
def original(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What lies in the place of a function of Tornado's before it is replaced; afterwards Tornado's own is there."""
    remove_tracing()
    patch: Patch = request.getfixturevalue("patch")
    own = vars(patch.owner)[patch.name]
    setattr(patch.owner, patch.name, request.getfixturevalue("beneath")(own))
    yield vars(patch.owner)[patch.name]
    remove_tracing()
    setattr(patch.owner, patch.name, own)


@pytest.mark.parametrize(("patch", "beneath"), CASES)
def test_a_replacement_has_the_kind_the_signature_the_names_and_the_origin_of_what_it_replaced(
    patch: Patch, beneath: Callable[..., Any], original: Any
) -> None:
    tracer = MockRecorder().tracer
    init_tracing(tracer)
    init_client_tracing(tracer)
    table.MEASURING.install()  # as init_metrics() does
    replacement = vars(patch.owner)[patch.name]
    assert replacement is not original
    for kind in KINDS:
        is_kind = getattr(inspect, kind)
        assert is_kind(replacement) == is_kind(original), kind
    assert inspect.signature(replacement) == inspect.signature(original)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        assert getattr(replacement, name) == getattr(original, name), name
    # A proxy of wrapt's gives another of itself at each look on the class.
    assert replacement.__wrapped__ is original or replacement.__wrapped__ == getattr(original, "__wrapped__", None)
