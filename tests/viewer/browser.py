# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, and a watch over what its pages must never do."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Page

#: What the browser is called, on Debian, on Ubuntu, and where Google's is.
NAMES = ("chromium", "chromium-browser", "google-chrome")

#: It has no business but with the pages it is told to open.
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
]

LAUNCH: dict[str, Any] = {
    "executable_path": next(filter(None, map(shutil.which, NAMES)), None),
    "args": ARGUMENTS,
}


def require() -> None:
    """Skip a test module where it cannot have its browser; fail where REQUIRE_BROWSER says that there must be one."""
    try:
        import playwright.async_api  # noqa: F401

        missing = "" if LAUNCH["executable_path"] else f"there is no browser on the PATH ({', '.join(NAMES)})"
    except ImportError as error:
        missing = f"Playwright cannot be imported ({error})"
    if missing and os.environ.get("REQUIRE_BROWSER", "0") not in {"", "0"}:
        pytest.fail(f"REQUIRE_BROWSER is set, but {missing}", pytrace=False)
    if missing:
        pytest.skip(missing, allow_module_level=True)


class Watch:
    """Every page of a browser context: whom it asks, and what goes wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        #: The host that may be asked.
        self.own = ""
        self.asked: list[str] = []
        self.problems: list[str] = []
        context.on("page", self._look_at)

    def forget(self) -> None:
        self.asked.clear()
        self.problems.clear()

    def _look_at(self, page: Page) -> None:
        page.on("request", lambda request: self._asks(request.url))
        page.on("websocket", lambda socket: self._asks(socket.url))
        page.on("console", lambda message: self.problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("dialog", self._dismiss)

    def _asks(self, url: str) -> None:
        self.asked.append(url)
        address = urlsplit(url)
        if address.scheme != "data" and address.netloc != self.own:
            self.problems.append(f"asks another host: {url}")

    async def _dismiss(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()
