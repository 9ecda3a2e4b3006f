# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Everything fits on the screen, is quick, and can be read."""

from __future__ import annotations

import time

import pytest
from viewer import browser
from viewer.looking import DESKTOP, PHONE, Look, box, fits, record_shop, row, shown

from tornado_opentracing.viewer import RecordingTracer

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


# Size


async def test_two_thousand_spans_are_there_and_obey_the_keyboard_at_once(look: Look) -> None:
    """What that takes of the processor, in the server and in the browser: machines are busy. The best of three."""
    site = await look()
    with site.tracer.start_active_span("page", tags={"http.url": "/big"}):
        for number in range(666):
            with site.tracer.start_active_span(f"group {chr(0x4E00 + number)}"):
                for child in ("read", "write"):
                    site.tracer.start_span(child, tags={"rows": number}).finish()
    session = await site.page.context.new_cdp_session(site.page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})

    async def taken() -> float:
        metrics = (await session.send("Performance.getMetrics"))["metrics"]
        found: float = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
        return found

    found = []
    for _ in range(3):
        await site.page.goto("about:blank")
        before = await taken(), time.thread_time()
        page = await site.open_trace()
        await page.keyboard.press("End")
        await expect(page.locator(".span[data-number='1998']")).to_be_focused()
        found.append(((await taken()) - before[0], time.thread_time() - before[1]))
    await session.detach()
    assert await page.locator(".span").count() == 1999
    in_browser, in_server = map(min, zip(*found, strict=True))
    assert in_browser < 1.5, found
    assert in_server < 1.0, found
    await page.locator("#filter").fill(f"group {chr(0x4E00 + 332)}")
    assert await shown(page) == ["page", f"group {chr(0x4E00 + 332)}"]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
async def test_long_names_and_deep_trees_fit_on_the_screen(look: Look, width: int) -> None:
    site = await look(width, tracer=RecordingTracer(service="service-" * 12))
    long = "long" * 50
    parent = site.tracer.start_span(f"top {long}", tags={"http.url": f"/{long}", long: long, "http.status_code": 200})
    parent.log_kv({long: long, "stack": f"{long}\n{long}"})
    parent.set_baggage_item(long, long)
    top = parent
    for depth in range(40):
        parent = site.tracer.start_span(f"{depth} {long}", child_of=parent)
        parent.finish()
    top.finish()
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    assert await fits(page)
    await page.locator("#traces a").click()
    await page.wait_for_selector("body[data-ready]")
    assert await fits(page)
    await page.locator(".span").first.click()
    assert await fits(page)
    assert await page.locator("#detail").evaluate("one => one.scrollWidth <= one.clientWidth")
    close = page.get_by_label("Close")
    await page.locator("#detail").evaluate("one => one.scrollTop = 9999")
    await expect(close).to_be_in_viewport()
    await page.keyboard.press("End")
    operation, name = await box(page.locator(".span .operation").last), await box(page.locator(".name").last)
    assert name[1] - operation[0] > 60
    await expect(page.locator(".span").last).to_be_in_viewport(ratio=0.9)


async def test_the_row_that_is_explained_is_not_beneath_its_details(look: Look) -> None:
    site = await look(PHONE)
    for _ in range(30):
        record_shop(site.tracer)
    with site.tracer.start_active_span("many"):
        for number in range(50):
            site.tracer.start_span(f"child {chr(0x4E00 + number)}").finish()
    page = await site.open_trace()
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    last, detail = [await page.locator(of).bounding_box() for of in (".span.selected", "#detail")]
    assert last is not None
    assert detail is not None
    assert last["y"] + last["height"] <= detail["y"] + 1


# Colours

CONTRAST = """(found) => {
    const light = (colour) => {
        const [red, green, blue] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
            const value = part / 255;
            return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    return found.map((one) => {
        let ground = one;
        const behind = () => getComputedStyle(ground).backgroundColor;
        while (ground.parentElement && behind() === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        const [less, more] = [getComputedStyle(one).color, behind()].map(light).sort((a, b) => a - b);
        return [one.textContent.trim(), (more + 0.05) / (less + 0.05)];
    });
}"""


@pytest.mark.parametrize(("colours", "background"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 28)")])
async def test_text_can_be_read_in_the_light_and_in_the_dark(look: Look, colours: str, background: str) -> None:
    """With the contrast that WCAG asks for, 4.5 to 1."""
    site = await look(colours=colours)
    record_shop(site.tracer)
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    texts = await page.locator("a, th, td, span, label").evaluate_all(CONTRAST)
    await page.locator("#traces a").click()
    await row(page, "Price").click()
    assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == background
    texts += await page.locator(
        "a, p span, .span, .span .name span, .ms, .tick, button, label, dt, dd, pre"
    ).evaluate_all(CONTRAST)
    assert len(texts) > 50
    assert [(text, ratio) for text, ratio in texts if text and ratio < 4.5] == []
