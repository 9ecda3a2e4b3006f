# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""README's picture of the viewer: a trace of the running demo, in headless Chromium."""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.async_api import async_playwright
from support.ports import free_port
from tornado.httpclient import AsyncHTTPClient
from viewer import browser

EXAMPLES = Path(__file__).parents[2] / "examples"
PREFIX = "/-/traces"


async def screenshot(target: Path) -> None:
    """Open the shop, ask for its pages, and picture the trace in which most happened.

    A receipt is printed meanwhile, which blocks the event loop.
    """
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "gather.py"), "--serve", "--port", str(port)]
    shop = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert shop.stdout is not None
    try:
        await asyncio.wait_for(shop.stdout.readuntil(b"Ctrl-C"), 20)
        url = f"http://127.0.0.1:{port}"
        # The first ones are slower than a server is, and the coffee's price can be told at the second attempt only.
        for item in ("tea", "tea"):
            await AsyncHTTPClient().fetch(f"{url}/{item}")
        page = asyncio.ensure_future(AsyncHTTPClient().fetch(f"{url}/coffee"))
        await asyncio.sleep(0.045)
        await asyncio.gather(page, AsyncHTTPClient().fetch(f"{url}/receipt/tea"))
        await picture(f"{url}{PREFIX}?q=coffee", target)
    finally:
        shop.terminate()
        await shop.wait()


async def picture(url: str, target: Path) -> None:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(**browser.LAUNCH)
        page = await chromium.new_page(viewport={"width": 1080, "height": 300}, device_scale_factor=2)
        await page.goto(url)
        await page.locator("#traces a").click()
        await page.wait_for_selector("body[data-ready]")
        height = await page.evaluate("document.body.scrollHeight + 16")
        await page.set_viewport_size({"width": 1080, "height": height})
        image = Image.open(io.BytesIO(await page.screenshot()))
        # A third of the size, and nobody sees it.
        image.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(target, optimize=True)
        await chromium.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?", default=EXAMPLES / "waterfall.png")
    asyncio.run(screenshot(parser.parse_args().target))
