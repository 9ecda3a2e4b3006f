# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""How many requests are being served, counted when somebody collects metrics: to tell of each costs many times more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry.metrics import Observation

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions


class Served(Protocol):
    """A request that is being served."""

    #: And its scheme.
    method: tuple[str, str]


class ActiveRequests:
    """The requests that are being served. Any thread may add to them: what is done to a dictionary here is atomic."""

    def __init__(self) -> None:
        #: By their ids, for it is not to keep them alive.
        self._requests: dict[int, tuple[str, str]] = {}
        #: Of these there are none, once there were some.
        self._methods: dict[tuple[str, str], int] = {}

    def add(self, request: Served) -> None:
        """Count a request from here on."""
        self._methods[request.method] = 0
        self._requests[id(request)] = request.method

    def remove(self, request: Served) -> None:
        """Count it no more."""
        self._requests.pop(id(request), None)

    def observe(self, _options: CallbackOptions) -> list[Observation]:
        """How many there are of each method and scheme."""
        counts = self._methods.copy()
        for served in list(self._requests.values()):
            counts[served] = counts.get(served, 0) + 1
        return [
            Observation(count, {"http.request.method": method, "url.scheme": scheme})
            for (method, scheme), count in counts.items()
        ]
