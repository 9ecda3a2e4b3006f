# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The list of traces as one sees it."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from support.ports import free_port
from viewer import browser
from viewer.looking import PREFIX, Look

from tornado_opentracing.viewer import RecordingTracer, _listing

if TYPE_CHECKING:
    from playwright.async_api import Page

browser.require()

from playwright.async_api import expect  # noqa: E402

NAMES = "#traces .operation a"

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_list_shows_what_happens_while_it_happens(look: Look) -> None:
    site = await look()
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#traces")).to_contain_text("No traces here")
    first = site.tracer.start_span("first", tags={"span.kind": "server"}, start_time=time.time() - 75)
    await expect(page.locator(NAMES)).to_have_text(["first"])
    await expect(page.locator("#traces .status")).to_have_text("running")
    await expect(page.locator("#traces .duration")).to_have_text(re.compile("^1 min [1-5][0-9] s…"))
    first.set_tag("error", True).set_tag("http.status_code", 503).finish()
    await expect(page.locator("#traces .duration")).to_have_text(re.compile("^1 min [1-5][0-9] s$"))
    await expect(page.locator("#traces tr.error .status")).to_have_text("503")
    left = site.tracer.start_span("left", tags={"span.kind": "server"})
    left.log_kv({"event": "connection closed"}).finish()
    await expect(page.locator(NAMES)).to_have_text(["left", "first"])
    await expect(page.locator("#traces .status")).to_have_text(["client left", "503"])


async def test_the_whole_row_leads_to_its_trace_and_back_to_what_was_searched(look: Look) -> None:
    site = await look()
    for name in ("tea", "cocoa", "green tea"):
        site.tracer.start_span(name).finish()
    page = await site.open()
    await page.keyboard.press("/")
    await page.keyboard.type("tea")
    await expect(page.locator(NAMES)).to_have_text(["green tea", "tea"])
    for cell in ("time", "spans", "services"):
        await page.locator(f"#traces tr:nth-child(2) .{cell}").click()
        await expect(page.locator("h1")).to_have_text("tea ")
        await page.get_by_text("← Traces").click()
        await expect(page.locator(NAMES)).to_have_text(["green tea", "tea"])
    await page.locator("#traces a").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("green tea ")
    await page.go_back()
    await expect(page.locator(NAMES)).to_have_text(["green tea", "tea"])
    await expect(page.locator("#search")).to_have_value("tea")


async def hold_by_pointing(page: Page) -> None:
    await page.locator("#traces tr").nth(2).hover()


async def hold_by_focus(page: Page) -> None:
    await page.locator("#traces a").nth(2).focus()


async def hold_by_selecting(page: Page) -> None:
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('#traces time'))")


async def hold_by_scrolling(page: Page) -> None:
    await page.evaluate("scrollTo(0, 200)")
    await page.wait_for_function("scrollY > 100")


async def hold_by_pause(page: Page) -> None:
    await page.get_by_role("button", name="Pause").click()


HOLDS = [hold_by_pointing, hold_by_focus, hold_by_selecting, hold_by_scrolling, hold_by_pause]


@pytest.mark.parametrize("hold", HOLDS, ids=[hold.__name__ for hold in HOLDS])
async def test_no_row_moves_while_somebody_is_busy_with_one(
    look: Look, hold: Callable[[Page], Awaitable[None]]
) -> None:
    """Though requests come in, as they do under load, and the oldest traces go; "new" says how many wait."""
    site = await look(tracer=RecordingTracer(max_traces=40))
    for number in range(40):
        site.tracer.start_span(f"first {number}").finish()
    running = site.tracer.start_span("running", tags={"span.kind": "server"})
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    await hold(page)
    places = (
        "[...document.querySelectorAll('#traces tr')].map(row => [row.dataset.id, row.getBoundingClientRect().top])"
    )
    before = await page.evaluate(places)
    for number in range(12):
        site.tracer.start_span(f"new {number}").finish()
        await asyncio.sleep(0.02)
    running.set_tag("http.status_code", 200).finish()
    more = page.get_by_role("button", name="12 new")
    await expect(more).to_be_visible()
    await expect(page.locator("#traces .status").first).to_have_text("200")  # what a row says is kept up to date
    assert await page.evaluate(places) == before
    if hold is hold_by_pointing:
        await page.mouse.move(5, 5)
    else:
        await more.click()
    await expect(page.locator(NAMES).first).to_have_text("new 11")
    await expect(more).to_be_hidden()
    assert await page.evaluate("scrollY") == 0


