# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The language of the random programs: trees of concurrent work, and the trace that follows from the tree alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from support import Recorded


@dataclasses.dataclass(frozen=True)
class Work:
    """A span that is active while the steps are done, one after the other."""

    steps: tuple[Step, ...] = ()


@dataclasses.dataclass(frozen=True)
class Fetch(Work):
    """A fetch; the steps are done by the handler at the server, while the request's span is active."""

    handler: str = "Async"
    #: "plain"; "redirected" by another handler; "impatient": the client gives up soon, and its connection is gone.
    conduct: str = "plain"


@dataclasses.dataclass(frozen=True)
class Run:
    """Do works at the same time, where the way to run them allows it."""

    way: str
    works: tuple[Work, ...]
    #: Cancel them after so many turns of the event loop.
    cancelled_after: int | None = None
    #: Whether the exceptions of the works end here.
    catches: bool = True


@dataclasses.dataclass(frozen=True)
class Pause:
    turns: int


@dataclasses.dataclass(frozen=True)
class Raise:
    pass


@dataclasses.dataclass(frozen=True)
class CancelItself:
    """Cancel the task that does this, whichever that is."""


@dataclasses.dataclass(frozen=True)
class Finish:
    """Finish the response of the request that this is part of, from wherever that is."""


Step = Run | Pause | Raise | CancelItself | Finish


def children(work: Work, name: str) -> Iterator[tuple[int, Work, str, str | None]]:
    """The works that a work runs: in which step, the work, its name, and the span that is active where it is run."""
    for position, step in enumerate(work.steps):
        if isinstance(step, Run):
            above = None if step.way == "no_parent_scope" else own_span(work, name)
            for letter, child in zip("abcdefgh", step.works, strict=False):
                yield position, child, f"{name}.{position}{letter}", above


def is_calm(work: Work) -> bool:
    """Whether nothing keeps any part of a program from being run."""
    return not (isinstance(work, Fetch) and work.conduct == "impatient") and all(
        isinstance(step, (Pause, Finish))
        or (isinstance(step, Run) and step.cancelled_after is None and all(map(is_calm, step.works)))
        for step in work.steps
    )


def fetches(work: Work) -> bool:
    """Whether the steps of a work fetch anything."""
    return any(isinstance(child, Fetch) or fetches(child) for _, child, *_ in children(work, ""))


def expected(work: Work, name: str = "0", parent: str | None = None) -> Iterator[tuple[str, str | None]]:
    """All spans of a program, each with its parent."""
    if isinstance(work, Fetch):
        client = f"{name} client"
        yield client, parent
        if work.conduct == "redirected":
            yield f"{name} redirect", client
        parent = client
    yield own_span(work, name), parent
    for _, child, child_name, above in children(work, name):
        yield from expected(child, child_name, above)


def own_span(work: Work, name: str) -> str:
    """The span that is active while the steps of a work are done."""
    return f"{name} server" if isinstance(work, Fetch) else name


def span_name(span: Recorded) -> str:
    """Which span of a program this is."""
    if span.kind is None:
        return span.name
    *directory, name = span.path.split("/")
    return f"{name} {'redirect' if span.kind == 'server' and 'redirect' in directory else span.kind}"
