# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A patch of a class: applied, removed, and in whatever order others patch the same."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tornado_opentracing._hooks.patching import Layer, Patch


class Greeter:
    """Made anew for each test by :func:`greeter`."""

    def greet(self) -> str:
        """Say hello."""
        return "hello"


def greeter() -> type[Greeter]:
    return type("Greeter", (Greeter,), {"greet": Greeter.greet})


def louder(original: Callable[[Greeter], str], layer: Layer) -> Callable[[Greeter], str]:
    @functools.wraps(original)
    def greet(self: Greeter) -> str:
        return f"{original(self)}!" if layer.enabled else original(self)

    return greet


def wrap_in_brackets(owner: type[Any], name: str = "greet") -> Callable[[], None]:
    """Patch like somebody else; return what undoes it."""
    original = vars(owner)[name]

    @functools.wraps(original)
    def bracketed(self: Greeter) -> str:
        return f"({original(self)})"

    setattr(owner, name, bracketed)
    return lambda: setattr(owner, name, original)


def test_a_patch_that_is_made_does_nothing_before_it_is_applied() -> None:
    owner = greeter()
    Patch(owner, "greet", louder)
    assert vars(owner)["greet"] is Greeter.greet


def test_a_patch_replaces_the_function_for_objects_and_subclasses_that_exist() -> None:
    owner = greeter()
    subclass = type("Subclass", (owner,), {})
    objects = [owner(), subclass()]
    patch = Patch(owner, "greet", louder)
    patch.apply()
    assert [greeter.greet() for greeter in objects] == ["hello!", "hello!"]
    patch.remove()
    assert [greeter.greet() for greeter in objects] == ["hello", "hello"]


def test_a_patch_knows_whether_it_is_at_work_and_on_top() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    applied = [patch.applied]
    for step in (patch.apply, lambda: wrap_in_brackets(owner), patch.apply, patch.remove):
        step()
        applied.append(patch.applied)
    assert applied == [False, True, False, True, False]


def test_applying_twice_wraps_once() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    replacement = vars(owner)["greet"]
    patch.apply()
    assert vars(owner)["greet"] is replacement
    assert owner().greet() == "hello!"


def test_removing_restores_the_very_same_function() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    for _ in range(3):
        patch.apply()
        patch.remove()
        assert vars(owner)["greet"] is Greeter.greet


def test_removing_is_harmless_before_applying_and_any_number_of_times() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.remove()
    patch.apply()
    patch.remove()
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet


def test_beneath_somebody_elses_patch_the_replacement_becomes_a_pass_through() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    wrap_in_brackets(owner)
    theirs = vars(owner)["greet"]
    assert owner().greet() == "(hello!)"
    patch.remove()
    assert vars(owner)["greet"] is theirs
    assert owner().greet() == "(hello)"


def test_applying_over_somebody_elses_patch_leaves_one_replacement_at_work() -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    patch.apply()
    wrap_in_brackets(owner)
    for _ in range(3):
        patch.apply()
        assert owner().greet() == "(hello)!"
    patch.remove()
    assert owner().greet() == "(hello)"


def test_somebody_elses_earlier_patch_is_given_back() -> None:
    owner = greeter()
    wrap_in_brackets(owner)
    theirs = vars(owner)["greet"]
    patch = Patch(owner, "greet", louder)
    patch.apply()
    assert owner().greet() == "(hello)!"
    patch.remove()
    assert vars(owner)["greet"] is theirs


def test_pass_throughs_that_somebody_else_puts_back_do_not_pile_up() -> None:
    """As when a test replaces ``fetch`` for its duration, and tracing is removed meanwhile; a thousand times."""
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    for _ in range(3):
        patch.apply()
        undo = wrap_in_brackets(owner)
        patch.remove()
        undo()
        assert owner().greet() == "hello"
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet


@given(st.lists(st.sampled_from(["apply", "remove", "patch", "undo"]), max_size=12))
def test_whoever_patches_in_whatever_order_the_replacement_is_at_work_once_or_not_at_all(steps: list[str]) -> None:
    owner = greeter()
    patch = Patch(owner, "greet", louder)
    undo: list[Callable[[], None]] = []
    for step in steps:
        if step == "apply":
            patch.apply()
        elif step == "remove":
            patch.remove()
        elif step == "patch":
            undo.append(wrap_in_brackets(owner))
        elif undo:
            undo.pop()()
        greeting = owner().greet()
        assert greeting.count("(") == len(undo)
        assert greeting.count("!") <= 1
        if step in ("apply", "remove"):
            assert greeting.count("!") == (step == "apply")
    while undo:
        undo.pop()()
    patch.remove()
    assert vars(owner)["greet"] is Greeter.greet
