# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The waterfall of a trace as one sees it, with the mouse and with the keyboard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentracing import follows_from
from viewer import browser
from viewer.looking import DESKTOP, NAMES, PHONE, SHOP, Look, box, current, record_shop, row, shown

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("is_explained", [False, True], ids=["alone", "beside details"])
async def test_bars_are_where_the_times_are(look: Look, width: int, is_explained: bool) -> None:
    """Each bar, and each piece of the critical path, within a pixel of where the recorded times put it."""
    site = await look(width)
    record_shop(site.tracer)
    page = await site.open_trace()
    if is_explained:
        await row(page, "render").click()
    begin, end = await box(page.locator(".axis .when"))
    assert end - begin > 150

    def place(start: float, stop: float) -> Any:
        return pytest.approx([begin + (end - begin) * moment / 1000 for moment in (start, stop)], abs=1.5)

    for name, _, _, start, stop, critical in SHOP:
        at = row(page, name)
        assert [*await box(at.locator(".bar"))] == place(start, stop), name
        pieces = [[*await box(piece)] for piece in await at.locator("rect.path").all()]
        assert pieces == [place(*piece) for piece in critical], name
        text = (
            f"{stop - start} ms"
            if stop - start >= 100 and stop < 1000
            else {1000: "1.00 s", 50: "50.0 ms"}.get(stop - start, f"{stop - start} ms")
        )
        assert await at.locator(".ms").inner_text() == text
    for tick, text in enumerate(["0", "250", "500", "750", "1000 ms"]):
        at = page.locator(f".t{tick}")
        assert await at.inner_text() == text
        left, right = await box(at)
        wanted = begin + (end - begin) * tick / 4
        assert left - 6 <= wanted <= right + 6


