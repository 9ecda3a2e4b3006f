# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from support import Servers
from tornado.web import Application
from viewer import browser
from viewer.looking import DESKTOP, Look, Site, Window, Windows

from tornado_opentracing.viewer import RecordingTracer, viewer_routes

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(**browser.LAUNCH)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def servers() -> AsyncIterator[Servers]:
    servers = Servers()
    yield servers
    await servers.stop()


@pytest.fixture(scope="module")
def windows() -> Windows:
    return {}


@pytest_asyncio.fixture(loop_scope="module")
async def look(chromium: Browser, windows: Windows, servers: Servers) -> AsyncIterator[Look]:
    """Starts a site, and looks at it through a window of some width and colour scheme."""
    from playwright.async_api import expect

    async def look(width: int = DESKTOP, colours: Any = "light", tracer: RecordingTracer | None = None) -> Site:
        if (width, colours) not in windows:
            context = await chromium.new_context(viewport={"width": width, "height": 700}, color_scheme=colours)
            context.set_default_timeout(10_000)
            watch = browser.Watch(context)
            windows[width, colours] = Window(await context.new_page(), watch)
        window = windows[width, colours]
        tracer = tracer or RecordingTracer(service="shop")
        url = servers.start(Application([*viewer_routes(tracer)], debug=True, autoreload=False))
        window.watch.own = url.partition("://")[2]
        return Site(tracer, url, window.watch, window.page)

    expect.set_options(timeout=10_000)
    yield look
    problems = []
    for window in windows.values():
        problems += window.watch.problems
        await window.page.goto("about:blank")
        window.watch.forget()
    assert problems == []
