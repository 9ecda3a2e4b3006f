# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What the page of a trace does with time: live, zoomed, repeated, blocked; its other views."""

from __future__ import annotations

import re
from typing import Any

import pytest
from viewer import browser
from viewer.looking import NAMES, PHONE, Look, box, record_shop, row, shown

from tornado_opentracing.viewer import RecordingTracer

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")

BEGIN = 1_700_000_000


def record(tracer: RecordingTracer, name: str, begin: int, end: int, **kwargs: Any) -> Any:
    """A span of some milliseconds."""
    span = tracer.start_span(name, start_time=BEGIN + begin / 1000, **kwargs)
    span.finish(BEGIN + end / 1000)
    return span


async def test_a_trace_is_shown_while_it_runs(look: Look) -> None:
    """What was folded and chosen stays so."""
    site = await look()
    root = site.tracer.start_span("root")
    first = site.tracer.start_span("first", child_of=root)
    site.tracer.start_span("below", child_of=first).finish()
    page = await site.open_trace()
    await expect(page.locator("#facts .running")).to_have_text(re.compile(r"running \d+ s"))
    await page.locator(".span").nth(1).locator(".fold").click()
    await page.locator(".span").nth(1).click()
    site.tracer.start_span("second", child_of=root, tags={"error": True}).finish()
    operations = page.locator(".span .operation")
    await expect(operations).to_have_text(["root", "first", "✗ second"])
    await expect(page.locator(".span.running")).to_have_count(2)
    first.finish()
    root.set_tag("http.status_code", 200).finish()
    await expect(page.locator(".span.running")).to_have_count(0)
    await expect(page.locator("#facts .badge")).to_have_text("200")
    await expect(page.locator("#facts .failed")).to_have_text("✗ 1 failed")
    await expect(operations).to_have_text(["root", "first", "✗ second"])
    await expect(page.locator(".span.selected .operation")).to_have_text("first")
    await expect(page.locator("#detail h2")).to_have_text("first")