async def test_the_critical_path_can_be_left_out(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    piece = row(page, "Price").locator("rect.path")
    await expect(piece).to_be_visible()
    await page.get_by_label("critical path").uncheck()
    await expect(piece).to_be_hidden()
    await expect(row(page, "Price").locator(".bar")).to_be_visible()


async def test_a_row_tells_its_depth_its_service_and_its_failure(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    assert await shown(page) == NAMES
    lefts = [(await box(row(page, name).locator(".operation")))[0] for name in NAMES]
    assert lefts[0] < lefts[1] == lefts[3] == lefts[5] < lefts[2] == lefts[4]
    bars = [
        await row(page, name).locator(".bar").evaluate("bar => getComputedStyle(bar).fill")
        for name in ("Page", "render", "Stock", "Price")
    ]
    assert bars[0] == bars[1]
    assert len(set(bars)) == 3
    assert await page.locator(".span.error .operation").all_inner_texts() == ["✗ Price"]
    assert await row(page, "Price").locator(".service").inner_text() == "prices"


async def test_a_click_shows_all_that_is_known_of_a_span(look: Look) -> None:
    site = await look()
    tracer = site.tracer
    first = tracer.start_span("first")
    others = [first, tracer.start_span("second", child_of=first)]
    references = [follows_from(other.context) for other in others]
    span = tracer.start_span("work", references=references, tags={"db.type": "sql", "rows": 3})
    span.set_baggage_item("customer", "ada")
    try:
        raise KeyError("no such price")
    except KeyError as error:
        span.log_kv({"event": "error", "error.object": error})
    span.finish()
    page = await site.open_trace()
    detail = page.locator("#detail")
    await expect(detail).to_be_hidden()
    await page.locator(".span").filter(has_text="work").click()
    await expect(detail).to_be_visible()
    text = await detail.inner_text()
    for wanted in ["work", "db.type\nsql", "rows\n3", "customer\nada", "event\nerror", "service\nshop"]:
        assert wanted in re.sub(r"\s*\n\s*", "\n", text)
    assert "test_a_click_shows_all" in await detail.locator("pre").inner_text()
    assert "KeyError: 'no such price'" in await detail.locator("pre").inner_text()
    for other in others:
        assert f"{other.context.span_id:016x}" in text
    await page.get_by_label("Close").click()
    await expect(detail).to_be_hidden()


async def test_subtrees_fold_with_a_click(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await row(page, "ask prices").locator(".fold").click()
    assert await shown(page) == [name for name in NAMES if name != "Price"]
    await expect(page.locator("#detail")).to_be_hidden()
    await row(page, "ask prices").locator(".fold").click()
    assert await shown(page) == NAMES
    await page.get_by_text("Collapse all").click()
    assert await shown(page) == ["Page", "ask stock", "ask prices", "render"]
    await page.get_by_text("Expand all").click()
    assert await shown(page) == NAMES


#: What is typed, the rows that it leaves, and how many of them have it.
FILTERS = {
    "STOCK": (["Page", "ask stock", "Stock"], 2),  # names
    "depot": (["Page", "ask stock", "Stock"], 1),  # a service
    "a customer": (NAMES, 5),  # tags
    "no such price": (["Page", "ask prices", "Price"], 1),  # a log
    "nowhere": ([], 0),
}


async def test_a_text_filters_spans_and_leaves_what_led_to_them(look: Look) -> None:
    """Folded ones, too; without it everything is as it was."""
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await page.get_by_text("Collapse all").click()
    for text, (rows, count) in FILTERS.items():
        await page.keyboard.press("/")
        await page.keyboard.type(text)
        assert await shown(page) == rows, text
        assert await page.locator("#matches").inner_text() == f"{count} of 6"
        await expect(page.locator(".span:not([hidden]):not(.faded)")).to_have_count(count)
        await page.keyboard.press("Escape")
        assert await shown(page) == ["Page", "ask stock", "ask prices", "render"]
        assert await current(page) in NAMES


#: What is pressed, and where that leads to.
KEYS = {
    "ArrowDown": "ask stock",
    "j j j": "ask prices",
    "j j k": "ask stock",
    "ArrowDown ArrowDown ArrowUp": "ask stock",
    "ArrowUp": "Page",
    "End": "render",
    "PageDown": "render",
    "PageDown PageUp": "Page",
    "End ArrowDown": "render",
    "End Home": "Page",
    "e": "Price",
    "e e": "Price",
    "e ArrowLeft": "ask prices",
    "e ArrowLeft ArrowLeft ArrowDown": "render",
    "e ArrowLeft ArrowLeft ArrowRight ArrowRight": "Price",
    "ArrowLeft ArrowDown": "Page",
    "ArrowLeft e": "Price",
    "/ P r i c e Enter ArrowDown ArrowDown": "Price",
    "/ r e n d e r ArrowDown End": "render",
    "/ r e n d e r Enter e": "Price",
    "/ x Escape ArrowDown": "ask stock",
}


async def test_keys_move_through_the_waterfall(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    for keys, name in KEYS.items():
        await page.locator("#filter").fill("")
        await page.get_by_text("Expand all").click()
        await page.locator(".span").first.focus()
        await page.keyboard.press("Home")
        for key in keys.split():
            await page.keyboard.press(key)
        assert await current(page) == name, keys


async def test_keys_open_and_close_the_details(look: Look) -> None:
    """They follow the row that has the keyboard, which is reached with Tab."""
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await current(page) == "Page":
            break
    title = page.locator("#detail h2")
    for key, text in [("Enter", "Page"), ("ArrowDown", "ask stock"), ("e", "Price"), ("End", "render")]:
        await page.keyboard.press(key)
        await expect(title).to_have_text(text)
    await page.keyboard.press("Escape")
    await expect(title).to_be_hidden()
    assert await current(page) == "render"
    await page.keyboard.press("Space")
    await expect(title).to_have_text("render")


async def test_the_keyboard_is_never_left_on_a_hidden_row(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await row(page, "Price").click()
    await row(page, "ask prices").locator(".fold").click()
    await expect(page.locator(".span[tabindex='0'] .operation")).to_have_text("ask prices")
    await expect(page.locator("#detail h2")).to_have_text("ask prices")
    await page.locator("#filter").fill("depot")
    await expect(page.locator(".span[tabindex='0'] .operation")).to_have_text("Page")