async def test_every_click_hits_the_row_that_it_was_meant_for_under_load(look: Look) -> None:
    site = await look()
    for number in range(30):
        site.tracer.start_span(f"first {number}").finish()

    async def requests() -> None:
        number = 0
        while True:
            site.tracer.start_span(f"load {number}").finish()
            number += 1
            await asyncio.sleep(0.02)

    page = await site.open()
    load = asyncio.create_task(requests())
    try:
        for _ in range(3):
            await expect(page.locator("#live")).to_have_text("live")
            # As a hand does: it points, then reads, then presses.
            await page.mouse.move(400, 300)
            await page.mouse.move(401, 300)
            pointed_at = "document.elementFromPoint(401, 300).closest('tr').dataset.id"
            wanted = await page.evaluate(pointed_at)
            await asyncio.sleep(0.4)
            await page.mouse.down()
            await page.mouse.up()
            await page.wait_for_url(re.compile(f"/{wanted}$"))
            await page.get_by_text("← Traces").click()
    finally:
        load.cancel()


SERVER = """
import asyncio, sys
from tornado.web import Application
from tornado_opentracing.viewer import RecordingTracer, viewer_routes

async def main():
    tracer = RecordingTracer()
    tracer.start_span(sys.argv[2]).finish()
    Application(viewer_routes(tracer), debug=True, autoreload=False).listen(int(sys.argv[1]), "127.0.0.1")
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_list_is_live_again_after_the_server_was_restarted(look: Look) -> None:
    site = await look()
    port = free_port()

    async def serve(name: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-c", SERVER, str(port), name]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"up\n"
        return process

    process = await serve("before")
    try:
        await site.page.goto(f"http://127.0.0.1:{port}{PREFIX}")
        await expect(site.page.locator(NAMES)).to_have_text("before")
        await expect(site.page.locator("#live")).to_have_text("live")
        process.kill()
        await process.wait()
        await expect(site.page.locator("#live")).to_have_text("not live")
        process = await serve("after")
        await expect(site.page.locator(NAMES)).to_have_text("after")
        await expect(site.page.locator("#live")).to_have_text("live")
    finally:
        process.kill()
        await process.wait()
    site.watch.problems.clear()  # a connection that is refused is on the console, and it is another host's


async def test_the_list_is_searched_as_one_types(look: Look) -> None:
    """What comes in later is searched, too; the address says what is wanted, so that it can be kept."""
    site = await look()

    def record(name: str, status: int, milliseconds: int) -> None:
        tags = {"span.kind": "server", "http.status_code": status, "error": status >= 500}
        site.tracer.start_span(name, tags=tags, start_time=1).finish(1 + milliseconds / 1000)

    record("tea", 200, 5)
    record("tea", 500, 50)
    record("cocoa", 500, 500)
    page = await site.open()
    names = page.locator(NAMES)
    await expect(names).to_have_text(["cocoa", "tea", "tea"])
    await page.keyboard.press("/")
    await page.keyboard.type("Tea ")
    await expect(names).to_have_text(["tea", "tea"])
    await page.keyboard.type("status:5xx duration:>40ms")
    await expect(names).to_have_text(["tea"])
    await expect(page.locator("#total")).to_have_text("1 trace")
    await expect(page).to_have_url(re.compile(r"\?q=Tea\+status%3A5xx\+duration%3A%3E40ms$"))
    for name, status, milliseconds in [("tea", 200, 99), ("tea", 500, 9), ("milk", 500, 99), ("green tea", 503, 99)]:
        record(name, status, milliseconds)
    await expect(names).to_have_text(["green tea", "tea"])
    await page.reload()
    await expect(names).to_have_text(["green tea", "tea"])
    await page.locator("#search").fill("error duration:>fast")
    await expect(names).to_have_text(["green tea", "milk", "tea", "cocoa", "tea"])
    await expect(page.locator("#problem")).to_have_text("not understood: duration:>fast")


async def test_what_can_be_searched_for_is_offered(look: Look) -> None:
    """With the mouse and with the keyboard, from what there is in the traces."""
    site = await look(tracer=RecordingTracer(service="tea shop"))
    site.tracer.start_span("one", tags={"db.type": "sql"}).finish()
    site.tracer.for_service("depot").start_span("other").finish()
    page = await site.open()
    await page.locator("#search").focus()
    offers = page.get_by_role("option")
    await expect(offers).to_have_text(["service:", "route:", "operation:", "status:", "duration:", "error", "db.type="])
    await page.keyboard.type("se")
    await expect(offers).to_have_text(["service:"])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(offers).to_have_text(["service:depot", 'service:"tea shop"'])
    await offers.last.click()
    await expect(page.locator("#search")).to_have_value('service:"tea shop" ')
    await expect(page.locator(NAMES)).to_have_text(["one"])
    await page.keyboard.press("Escape")
    await expect(page.locator("#suggestions")).to_be_hidden()


async def test_the_list_is_sorted_and_has_pages(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_listing, "MOST_LISTED", 3)
    site = await look()
    for number, milliseconds in enumerate([30, 10, 50, 20, 40]):
        span = site.tracer.start_span(str(milliseconds), tags={"error": number == 3}, start_time=100 + number)
        span.finish(100 + number + milliseconds / 1000)
    page = await site.open()
    names = page.locator(NAMES)
    await expect(names).to_have_text(["40", "20", "50"])
    await page.get_by_role("button", name="Duration").click()
    await expect(names).to_have_text(["50", "40", "30"])
    await expect(page.locator("[aria-sort=descending]")).to_have_text("Duration")
    await page.get_by_role("button", name="After").click()
    await expect(names).to_have_text(["20", "10"])
    await expect(page.locator("#page")).to_have_text("page 2 of 2")
    await expect(page).to_have_url(re.compile(r"\?sort=-duration&page=2$"))
    await page.reload()
    await expect(names).to_have_text(["20", "10"])
    await page.get_by_role("button", name="Duration").click()
    await expect(names).to_have_text(["10", "20", "30"])
    await page.get_by_role("button", name="Errors").click()
    await expect(names.first).to_have_text("20")


async def test_a_file_that_is_dragged_onto_the_list_or_chosen_is_imported(look: Look) -> None:
    site = await look()
    site.tracer.start_span("exported").finish()
    page = await site.open_trace()
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="OTLP").click()
    content = (await (await downloading.value).path()).read_text(encoding="utf-8")
    site.tracer.reset()
    await site.open()
    await expect(page.locator("#traces")).to_contain_text("No traces here")
    await page.evaluate(
        """(content) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([content], "trace.json"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        content,
    )
    await expect(page.locator(NAMES)).to_have_text(["exported"])
    site.tracer.reset()
    await expect(page.locator(NAMES)).to_have_count(0)
    await page.locator("#file").set_input_files({"name": "a.json", "mimeType": "", "buffer": content.encode()})
    await expect(page.locator(NAMES)).to_have_text(["exported"])
    await expect(page.locator("#imported")).to_have_text("imported: 1")


