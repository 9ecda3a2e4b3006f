"""Reversible patches: an attribute of a class is replaced by a wrapper of it, and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrap = Callable[[Callable[..., Any], "Layer"], Callable[..., Any]]


class Layer:
    """One replacement in place. While it is not ``enabled`` it does nothing but call what it replaced."""

    def __init__(self, original: Callable[..., Any], wrap: Wrap) -> None:
        self.enabled = True
        self.original = original
        self.replacement = wrap(original, self)


class Patch:
    """Replaces the function ``owner.name`` by ``wrap(original, layer)``, and restores it.

    Others patch too, in any order. :meth:`remove` puts the original back where nothing lies on top of the replacement;
    where somebody wrapped it, the replacement has to stay and becomes a pass-through. :meth:`apply` never counts on a
    replacement that it can no longer see: it adds a new layer on top, and the old one stays a pass-through, so
    that never two of them are at work.
    """

    def __init__(self, owner: type, name: str, wrap: Wrap) -> None:
        self.owner = owner
        self.name = name
        self.wrap = wrap
        self._layer: Layer | None = None

    @property
    def applied(self) -> bool:
        """Whether the replacement is at work and on top."""
        layer = self._layer
        return layer is not None and self.owner.__dict__[self.name] is layer.replacement

    def apply(self) -> None:
        """Put the replacement in place; nothing happens if it is there."""
        if self.applied:
            return
        if self._layer is not None:
            self._layer.enabled = False
        self._layer = Layer(self.owner.__dict__[self.name], self.wrap)
        setattr(self.owner, self.name, self._layer.replacement)

    def remove(self) -> None:
        """Restore the original, or become a pass-through beneath somebody else's patch."""
        if self._layer is None:
            return
        if self.applied:
            setattr(self.owner, self.name, self._layer.original)
        self._layer.enabled = False
        self._layer = None
