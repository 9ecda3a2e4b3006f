# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""All that is known of a span: what can be copied, and where links lead."""

from __future__ import annotations

import re

import pytest
from viewer import browser
from viewer.looking import Look, current, record_shop, row

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_link_leads_to_a_span(look: Look) -> None:
    """It is selected and seen, folded as it may have been; the address is that of whatever is selected."""
    site = await look()
    root = site.tracer.start_span("root")
    spans = [site.tracer.start_span(f"child {number}", child_of=root) for number in range(60)]
    root.finish()
    wanted = f"{spans[41].context.span_id:016x}"
    page = await site.open(f"/{site.tracer.traces()[0].trace_id:x}#{wanted}")
    await expect(page.locator("#detail h2")).to_have_text("child 41")
    assert await current(page) == "child 41"
    await expect(page.locator(f"#s{wanted}")).to_be_in_viewport(ratio=0.9)
    await page.keyboard.press("ArrowDown")
    await expect(page).to_have_url(re.compile(f"#{spans[42].context.span_id:016x}$"))
    await page.locator("#detail").get_by_role("link", name="root").click()
    await expect(page.locator("#detail h2")).to_have_text("root")
    await page.evaluate(f"location.hash = '{wanted}'")
    await expect(page.locator("#detail h2")).to_have_text("child 41")
    await page.keyboard.press("Escape")
    await expect(page).not_to_have_url(re.compile("#"))


async def test_ids_and_the_request_are_copied(look: Look) -> None:
    site = await look()
    await site.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    tags = {
        "span.kind": "client",
        "http.method": "POST",
        "http.url": "http://depot:1/it's?token=[redacted]",
        "http.request.header.x-a": "$(b)",
    }
    fetch = site.tracer.start_span("POST", tags=tags)
    server = site.tracer.start_span("Stock", child_of=fetch, tags={"span.kind": "server", "http.url": "/stock?x=1"})
    server.finish()
    fetch.finish()
    page = await site.open_trace()
    await page.locator(".span").first.click()

    async def copied(button: str) -> str:
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(page.locator("#detail").get_by_text("Copied")).to_be_visible()
        text: str = await page.evaluate("navigator.clipboard.readText()")
        await expect(page.locator("#detail").get_by_text("Copied")).to_be_hidden()
        return text

    assert await copied("Copy the span id") == f"{fetch.context.span_id:016x}"
    assert await copied("Copy the trace id") == f"{fetch.context.trace_id:032x}"
    assert await copied("Copy link") == f"{page.url.split('#')[0]}#{fetch.context.span_id:016x}"
    command = await copied("Copy as curl")
    assert command == ("curl --globoff -X POST -H 'x-a: $(b)' 'http://depot:1/it'\\''s?token=[redacted]'")
    await page.locator(".span").last.click()
    # What a server knows of its own address is what it was fetched from.
    await expect(page.locator("#detail pre")).to_have_text("curl 'http://depot:1/stock?x=1'")
    site.tracer.start_span("Page", tags={"span.kind": "server", "http.url": "/tea"}).finish()
    await site.open_trace()
    await page.locator(".span").click()
    await expect(page.locator("#detail pre")).to_have_text(f"curl {site.url}/tea")


async def test_times_are_as_people_say_them(look: Look) -> None:
    site = await look()
    await site.open()
    said = await site.page.evaluate(
        """async ([url, times]) => times.map((await import(url)).duration)""",
        [
            f"{site.url}/-/traces/static/dom.js",
            [0.038, 0.9999, 4.25, 99.96, 999.7, 1250, 59_996, 185_000, 3_600_000, 3_720_000, 90_000_000, 200_000_000],
        ],
    )
    assert said == [
        "38 us", "1.0 ms", "4.3 ms", "100 ms", "1.00 s", "1.25 s",
        "1 min", "3 min 5 s", "1 h", "1 h 2 min", "25 h", "2 d 7 h",
    ]  # fmt: skip


async def test_a_span_shows_its_own_time_and_its_logs_at_theirs(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open_trace()
    await row(page, "Page").click()
    await expect(page.locator("#detail dl").first).to_have_text(re.compile(r"self time\s*200 ms"))
    await row(page, "Price").click()
    await expect(page.locator("#detail .log strong")).to_have_text("+600 ms")
