# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""An application with a viewer, a browser to look at it with, and how to read what it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from viewer import browser

from tornado_opentracing.viewer import RecordingTracer

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page


PREFIX = "/-/traces"
PHONE, DESKTOP = 390, 1200

#: A trace: name, parent, service, beginning and end, and what of it is on the critical path, in milliseconds.
SHOP: list[tuple[str, str, str, int, int, list[tuple[int, int]]]] = [
    ("Page", "", "shop", 0, 1000, [(0, 110), (800, 850), (950, 1000)]),
    ("ask stock", "Page", "shop", 100, 400, []),
    ("Stock", "ask stock", "depot", 150, 350, []),
    ("ask prices", "Page", "shop", 110, 800, [(110, 200), (700, 800)]),
    ("Price", "ask prices", "prices", 200, 700, [(200, 700)]),
    ("render", "Page", "shop", 850, 950, [(850, 950)]),
]
NAMES = [name for name, *_ in SHOP]


@dataclasses.dataclass
class Site:
    """An application with a viewer, and a browser to look at it with."""

    tracer: RecordingTracer
    url: str
    watch: browser.Watch
    page: Page

    async def open(self, path: str = "") -> Page:
        await self.page.goto(f"{self.url}{PREFIX}{path}")
        return self.page

    async def open_trace(self) -> Page:
        """The newest trace, ready for whoever wants to click."""
        page = await self.open(f"/{self.tracer.traces()[0].trace_id:x}")
        await page.wait_for_selector("body[data-ready]")
        return page


@dataclasses.dataclass
class Window:
    """A tab of the browser; each kind is opened once, for that takes time."""

    page: Page
    watch: browser.Watch


Windows = dict[tuple[int, str], Window]
Look = Callable[..., Awaitable[Site]]


def record_shop(tracer: RecordingTracer) -> dict[str, Any]:
    """The trace of ``SHOP``; the price cannot be told."""
    made: dict[str, Any] = {}
    begin = 1_700_000_000
    for name, parent, service, start, _, _ in SHOP:
        tags = {"http.url": "/tea", "http.status_code": 200} if name == "Page" else {"asked by": "a customer"}
        made[name] = tracer.for_service(service).start_span(
            name, child_of=made.get(parent), tags=tags, start_time=begin + start / 1000
        )
    try:
        raise KeyError("no such price")
    except KeyError as error:
        fields = {"event": "error", "error.kind": "KeyError", "error.object": error}
        made["Price"].set_tag("error", True).log_kv(fields, begin + 0.6)
    for name, _, _, _, end, _ in SHOP:
        made[name].finish(begin + end / 1000)
    return made


def row(page: Page, name: str) -> Locator:
    """The row of a span of ``SHOP``."""
    return page.locator(f".span[data-number='{NAMES.index(name)}']")


async def shown(page: Page) -> list[str]:
    """The names of the visible rows."""
    names: list[str] = await page.eval_on_selector_all(
        ".span:not([hidden]) .operation", "found => found.map(one => one.textContent.replace('✗', '').trim())"
    )
    return names


async def current(page: Page) -> str:
    """The name of the row that has the keyboard."""
    name: str = await page.evaluate("document.activeElement.querySelector('.operation')?.textContent ?? ''")
    return name.replace("✗", "").strip()


async def box(locator: Locator) -> tuple[float, float]:
    """From where to where, from left to right, something goes on the screen."""
    found: list[float] = await locator.evaluate(
        "one => { const box = one.getBoundingClientRect(); return [box.left, box.right]; }"
    )
    return found[0], found[1]


async def fits(page: Page) -> bool:
    """Whether there is nothing to scroll to the right."""
    found: bool = await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return found
