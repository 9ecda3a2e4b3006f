# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The table of patches: everything of Tornado's that this package replaces, and nothing else."""

from __future__ import annotations

import threading

from tornado_opentracing._hooks import (
    background,
    client,
    connection,
    executor,
    handler,
    measuring,
    routes,
    server,
    templates,
    websocket,
    websocket_client,
    wsgi,
)
from tornado_opentracing._hooks.patching import Patch

#: Two threads that start their applications at once would otherwise put a hook on top of the other's.
_lock = threading.Lock()


class Hooks:
    """A group of patches that are put in place and removed together."""

    def __init__(self, *patches: Patch) -> None:
        self.patches = patches
        self._installed = False

    def install(self) -> None:
        """Put the patches in place; they do nothing where nothing is to be traced."""
        with _lock:
            for patch in self.patches:
                patch.apply()
            self._installed = True

    def ensure(self) -> bool:
        """Put the patches in place unless that was done; return whether it was."""
        was_installed = self._installed
        if not was_installed:
            self.install()
        return was_installed

    def remove(self) -> None:
        """Give Tornado its own functions back."""
        with _lock:
            for patch in self.patches:
                patch.remove()
            self._installed = False


SERVER = Hooks(
    *routes.HOOKS,
    *server.HOOKS,
    *handler.HOOKS,
    *connection.HOOKS,
    *websocket.HOOKS,
    *templates.HOOKS,
    *background.HOOKS,
    *wsgi.HOOKS,
)
CLIENT = Hooks(*client.HOOKS, *websocket_client.HOOKS)
EXECUTOR = Hooks(*executor.HOOKS)
#: Put in place where requests are to be measured, too.
MEASURING = Hooks(*measuring.HOOKS)
