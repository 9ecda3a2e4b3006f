# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Threads that are not there while the process is forked: a child of a process with threads may find locks that nobody
will open, of which Python 3.12 warns."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What has a thread."""

    def pause(self) -> None:
        """Have the thread end, before the process is forked."""

    def go_on(self) -> None:
        """Have it again, in the parent."""

    def leave(self) -> None:
        """Be what a child is to have of it, which has the thread no more."""


_known: weakref.WeakSet[Forkable] = weakref.WeakSet()


def look_after(forkable: Forkable) -> None:
    """Call its methods whenever the process is forked, for as long as it is there."""
    _known.add(forkable)


def forget(forkable: Forkable) -> None:
    """Call them no more."""
    _known.discard(forkable)


def _before() -> None:
    for forkable in list(_known):
        forkable.pause()


def _in_parent() -> None:
    for forkable in list(_known):
        forkable.go_on()


def _in_child() -> None:
    for forkable in list(_known):
        forkable.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
