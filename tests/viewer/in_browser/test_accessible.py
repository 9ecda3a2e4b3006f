# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Everybody can use it: with a screen reader, the keyboard alone, a finger, few colours, in the light and the dark."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from viewer import browser
from viewer.looking import DESKTOP, PHONE, Look, Site, box, fits, record_shop, row

from tornado_opentracing.viewer import RecordingTracer

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")

_FOUND = importlib.util.find_spec("axe_playwright_python")
AXE = Path(_FOUND.origin).with_name("axe.min.js") if _FOUND and _FOUND.origin else None

needs_axe = pytest.mark.skipif(AXE is None, reason="axe-playwright-python, which brings axe-core, is not installed")


async def visit(site: Site) -> Any:
    """Every page and view, one after the other, each ready and with its name."""
    tracer = site.tracer
    for _ in range(2):
        made = record_shop(tracer)
    with tracer.start_active_span("many") as scope:
        for number in range(8):
            tracer.start_span(f"stock {number}", tags={"error": number == 3}).finish()
        scope.span.log_kv({"event": "loop blocked", "duration": 0.001, "stack": "File a\nFile b"})
        tracer.start_span("running", tags={"span.kind": "server"})
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    yield "list", page
    await page.locator("#search").focus()
    await expect(page.get_by_role("option").first).to_be_visible()
    yield "completions", page
    yield "operations", await site.open("/operations")
    yield "repeats", await site.open_trace()
    page = await site.open(f"/{made['Page'].context.trace_id:x}")
    await page.wait_for_selector("body[data-ready]")
    yield "trace", page
    await row(page, "Price").click()
    yield "details", page
    await page.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="Flame").click()
    yield "flame", page
    await page.get_by_role("button", name="Difference").click()
    await expect(page.locator("#differences tr").first).to_be_visible()
    yield "difference", page


RUN = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"], rules: {"region": {enabled: false}}});
    return found.violations.map(({id, nodes}) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`);
}"""


@needs_axe
@pytest.mark.parametrize(("width", "colours"), [(DESKTOP, "light"), (PHONE, "dark")])
async def test_axe_finds_nothing(look: Look, width: int, colours: str) -> None:
    assert AXE is not None
    script = AXE.read_text(encoding="utf-8")
    site = await look(width, colours)
    async for name, page in visit(site):
        await page.evaluate(script)
        assert await page.evaluate(RUN) == [], name


SMALL = """() => [...document.querySelectorAll("a, button, input, select, summary, [role=option], .span, .fold")]
    .filter((one) => one.checkVisibility() && !one.closest("p, td, dd, li, .offscreen"))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width > 0 && (Math.round(box.height) < 24 || Math.round(box.width) < 24))
    .filter(([one]) => !one.matches(".box"))
    .map(([one, box]) => `${one.outerHTML.slice(0, 120)} ${box.width}x${box.height}`)"""


async def test_what_is_touched_is_large_enough_and_nothing_is_wider_than_the_narrowest_phone(look: Look) -> None:
    site = await look(360)
    async for name, page in visit(site):
        assert await fits(page), name
        assert await page.evaluate(SMALL) == [], name


async def test_the_waterfall_is_a_treegrid_with_levels_and_positions(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    names = ("aria-level", "aria-posinset", "aria-setsize", "aria-expanded", "aria-rowindex")
    found = [[await one.get_attribute(name) for name in names] for one in await page.locator(".span").all()]
    assert found == [
        ["1", "1", "1", "true", "2"],
        ["2", "1", "3", "true", "3"],
        ["3", "1", "1", None, "4"],
        ["2", "2", "3", "true", "5"],
        ["3", "1", "1", None, "6"],
        ["2", "3", "3", None, "7"],
    ]
    await expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "7")
    await row(page, "ask prices").locator(".fold").click()
    await expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "6")
    await expect(row(page, "render")).to_have_attribute("aria-rowindex", "6")


CONTRAST = """(pairs) => {
    const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
    const light = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => {
            const value = part / 255;
            return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const root = document.documentElement;
    const value = (name) => getComputedStyle(root).getPropertyValue(name).trim();
    return pairs.map(([one, other]) => {
        const [less, more] = [value(one), value(other)].map(light).sort((a, b) => a - b);
        return [one, other, (more + 0.05) / (less + 0.05)];
    });
}"""


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_bars_and_controls_stand_out_from_what_is_behind_them(look: Look, colours: str) -> None:
    """With the contrast that WCAG asks for, 3 to 1, whichever row they are on."""
    site = await look(colours=colours)
    page = await site.open()
    colour_names = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--red", "--path", "--focus", "--amber"]
    grounds = ["--bg", "--hover", "--selected"]
    pairs = [[name, ground] for name in colour_names for ground in grounds] + [
        ["--edge", "--bg"],
        ["--edge", "--panel"],
    ]
    found = await page.evaluate(CONTRAST, pairs)
    assert [(name, ground, ratio) for name, ground, ratio in found if ratio < 3] == []


async def test_in_forced_colours_and_without_motion_everything_is_there(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await page.emulate_media(forced_colors="active", reduced_motion="reduce")
    try:
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        fill = await row(page, "Page").locator(".bar").evaluate("bar => getComputedStyle(bar).fill")
        path = await row(page, "Page").locator("rect.path").first.evaluate("bar => getComputedStyle(bar).fill")
        assert len({ground, fill, path}) == 3
        moving = "document.getAnimations().length"
        assert await page.evaluate(moving) == 0
    finally:
        await page.emulate_media(forced_colors="none", reduced_motion="no-preference")


async def test_what_was_recorded_turns_no_text_beside_it_around(look: Look) -> None:
    """Control characters for the direction of writing end with the text that they are in."""
    site = await look(tracer=RecordingTracer(service="\u202eservice"))
    site.tracer.start_span("\u202eoperation", tags={"\u202ename": "\u2067value", "http.url": "/\u202epath"}).finish()
    page = await site.open()
    places = [
        await box(page.locator(f"#traces {of}").first) for of in ("time", ".operation a", ".path", ".services bdi")
    ]
    assert places == sorted(places)
    page = await site.open_trace()
    places = [await box(page.locator(f".span {of}").first) for of in (".operation", ".service", ".ms")]
    assert places == sorted(places)
    await page.locator(".span").click()
    name, value = page.locator("#detail dt", has_text="name").first, page.locator("#detail dd", has_text="value").first
    assert (await box(name))[0] < (await box(value))[0]
