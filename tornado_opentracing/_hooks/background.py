# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is done at ``PeriodicCallback``: its ticks belong to no request, whoever started it.

Each timer is armed by the tick before, in whose context the next one runs: what is active when the first is armed would
be active in all, for ever.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from opentracing import tags
from tornado.ioloop import PeriodicCallback

from tornado_opentracing._guard import report
from tornado_opentracing._hooks.patching import Layer, Patch
from tornado_opentracing._hooks.running import run
from tornado_opentracing._scopes import within
from tornado_opentracing._settings.current import current_config
from tornado_opentracing._spans import followers, lifecycle
from tornado_opentracing._spans.tags import COMPONENT
from tornado_opentracing.scope_manager import no_parent_scope

#: Where it is kept what makes the root of a tick, or ``None``, once one was started that belongs to no request.
_LINK = "_tornado_opentracing"


def _start_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def start(self: PeriodicCallback) -> None:
        config = current_config() if layer.enabled else None
        vars(self).pop(_LINK, None)
        if config is not None and config.options.background != "inherit":
            vars(self)[_LINK] = _link(self) if config.options.background == "link" else None
        original(self)

    return start


def _schedule_next_hook(original: Callable[..., None], layer: Layer) -> Callable[..., None]:
    @functools.wraps(original)
    def _schedule_next(self: PeriodicCallback) -> None:
        if not layer.enabled or _LINK not in vars(self):
            original(self)
            return
        found = within.known.get()
        # What counts in a request that is excluded does not count outside of it.
        token = within.known.set((None, None)) if found[0] is not None and found[0].is_untraced else None
        try:
            with no_parent_scope():
                original(self)
        finally:
            if token is not None:
                within.known.reset(token)

    return _schedule_next


def _run_hook(original: Callable[..., Any], layer: Layer) -> Callable[..., Any]:
    is_awaited = inspect.iscoroutinefunction(original)

    @functools.wraps(original)
    def _run(self: PeriodicCallback) -> Any:
        # It was stopped in the tick in which it was to run, perhaps.
        make = vars(self).get(_LINK) if layer.enabled and self.is_running() else None
        tick = None if make is None else make()
        return original(self) if tick is None else run(tick, original, self, is_awaited=is_awaited)

    return _run


def _link(periodic: PeriodicCallback) -> Callable[[], followers.LaterRoot] | None:
    """What makes the root of a tick, to follow from what is active now; ``None`` if nothing is."""
    config = current_config()
    if config is None:
        return None
    tracer = config.tracer
    leader = lifecycle.active_span(tracer)
    if leader is None:
        return None
    try:
        callback: Any = inspect.unwrap(periodic.callback)
        name = getattr(callback, "__qualname__", None) or type(callback).__name__
        return functools.partial(
            followers.later_root, config, tracer, f"PeriodicCallback {name}", {tags.COMPONENT: COMPONENT}, leader
        )
    except Exception:
        report("linking a PeriodicCallback")
        return None


HOOKS = [
    Patch(PeriodicCallback, "start", _start_hook),
    Patch(PeriodicCallback, "_schedule_next", _schedule_next_hook),
    Patch(PeriodicCallback, "_run", _run_hook),
]