async def test_dragging_over_the_bars_or_the_map_shows_that_part(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    left, right = await box(page.locator(".axis .when"))

    async def drag(of: str, begin: float, end: float) -> None:
        start, stop = await box(page.locator(of))
        area = await page.locator(of).bounding_box()
        assert area is not None
        y = area["y"] + area["height"] / 2
        await page.mouse.move(start + (stop - start) * begin, y)
        await page.mouse.down()
        await page.mouse.move(start + (stop - start) * (begin + end) / 2, y)
        await page.mouse.move(start + (stop - start) * end, y)
        await page.mouse.up()

    async def bar_is(name: str, begin: float, end: float) -> None:
        wanted = [left + (right - left) * part for part in (begin, end)]
        assert [*await box(row(page, name).locator(".bar"))] == pytest.approx(wanted, abs=4), name

    await drag(".span[data-number='1'] .when", 0.5, 1)
    await expect(page.locator(".t0")).to_have_text(re.compile("^(499|500|501)"))
    await expect(page.locator("#detail")).to_be_hidden()  # that was no click
    await bar_is("Page", 0, 1)
    await bar_is("render", 0.7, 0.9)
    await expect(row(page, "Stock").locator(".bar")).to_have_count(0)
    await drag("#map", 0.8, 1)
    await bar_is("render", 0.25, 0.75)
    await page.get_by_role("button", name="All", exact=True).click()
    await bar_is("render", 0.85, 0.95)
    await page.locator(".span").first.focus()
    await page.keyboard.press("+")
    await expect(page.locator(".t0")).to_have_text("250")
    await page.keyboard.press("]")
    await expect(page.locator(".t0")).to_have_text("375")
    await page.keyboard.press("0")
    await expect(page.locator(".t4")).to_have_text("1000 ms")


async def test_what_is_repeated_is_one_row_until_it_is_opened(look: Look) -> None:
    site = await look()
    root = record(site.tracer, "Page", 0, 1000)
    for number in range(40):
        tags = {"span.kind": "client", "http.url": f"http://a/stock/{number}", "error": number == 7}
        record(site.tracer, "GET", 10 * number, 10 * number + 5, child_of=root, tags=tags)
    record(site.tracer, "render", 800, 900, child_of=root)
    page = await site.open_trace()
    assert await shown(page) == ["Page", "1 GET /stock/{n} x 40", "render"]
    group = page.locator(".group")
    bars = {await bar.get_attribute("class"): await bar.get_attribute("d") for bar in await group.locator(".bar").all()}
    assert {name: str(line).count("M") for name, line in bars.items()} == {"bar one": 39, "bar one failed": 1}
    left, _ = await box(group.locator(".bar.failed"))
    begin, end = await box(group.locator("svg").first)
    assert left == pytest.approx(begin + 0.07 * (end - begin), abs=2)
    await group.focus()
    await page.keyboard.press("ArrowRight")
    assert len(await shown(page)) == 43
    assert await page.locator(".span").nth(2).get_attribute("aria-level") == "3"
    await group.click()
    assert len(await shown(page)) == 3
    await page.keyboard.press("e")
    await expect(page.locator(".span.selected .operation")).to_have_text("✗ GET /stock/7")


async def test_a_blocked_loop_is_a_band_over_all_rows_and_marks_are_where_logs_are(look: Look) -> None:
    for width in (1200, PHONE):
        site = await look(width)
        root = site.tracer.start_span("Page", start_time=BEGIN, tags={"http.response.first_byte_ms": 600})
        record(site.tracer, "ask", 100, 900, child_of=root)
        root.log_kv({"event": "loop blocked", "duration": 0.25, "stack": "File a\nFile b"}, BEGIN + 0.5)
        root.log_kv({"event": "error", "error.kind": "KeyError"}, BEGIN + 0.75)
        root.finish(BEGIN + 1)
        page = await site.open_trace()
        left, right = await box(page.locator(".axis .when"))

        def at(*parts: float, begin: float = left, end: float = right) -> Any:
            return pytest.approx([begin + (end - begin) * part for part in parts], abs=2)

        band = page.locator(".band")
        assert [*await box(band)] == at(0.25, 0.5)
        areas = [await page.locator(of).bounding_box() for of in (".band", ".span >> nth=0", ".span >> nth=1")]
        bands, first, last = [area for area in areas if area]
        assert bands["y"] <= first["y"]
        assert bands["y"] + bands["height"] >= last["y"] + last["height"] - 2
        assert [*await box(page.locator(".received"))] == at(0.6, 1)
        marks = [(await box(mark)) for mark in await page.locator(".mark").all()]
        assert [(start + stop) / 2 for start, stop in marks] == at(0.5, 0.75)
        await expect(page.locator(".mark.failed")).to_have_count(1)
        await page.locator(".span").first.click()
        await expect(page.locator("#detail .log").first).to_contain_text("250 ms")
        waited = site.tracer.start_span("Waited", start_time=BEGIN)
        fields = {"event": "waited for blocked loop", "duration": 0.5, "blocked by": "Page"}
        fields["blocked by trace"] = f"{root.context.trace_id:032x}"
        waited.log_kv(fields, BEGIN + 1)
        also_waited = site.tracer.start_span("Also waited", child_of=waited, start_time=BEGIN)
        also_waited.log_kv(fields, BEGIN + 1)
        also_waited.finish(BEGIN + 1)
        waited.finish(BEGIN + 1)
        await site.open_trace()
        assert [*await box(band)] == at(0.5, 1)  # one band, of whom all of them tell
        await page.locator(".span").first.click()
        await page.get_by_text("The trace that blocked it").click()
        await expect(page.locator("h1")).to_contain_text("Page")


async def test_the_flame_view_puts_together_what_does_the_same(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await page.get_by_role("button", name="Flame").click()
    boxes = page.locator(".box")
    await expect(boxes).to_have_count(len(NAMES))
    whole, prices = await box(boxes.filter(has_text="Page")), await box(boxes.filter(has_text="ask prices"))
    # Side by side, what "Page" waited for took 1090 ms.
    assert (prices[1] - prices[0]) / (whole[1] - whole[0]) == pytest.approx(690 / 1090, abs=0.01)
    await boxes.filter(has_text="ask prices").click()
    await expect(boxes).to_have_count(3)
    assert [*await box(boxes.filter(has_text="ask prices"))] == pytest.approx([*whole], abs=2)
    await page.keyboard.press("ArrowDown")
    await expect(boxes.filter(has_text="Price").last).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(boxes.filter(has_text="Price").last).to_have_attribute("aria-pressed", "true")


async def test_the_difference_to_another_trace_of_the_operation_is_shown(look: Look) -> None:
    site = await look()
    for slow, names in ((100, ["ask", "old"]), (400, ["ask", "new"])):
        root = record(site.tracer, "Page", 0, 2 * slow)
        for number, name in enumerate(names):
            record(site.tracer, name, number, number + slow, child_of=root)
    record(site.tracer, "Page two", 0, 1)
    page = await site.open(f"/{site.tracer.traces()[1].trace_id:x}")
    await page.get_by_role("button", name="Difference").click()
    rows = page.locator("#differences tr")
    await expect(rows).to_have_count(4)
    await expect(page.locator("#other option")).to_have_count(1)
    texts = [re.sub(r"\s+", " ", text).strip() for text in await rows.all_inner_texts()]
    assert texts == [
        "Page shop 1 800 ms 200 ms +600 ms",
        "ask shop 1 400 ms 100 ms +300 ms",
        "new shop 1 (was 0) 400 ms new +400 ms",
        "old shop 0 (was 1) 100 ms missing -100 ms",
    ]


async def test_the_critical_path_leads_through_the_messages_of_a_websocket(look: Look) -> None:
    site = await look()
    handshake = record(site.tracer, "handshake", 0, 100)
    record(site.tracer, "message", 200, 600, child_of=handshake)
    record(site.tracer, "message", 700, 1000, child_of=handshake)
    page = await site.open_trace()
    assert [await one.locator("rect.path").count() for one in await page.locator(".span").all()] == [1, 1, 1]
