# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is known of the request that some code runs for: its configuration, and whether its span is active."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import Any

#: Within a request: the configuration of its Application, where that differs from the process default; and the span
#: that is active there, which spares the work of activating it twice. One variable, for each costs as much as all that
#: is looked up in it. What they are is the business of those who put them there: a TracingConfig and a RequestSpan, or
#: None.
known: ContextVar[tuple[Any, Any]] = ContextVar("tornado_opentracing.request", default=(None, None))


class NoRequestActive:
    """Of no request it is known within that its span is active."""

    __slots__ = ("_known", "_token")

    def __enter__(self) -> None:
        self._known = (known.get()[0], None)
        self._token = known.set(self._known)

    def __exit__(self, *exc_info: object) -> None:
        found = known.get()
        if found is self._known:
            with contextlib.suppress(ValueError):
                known.reset(self._token)
        elif found[1] is not None:
            # Something that was entered within is not left yet, or what was entered before is: what was known then may
            # not be so any more. Knowing too little only costs a second activation.
            known.set((found[0], None))
