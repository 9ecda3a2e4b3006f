# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Somebody else's wrapper around what is replaced is called as often, and with the same, as without tracing."""

from __future__ import annotations

import functools
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt
from support import MockRecorder
from support.faults import Tracing
from support.observed import world_with
from support.situations import SITUATIONS
from tornado.template import Template

from tornado_opentracing import _install, init_tracing, remove_tracing
from tornado_opentracing._hooks.patching import Patch

#: Everything of Tornado's that is replaced.
PATCHES = {f"{patch.owner.__name__}.{patch.name}": patch for hooks in _install._ALL_HOOKS for patch in hooks.patches}

#: What was called in a situation, and the form of what it was given.
Calls = dict[str, Counter[tuple[str, tuple[str, ...], tuple[str, ...]]]]
Note = Callable[[tuple[Any, ...], dict[str, Any]], None]
#: Given what is in place, and what is to be told of each call.
Wrapper = Callable[[Callable[..., Any], Note], Any]


def passing_on(original: Callable[..., Any], note: Note) -> Any:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        note(args, kwargs)
        return original(*args, **kwargs)

    return wrapper


def by_name(original: Callable[..., Any], note: Note) -> Any:
    """Hands on by its name whatever has one."""
    signature = inspect.signature(original)
    has_args = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in signature.parameters.values())

    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        note((self, *args), kwargs)
        if has_args:
            return original(self, *args, **kwargs)
        named = list(signature.parameters)[1 : len(args) + 1]
        return original(self, **dict(zip(named, args, strict=True)), **kwargs)

    return wrapper


def proxy(original: Callable[..., Any], note: Note) -> Any:
    def call(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        note((instance, *args), kwargs)
        return wrapped(*args, **kwargs)

    return wrapt.FunctionWrapper(original, call)


@pytest.fixture
def _restored() -> Iterator[None]:
    """Tornado has its own functions back afterwards."""
    remove_tracing()
    own = [(patch, vars(patch.owner)[patch.name]) for patch in PATCHES.values()]
    yield
    remove_tracing()
    for patch, function in own:
        setattr(patch.owner, patch.name, function)


def form_of(patch: Patch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The kinds of the arguments; of functions, which are replaced by others that call them, just that they are."""
    names = ["function" if callable(arg) else type(arg).__name__ for arg in args[1:]]
    # A fetch's headers carry the trace.
    return tuple(names), tuple(sorted(kwargs.keys() - ({"headers"} if patch.name == "fetch" else set())))


def put_around(wrapper: Wrapper, seen: Callable[[], Counter[Any]]) -> None:
    """Wrap every function that tracing replaces, and note each call where ``seen`` says."""

    def wrap(place: str, patch: Patch) -> None:
        def note(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen()[(place, *form_of(patch, args, kwargs))] += 1

        setattr(patch.owner, patch.name, wrapper(vars(patch.owner)[patch.name], note))

    for place, patch in PATCHES.items():
        wrap(place, patch)


async def calls(wrapper: Wrapper, order: str) -> tuple[Calls, dict[str, Any]]:
    """Wrap and trace, in the order that is asked for; what was called, and seen, in each situation."""
    made: Calls = {"a start": Counter()}
    for step in order.split(", "):
        if step == "wrapped":
            put_around(wrapper, lambda: made[next(reversed(made))])
        elif step == "traced":
            init_tracing(MockRecorder().tracer)
    seen = {}
    async with world_with(Tracing()) as world:
        for title, situation in SITUATIONS.items():
            made[title] = Counter()
            seen[title] = await world.observe(situation)
    made["a template"] = Counter()
    assert Template("{{ 1 }}").generate() == b"1"
    return made, seen


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("order", ["wrapped, traced", "traced, wrapped"])
@pytest.mark.parametrize("wrapper", [passing_on, by_name, proxy])
async def test_another_s_wrapper_is_called_once_for_each_event_with_what_it_is_given_untraced(
    wrapper: Wrapper, order: str, reports: list[logging.LogRecord]
) -> None:
    places = [(patch, vars(patch.owner)[patch.name]) for patch in PATCHES.values()]
    untraced, seen_untraced = await calls(wrapper, "wrapped")
    for patch, function in places:
        setattr(patch.owner, patch.name, function)
    traced, seen_traced = await calls(wrapper, order)
    assert seen_traced == seen_untraced
    assert {title: untraced[title] - made for title, made in traced.items() if untraced[title] - made} == {}, "missing"
    assert {title: made - untraced[title] for title, made in traced.items() if made - untraced[title]} == {}, "too many"
    assert {call[0] for made in untraced.values() for call in made} == set(PATCHES)
