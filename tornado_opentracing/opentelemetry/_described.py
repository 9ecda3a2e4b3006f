# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What a span is called and what is known of it, told once the sampler has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import SpanKind
from opentracing.tags import SPAN_KIND

from tornado_opentracing.opentelemetry import _attributes

if TYPE_CHECKING:
    from collections.abc import Container

#: What is an error to a server is the server's; to a client, all that it did not ask for.
SERVER_ERRORS, CLIENT_ERRORS = frozenset(range(500, 1000)), frozenset(range(400, 1000))
_ERROR_STATUSES: dict[SpanKind, Container[int]] = {SpanKind.SERVER: SERVER_ERRORS, SpanKind.CLIENT: CLIENT_ERRORS}


class Described(Protocol):
    """What a span is called and what is known of it, told where somebody needs it: most spans are never sampled."""

    @property
    def kind(self) -> SpanKind:
        """The span's kind."""

    @property
    def error_statuses(self) -> Container[int]:
        """Statuses of a response that make the span an error."""

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
        self.error_statuses = _ERROR_STATUSES.get(kind, ())
        self._is_dup = is_dup

    def name(self, operation_name: str) -> str:
        """The operation's."""
        return _attributes.text(operation_name)

    def attributes(self) -> dict[str, Any]:
        """The tags."""
        return _attributes.of_tags(self._given, self.kind, self._is_dup) if self._given else {}


class SharingTags(Tags):
    """What spans know of themselves beside what they have in common, which is described already."""

    def __init__(self, shared: dict[str, Any], is_dup: bool, given: dict[Any, Any]) -> None:
        super().__init__(given, _attributes.KINDS[given.pop(SPAN_KIND)], is_dup)
        self._shared = shared

    def attributes(self) -> dict[str, Any]:
        """Their own attributes, and those."""
        return {**self._shared, **super().attributes()}
