"""The list of traces as one sees it."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest
from tornado.testing import bind_unused_port
from viewer import browser
from viewer.looking import PREFIX, Look

browser.require()

from playwright.async_api import expect  # noqa: E402

# The browser lives as long as the module, and Playwright wants one event loop for all its life.
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_list_shows_what_happens_while_it_happens(look: Look) -> None:
    site = await look()
    page = await site.open()
    await expect(page.locator("#live")).to_have_text("live")
    await expect(page.locator("#traces")).to_contain_text("No traces here")
    first = site.tracer.start_span("first")
    await expect(page.locator("#traces .operation")).to_have_text(["first"])
    await expect(page.locator("#traces .open")).to_be_visible()
    first.set_tag("error", True).set_tag("http.status_code", 503).finish()
    await expect(page.locator("#traces .open")).to_have_count(0)
    await expect(page.locator("#traces tr.error .status")).to_have_text("503")
    site.tracer.start_span("second").finish()
    await expect(page.locator("#traces .operation")).to_have_text(["second", "first"])


async def test_a_link_keeps_the_keyboard_when_rows_come_in(look: Look) -> None:
    site = await look()
    site.tracer.start_span("first").finish()
    page = await site.open()
    await page.get_by_text("first").focus()
    site.tracer.start_span("second").finish()
    await expect(page.locator("#traces .operation")).to_have_text(["second", "first"])
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("first")
    await page.get_by_text("← Traces").click()
    await expect(page.locator("h1")).to_have_text("Traces")


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
    socket, port = bind_unused_port()
    socket.close()

    async def serve(name: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-c", SERVER, str(port), name]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"up\n"
        return process

    process = await serve("before")
    try:
        await site.page.goto(f"http://127.0.0.1:{port}{PREFIX}")
        await expect(site.page.locator("#traces .operation")).to_have_text("before")
        await expect(site.page.locator("#live")).to_have_text("live")
        process.kill()
        await process.wait()
        await expect(site.page.locator("#live")).to_have_text("not live")
        process = await serve("after")
        await expect(site.page.locator("#traces .operation")).to_have_text("after")
        await expect(site.page.locator("#live")).to_have_text("live")
    finally:
        process.kill()
        await process.wait()
    site.watch.problems.clear()  # a connection that is refused is on the console, and it is another host's


async def test_the_list_is_filtered_as_one_types(look: Look) -> None:
    """What comes in later is filtered, too; the address says what is wanted, so that it can be kept."""
    site = await look()

    def record(name: str, status: int, milliseconds: int) -> None:
        tags = {"http.status_code": status, "error": status >= 500}
        site.tracer.start_span(name, tags=tags, start_time=1).finish(1 + milliseconds / 1000)

    record("tea", 200, 5)
    record("tea", 500, 50)
    record("cocoa", 500, 500)
    page = await site.open()
    names = page.locator("#traces .operation")
    await expect(names).to_have_text(["cocoa", "tea", "tea"])
    await page.keyboard.press("/")
    await page.keyboard.type("Tea")
    await expect(names).to_have_text(["tea", "tea"])
    await page.get_by_label("Status").fill("5xx")
    await expect(names).to_have_text(["tea"])
    await page.get_by_label("At least").fill("40")
    await expect(page).to_have_url(re.compile(r"\?operation=Tea&status=5xx&min_ms=40$"))
    for name, status, milliseconds in [("tea", 200, 99), ("tea", 500, 9), ("milk", 500, 99), ("green tea", 503, 99)]:
        record(name, status, milliseconds)
    await expect(names).to_have_text(["green tea", "tea"])
    await page.reload()
    await expect(page.locator("#live")).to_have_text("live")
    await expect(names).to_have_text(["green tea", "tea"])
    await page.get_by_label("Operation").fill("")
    await expect(names).to_have_text(["green tea", "milk", "cocoa", "tea"])
    await page.get_by_label("Status").fill("error")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"\?status=error&min_ms=40$"))
