# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the tests know of another instrumentation of Tornado: how it is switched on and off, and what it recorded."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tornado.web import Application

#: What a peer recorded, as it tells it, without what differs each time.
Record = dict[str, object]

#: The trace and the span of whoever sends the requests.
TRACE_ID, SPAN_ID = 0xA1A1A1A1A1A1A1A1, 0xB2B2B2B2


class Peer(abc.ABC):
    """Made once in a process, before anything is switched on; imports what it needs only when it is switched on."""

    #: The header with which the caller's trace goes on in this one's.
    headers: ClassVar[Mapping[str, str]]
    #: Whether that works where somebody else's wrapper lies on top of its own.
    can_be_removed_beneath: ClassVar[bool] = False
    #: The situations in which it loses, alone, something that it records beside us.
    loses: ClassVar[frozenset[str]] = frozenset()

    @abc.abstractmethod
    def switch_on(self) -> None:
        """Instrument Tornado, and keep what is recorded in this process."""

    def equip(self, application: Application) -> None:  # noqa: B027 - most need nothing
        """Do to an Application what it needs to be traced."""

    def switch_off(self) -> None:  # noqa: B027 - most have no way
        """Give Tornado its own functions back."""

    @classmethod
    def can_be_removed(cls) -> bool:
        """Whether it has a way to be removed again."""
        return cls.switch_off is not Peer.switch_off

    @abc.abstractmethod
    def take_records(self) -> list[Record]:
        """What was recorded since the last time."""
