# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A small shop, traced: concurrent requests over four services, each trace drawn as a tree.

``nox -s demo`` runs it, and so does ``python examples/gather.py``. With ``--serve`` the shop stays open: each request
that you send it is drawn when it is done, and the page that is announced shows all of them in the browser.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import shutil
import signal
import sys
import time
from socket import socket
from typing import Any

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler, websocket_connect

from tornado_opentracing import TornadoTracing, init_tracing
from tornado_opentracing.viewer import RecordingTracer, format_trace, viewer_routes

# --- Tracing: one tracer for each service. Usually each has a process of its own; here they share one. ---

browser = RecordingTracer(service="browser")
shop, stock, prices, reviews = map(browser.for_service, ["shop", "stock", "prices", "reviews"])

# --- The shop. Nothing in the handlers is about tracing, but for the local spans. Sleeping stands for work. ---

STOCK = {"tea": 12, "coffee": 5, "cocoa": 1}
PRICES = {"tea": 3.20, "coffee": 4.50, "cocoa": 2.90}
DISCOUNTS = {"tea": 10, "coffee": 5}  # somebody forgot the cocoa
ITEM = f"({'|'.join(STOCK)})"
urls: dict[str, str] = {}  # where each service listens


async def ask(service: str, path: str, tries: int = 1) -> str | None:
    """What a service answers; ``None`` if it fails."""
    for _ in range(tries):
        response = await AsyncHTTPClient().fetch(urls[service] + path, raise_error=False)
        if response.code == 200:
            return response.body.decode()
    return None


class ProductPage(RequestHandler):
    """What the customer sees: everything that the page needs is asked for at the same time."""

    async def get(self, item: str | None) -> None:
        item = item or "tea"
        left, price, discount, stars, others = await asyncio.gather(
            ask("stock", f"/stock/{item}"),
            ask("prices", f"/price/{item}", tries=2),
            ask("prices", f"/discount/{item}"),
            ask("reviews", f"/reviews/{item}"),
            self.recommendations(item),
        )
        with shop.start_active_span("render page"):
            await asyncio.sleep(0.008)
            links = ", ".join(f'<a href="/{other}">{other}</a> ({number} left)' for other, number in others.items())
            self.write(f"<title>{item}</title><link rel=icon href=data:,><h1>{item} {stars}</h1>")
            self.write(f"<p>{left} left, {price} each, discount: {discount or 'none'}</p><p>See also: {links}</p>\n")

    async def recommendations(self, item: str) -> dict[str, str | None]:
        with shop.start_active_span("recommend"):
            await asyncio.sleep(0.012)
            others = [other for other in STOCK if other != item]
            numbers = await asyncio.gather(*(ask("stock", f"/stock/{other}") for other in others))
            return dict(zip(others, numbers, strict=True))


class Basket(WebSocketHandler):
    """Tells the page how much is left, as long as it is open."""

    async def on_message(self, item: str | bytes) -> None:
        await self.write_message(f"{await ask('stock', f'/stock/{item!s}')} left")


class Receipt(RequestHandler):
    """Nothing here is awaited: until it is printed, the event loop is blocked, and everybody waits."""

    def get(self, item: str) -> None:
        with shop.start_active_span("print receipt"):
            time.sleep(0.15)
        self.write(f"1 {item}: {PRICES[item]:.2f}\n")


class Stock(RequestHandler):
    async def get(self, item: str) -> None:
        await asyncio.sleep({"tea": 0.010, "coffee": 0.020, "cocoa": 0.030}[item])
        self.write(str(STOCK[item]))


class Price(RequestHandler):
    """What is scarce costs more: this service asks another one in its turn. It is out of order now and then."""

    is_in_order = dict.fromkeys(STOCK, True) | {"coffee": False}

    async def get(self, item: str) -> None:
        with prices.start_active_span("read price list"):
            await asyncio.sleep(0.010)
        if not self.is_in_order[item]:
            self.is_in_order[item] = True
            raise HTTPError(503)
        left = await ask("stock", f"/stock/{item}")
        self.write(f"{PRICES[item] * (2 if left == '1' else 1):.2f}")


class Discount(RequestHandler):
    async def get(self, item: str) -> None:
        await asyncio.sleep(0.025)
        self.write(f"{DISCOUNTS[item]} %")

    def log_exception(self, *exc_info: object) -> None:
        """Say nothing: that there is none for cocoa is intended, and the trace shows it."""


class Reviews(RequestHandler):
    """The slow one: every page waits for it."""

    async def get(self, _: str) -> None:
        with reviews.start_active_span("count stars"):
            await asyncio.sleep(0.080)
        self.write("★★★★☆")


def start(tracer: RecordingTracer, rules: list[Any], sockets: list[socket] | None = None) -> HTTPServer:
    """Serve an Application that has a tracer of its own."""
    tracing = TornadoTracing(tracer, trace_websocket_messages=True, blocked_after=0.05)
    server = HTTPServer(Application(rules, opentracing_tracing=tracing, log_function=lambda _: None))
    sockets = sockets or listen()
    server.add_sockets(sockets)
    urls[tracer.service] = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    return server


