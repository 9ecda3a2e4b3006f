# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What was recorded is text and nothing else, and the pages ask nothing of others."""

from __future__ import annotations

import json

import pytest
from viewer import browser
from viewer.looking import NAMES, PREFIX, Look, record_shop

from tornado_opentracing.viewer import RecordingTracer

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


HOSTILE = [
    "<script>hit = 1</script><img src=x onerror=hit=1>",
    "\"'><svg onload=hit=1>",
    "</script ><img src=x onerror=hit=1><!--<script >{{ hit }}{% raw 1 %}",
    "javascript:hit=1 &lt;b&gt; \u2028 \u202e \U0001f600",
]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_what_was_recorded_is_shown_as_text(look: Look, hostile: str) -> None:
    site = await look(tracer=RecordingTracer(service=hostile))
    tags = {hostile: hostile, "http.url": hostile, "http.status_code": hostile, "error": True}
    with site.tracer.start_active_span(hostile, tags=tags) as scope:
        scope.span.log_kv({hostile: hostile, "event": "error", "error.kind": hostile, "stack": f"{hostile}\n{hostile}"})
        scope.span.set_baggage_item(hostile, hostile)
        site.tracer.start_span(hostile).finish()
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    assert await page.locator("#traces .operation a").text_content() == hostile
    assert await page.locator("#traces .services").text_content() == hostile
    assert await page.locator("#traces .status").text_content() == hostile
    await page.locator("#traces a").click()
    await page.wait_for_selector("body[data-ready]")
    assert await page.locator(".span .service").first.text_content() == hostile
    assert hostile in str(await page.locator("h1").text_content())
    await page.locator(".span").first.click()
    detail = page.locator("#detail")
    assert await detail.locator("h2").text_content() == hostile
    assert await detail.locator("pre").text_content() == f"{hostile}\n{hostile}"
    terms = [await term.text_content() for term in await detail.locator("dt, dd").all()]
    assert terms.count(hostile) == 10
    assert await page.evaluate("[typeof hit, document.scripts.length, document.images.length]") == ["undefined", 1, 0]
    assert await page.locator("main svg[onload], a[href^=javascript]").count() == 0


async def test_no_script_but_its_own_runs_and_nothing_is_asked_of_others(look: Look) -> None:
    """Even if something were not escaped, the Content-Security-Policy is in the way; and the watch sees it."""
    site = await look()
    record_shop(site.tracer)
    for path in ["", f"/{site.tracer.traces()[0].trace_id:x}"]:
        page = await site.open(path)
        await page.evaluate(
            """() => {
                const add = (tag, fields) => document.body.append(Object.assign(document.createElement(tag), fields));
                add("script", {textContent: "window.hit = 1"});
                add("script", {src: "http://127.0.0.1:9/x.js"});
                add("img", {src: "http://127.0.0.1:9/x.png"});
                add("iframe", {src: "http://127.0.0.1:9/"});
                document.body.insertAdjacentHTML("beforeend", "<b onclick='hit = 1' style='color: red'>x</b>");
                document.body.lastChild.click();
            }"""
        )
        assert await page.evaluate("typeof hit") == "undefined"
        assert "rgb(255, 0, 0)" not in await page.evaluate("getComputedStyle(document.body.lastChild).color")
        refused = [problem for problem in site.watch.problems if "Content Security Policy" in problem]
        assert len(refused) >= 6, site.watch.problems
        site.watch.problems.clear()


async def test_all_that_is_asked_is_asked_of_the_viewer(look: Look) -> None:
    site = await look()
    record_shop(site.tracer)
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    await page.locator("#traces a").click()
    await page.wait_for_selector("body[data-ready]")
    async with page.expect_download() as downloading:
        await page.get_by_text("JSON").click()
    download = await downloading.value
    content = json.loads((await download.path()).read_text(encoding="utf-8"))
    assert [span["operation_name"] for span in content["spans"]] == NAMES
    trace = f"/{site.tracer.traces()[0].trace_id:x}"
    assert download.url == f"{site.url}{PREFIX}{trace}.json"
    asked = {url.partition(PREFIX)[2] for url in site.watch.asked if not url.startswith("data:")}
    of_trace = {trace, f"{trace}.json", f"{trace}/live?state={content['state']}"}
    assert {path for path in asked if not path.startswith("/static/")} == {"", "/live?", *of_trace}
    assert {path.rpartition(".")[2] for path in asked if path.startswith("/static/")} == {"css", "js"}
    assert await page.context.cookies() == []