async def test_where_the_time_goes_is_shown_by_operation_and_leads_to_the_traces(look: Look) -> None:
    site = await look()
    for number, milliseconds in enumerate([10, 20, 900]):
        page_span = site.tracer.start_span("Page", start_time=100 + number)
        stock = site.tracer.start_span(f"stock {number}", child_of=page_span, start_time=100 + number)
        stock.set_tag("error", number == 2).finish(100 + number + milliseconds / 2000)
        page_span.finish(100 + number + milliseconds / 1000)
    site.tracer.start_span("other", start_time=1).finish(1.1)
    page = await site.open()
    await page.get_by_text("Where the time goes").click()
    rows = page.locator("#operations tr")
    await expect(rows).to_have_count(3)
    texts = [re.sub(r"\s+", " ", text).strip() for text in await rows.all_inner_texts()]
    assert texts == [
        "Page shop 3 20.0 ms 900 ms 900 ms 930 ms 465 ms",
        "stock {n} shop 3 ✗ 1 10.0 ms 450 ms 450 ms 465 ms 465 ms",
        "other shop 1 100 ms 100 ms 100 ms 100 ms 100 ms",
    ]
    assert await rows.first.locator(".spark rect").count() == 24
    await page.get_by_role("button", name="p50").click()
    await expect(rows.first).to_contain_text("other")
    await rows.filter(has_text="stock").locator(".count").click()
    await expect(page.locator("#traces .duration")).to_have_text(["900 ms", "20.0 ms", "10.0 ms"])