def open_shop(sockets: list[socket] | None = None) -> HTTPServer:
    """Start the shop and the services behind it; return the shop's server."""
    # All share one client here: were it full of requests that wait for others, none would get on.
    AsyncHTTPClient.configure(None, max_clients=1000)
    init_tracing(browser)  # each service has its own tracer; what is fetched outside of them, the browser fetches

    start(stock, [(f"/stock/{ITEM}", Stock)])
    start(prices, [(f"/price/{ITEM}", Price), (f"/discount/{ITEM}", Discount)])
    start(reviews, [(f"/reviews/{ITEM}", Reviews)])
    # It listens on loopback only: whoever gets here may see the traces.
    viewer = viewer_routes(browser, allow=lambda _: True)
    pages: list[Any] = [(f"/{ITEM}?", ProductPage), (f"/receipt/{ITEM}", Receipt), ("/basket", Basket)]
    return start(shop, [*pages, *viewer], sockets)


def listen(port: int = 0) -> list[socket]:
    """Sockets for a server on loopback; on a free port if none is given."""
    try:
        return bind_sockets(port, "127.0.0.1")
    except OSError as error:
        raise SystemExit(f"Cannot listen on port {port} ({error}). Choose another one with --port.") from None


# --- The demo. ---

INTRODUCTION = """\
A shop's product page asks three services for what it shows, everything at the same time.
Each request for a page is one trace, over all services. How to read it:

lines  Each is a span, a piece of work, beneath the one that caused it. GET /... is a fetch as its
       sender saw it; the handler beneath it is what answered. The others are work within a service.
bars   When it ran, from the trace's start to its end. Bars above each other: at the same time.
✗      It failed.
▒      The event loop was blocked: nobody was served.
"""


class Terminal:
    """Draws each trace once, when all of its spans are there."""

    def __init__(self) -> None:
        self.is_colourful = sys.stdout.isatty()
        self.width = shutil.get_terminal_size().columns if self.is_colourful else 100
        self._drawn: dict[int, int] = {}

    def draw(self) -> None:
        """Draw what is new and complete, the oldest first."""
        for trace in reversed(browser.traces()):
            is_complete = all(span.finished for span in trace.spans)
            if is_complete and self._drawn.get(trace.trace_id) != len(trace.spans):
                self._drawn[trace.trace_id] = len(trace.spans)
                print(format_trace(trace.spans, width=self.width, colour=self.is_colourful), end="\n\n", flush=True)

    async def draw_the_rest(self) -> None:
        while not all(span.finished for trace in browser.traces() for span in trace.spans):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # how long the loop was blocked is known at the watching thread's next look
        self.draw()


async def customer(item: str) -> None:
    await ask("shop", f"/{item}")


async def customer_at_the_till(item: str) -> None:
    await asyncio.sleep(0.03)
    await ask("shop", f"/receipt/{item}")


async def customer_with_a_basket() -> None:
    connection = await websocket_connect(urls["shop"].replace("http", "ws") + "/basket")
    for item in ("tea", "cocoa"):
        await connection.write_message(item)
        await connection.read_message()
    connection.close()
    await connection.read_message()


async def demo() -> None:
    """Three customers at the same moment, one who has a look into the basket, and one whom another keeps waiting."""
    terminal = Terminal()
    open_shop()
    print("Three browsers ask for a page each, at the same moment, and one watches the basket.\n")
    await asyncio.gather(*map(customer, STOCK), customer_with_a_basket())
    await terminal.draw_the_rest()
    print("Another one asks for a page, while a receipt is printed: that blocks the event loop.\n")
    await asyncio.gather(customer("tea"), customer_at_the_till("cocoa"))
    await terminal.draw_the_rest()
    print("Add --serve to keep the shop open for your own requests, and to see the traces in the browser.")


async def serve(sockets: list[socket]) -> None:
    """Whoever comes, until Ctrl-C; who is inside by then is still served."""
    terminal = Terminal()
    server = open_shop(sockets)
    told_to_close = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(told_to_close.set))
    url = urls["shop"]
    print(f"Open {url}/tea or {url}/cocoa with a browser or curl.\nThe traces: {url}/-/traces\nCtrl-C ends it.\n")
    sys.stdout.flush()
    while not told_to_close.is_set():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(told_to_close.wait(), 0.1)
        terminal.draw()

    server.stop()
    await terminal.draw_the_rest()
    await server.close_all_connections()
    await terminal.draw_the_rest()  # a request may have come in at the last moment
    print("\nClosed.")


def main() -> None:
    parser = argparse.ArgumentParser(description="A small shop, traced.")
    parser.add_argument("--serve", action="store_true", help="keep the shop open and draw each request's trace")
    parser.add_argument("--port", type=int, default=8888, help="where --serve listens (default: %(default)s)")
    arguments = parser.parse_args()
    if not 0 <= arguments.port < 2**16:
        parser.error(f"there is no port {arguments.port}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a bar of question marks is better than none
    running = serve(listen(arguments.port)) if arguments.serve else demo()
    print(INTRODUCTION)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(running)


if __name__ == "__main__":
    main()
