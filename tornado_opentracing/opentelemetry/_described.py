"""What a span is called and what is known of it, told once the sampler has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tornado_opentracing.opentelemetry import _attributes

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind


class Described(Protocol):
    """What a span is called and what is known of it, told where somebody needs it: most spans are never sampled."""

    @property
    def kind(self) -> SpanKind:
        """The span's kind."""

    def name(self, operation_name: str) -> str:
        """What the span is called.

        :param operation_name: what the instrumentation, or the application, calls it.
        """

    def attributes(self) -> dict[str, Any]:
        """The span's attributes, which are known to be valid: a dict of the caller's own."""


class Tags:
    """What the application itself knows of its span."""

    def __init__(self, given: dict[Any, Any], kind: SpanKind, is_dup: bool) -> None:
        self._given = given
        self.kind = kind
        self._is_dup = is_dup

    def name(self, operation_name: str) -> str:
        """The operation's."""
        return _attributes.text(operation_name)

    def attributes(self) -> dict[str, Any]:
        """The tags."""
        return _attributes.of_tags(self._given, self.kind, self._is_dup) if self._given else {}
