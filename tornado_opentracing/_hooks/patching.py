# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Reversible patches: an attribute of a class is replaced by a wrapper of it, and put back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

Wrap = Callable[[Callable[..., Any], "Layer"], Callable[..., Any]]


class Layer:
    """One replacement in place. While it is not ``enabled`` it does nothing but call what it replaced."""

    def __init__(self, owner: type, name: str, wrap: Wrap) -> None:
        self.enabled = True
        self.original = owner.__dict__[name]
        # Looked up on the class: a wrapper of the library wrapt, as other instrumentations put there, takes a call of
        # what is in __dict__ for that of a plain function, and ``self`` for its first argument.
        seen = getattr(owner, name)
        original = seen if type(self.original) is FunctionType else _as_function(seen, self.original)
        self.replacement = of_its_kind(original, wrap(original, self))
        self.replacement.__wrapped__ = seen  # type: ignore[attr-defined]


def _as_function(seen: Any, found: Any) -> Callable[..., Any]:
    """What calls something that is no plain function as a lookup on the instance would.

    A mock, for one, is not given the instance, and a property is not to be called.

    :param seen: what a lookup on the class gives.
    :param found: what is in the class itself.
    """

    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        bound = found.__get__(self, type(self)) if hasattr(type(found), "__get__") else found
        return bound(*args, **kwargs)

    functools.update_wrapper(call, seen)
    return of_its_kind(seen, call)


def of_its_kind(original: Callable[..., Any], replacement: Callable[..., Any]) -> Callable[..., Any]:
    """The replacement as a coroutine function where the original is one, and as a plain function where it is not.

    Others look at that when they patch (Sentry's and SkyWalking's integrations wrap by ``yield from`` what is no
    coroutine function).
    """
    is_coroutine_function = inspect.iscoroutinefunction(original)
    if inspect.iscoroutinefunction(replacement) == is_coroutine_function:
        return replacement
    if is_coroutine_function:

        @functools.wraps(original)
        async def coroutine_function(*args: Any, **kwargs: Any) -> Any:
            return await replacement(*args, **kwargs)

        return coroutine_function

    @functools.wraps(original)
    def plain_function(*args: Any, **kwargs: Any) -> Any:
        return replacement(*args, **kwargs)

    return plain_function


class Patch:
    """Replaces the function ``owner.name`` by ``wrap(original, layer)``, and restores it.

    Others patch too, in any order. :meth:`remove` puts the original back where nothing lies on top of the replacement;
    where somebody wrapped it, the replacement has to stay and becomes a pass-through, until it comes to light again.
    :meth:`apply` never counts on a replacement that it cannot see: it adds a new layer on top, and the old one stays a
    pass-through, so that never two of them are at work.
    """

    def __init__(self, owner: type, name: str, wrap: Wrap) -> None:
        self.owner = owner
        self.name = name
        self.wrap = wrap
        #: What is in place and more than a pass-through; whether it is on top is another question.
        self.replacement: Callable[..., Any] | None = None
        self._layers: list[Layer] = []

    @property
    def applied(self) -> bool:
        """Whether the replacement that is at work is on top."""
        return self.replacement is not None and self.owner.__dict__[self.name] is self.replacement

    def apply(self) -> None:
        """Put the replacement in place; nothing happens if it is there and on top."""
        if self.applied:
            return
        self.remove()
        layer = Layer(self.owner, self.name, self.wrap)
        self._layers.append(layer)
        self.replacement = layer.replacement
        setattr(self.owner, self.name, layer.replacement)

    def remove(self) -> None:
        """Restore the original, or become a pass-through beneath somebody else's patch."""
        self.replacement = None
        for layer in self._layers:
            layer.enabled = False
        while (top := self._on_top()) is not None:
            setattr(self.owner, self.name, top.original)
            self._layers.remove(top)

    def _on_top(self) -> Layer | None:
        current = self.owner.__dict__[self.name]
        return next((layer for layer in self._layers if layer.replacement is current), None)
