"""A small shop, traced: concurrent requests over three services, each trace drawn as a tree.

``nox -s demo`` runs it, and so does ``python examples/gather.py`` where ``rich`` is installed. With ``--serve`` the
shop stays open, and each request that you send it is drawn when it is done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import secrets
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from socket import socket
from typing import Any

from opentracing.mocktracer import MockTracer
from opentracing.mocktracer.span import MockSpan
from rich.console import Console, ConsoleOptions, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tornado_opentracing import ContextVarsScopeManager, TornadoTracing, init_tracing

# --- Tracing: one tracer for each service, and the collector that all of them send their spans to. ---


class Collector:
    """Puts the spans of all services together, as Jaeger or Zipkin would."""

    def __init__(self) -> None:
        self.complete: asyncio.Queue[list[MockSpan]] = asyncio.Queue()
        self._spans: defaultdict[int | None, list[MockSpan]] = defaultdict(list)
        self._open: Counter[int | None] = Counter()

    @property
    def is_waiting(self) -> bool:
        """Whether a trace has begun that is not complete."""
        return bool(self._open)

    def started(self, span: MockSpan) -> None:
        self._open[span.context.trace_id] += 1

    def finished(self, span: MockSpan) -> None:
        trace_id = span.context.trace_id
        self._spans[trace_id].append(span)
        self._open[trace_id] -= 1
        if not self._open[trace_id]:
            del self._open[trace_id]
            self.complete.put_nowait(self._spans.pop(trace_id))


collector = Collector()


class ServiceTracer(MockTracer):
    """The tracer of one service. Usually each has a process of its own; here they share one."""

    def __init__(self, service: str) -> None:
        super().__init__(scope_manager=ContextVarsScopeManager())
        self.service = service

    def start_span(self, *args: Any, **kwargs: Any) -> MockSpan:
        span = super().start_span(*args, **kwargs)
        collector.started(span)
        return span

    def _append_finished_span(self, span: MockSpan) -> None:
        collector.finished(span)

    def _generate_id(self) -> int:
        """An id that no other tracer gives, where ``MockTracer`` counts from one."""
        return secrets.randbits(63) + 1


# --- The shop. Nothing in the handlers is about tracing, but for the local spans. Sleeping stands for work. ---

STOCK = {"tea": 12, "coffee": 5, "cocoa": 1}
PRICES = {"tea": 3.20, "coffee": 4.50, "cocoa": 2.90}
DISCOUNTS = {"tea": 10, "coffee": 5}  # somebody forgot the cocoa

browser, shop, stock, prices = map(ServiceTracer, ["browser", "shop", "stock", "prices"])
urls: dict[str, str] = {}  # where each service listens


async def ask(service: str, path: str) -> str | None:
    """What a service answers; ``None`` if it fails."""
    response = await AsyncHTTPClient().fetch(urls[service] + path, raise_error=False)
    return response.body.decode() if response.code == 200 else None


class ProductPage(RequestHandler):
    """What the customer sees: everything that the page needs is asked for at the same time."""

    async def get(self, item: str | None) -> None:
        item = item or "tea"
        left, price, discount, others, _ = await asyncio.gather(
            ask("stock", f"/stock/{item}"),
            ask("prices", f"/price/{item}"),
            ask("prices", f"/discount/{item}"),
            self.suggestions(item),
            self.reviews(),
        )
        with shop.start_active_span("render page"):
            await asyncio.sleep(0.008)
            links = ", ".join(f'<a href="/{other}">{other}</a> ({number} left)' for other, number in others.items())
            self.write(f"<title>{item}</title><link rel=icon href=data:,><h1>{item}</h1>")
            self.write(f"<p>{left} left, {price} each, discount: {discount or 'none'}</p><p>See also: {links}</p>\n")

    async def suggestions(self, item: str) -> dict[str, str | None]:
        with shop.start_active_span("find suggestions"):
            await asyncio.sleep(0.012)
            others = [other for other in STOCK if other != item]
            numbers = await asyncio.gather(*(ask("stock", f"/stock/{other}") for other in others))
            return dict(zip(others, numbers, strict=True))

    async def reviews(self) -> None:
        with shop.start_active_span("load reviews"):
            await asyncio.sleep(0.035)


class Stock(RequestHandler):
    async def get(self, item: str) -> None:
        await asyncio.sleep({"tea": 0.010, "coffee": 0.020, "cocoa": 0.030}[item])
        self.write(str(STOCK[item]))


class Price(RequestHandler):
    """What is scarce costs more: this service asks another one in its turn."""

    async def get(self, item: str) -> None:
        with prices.start_active_span("read price list"):
            await asyncio.sleep(0.010)
        left = await ask("stock", f"/stock/{item}")
        self.write(f"{PRICES[item] * (2 if left == '1' else 1):.2f}")


class Discount(RequestHandler):
    async def get(self, item: str) -> None:
        await asyncio.sleep(0.025)
        self.write(f"{DISCOUNTS[item]} %")

    def log_exception(self, *exc_info: object) -> None:
        """Say nothing: that there is none for cocoa is intended, and the trace shows it."""


def start(tracer: ServiceTracer, rules: list[Any], sockets: list[socket] | None = None) -> HTTPServer:
    """Serve an Application that has a tracer of its own."""
    application = Application(rules, opentracing_tracing=TornadoTracing(tracer), log_function=lambda _: None)
    server = HTTPServer(application)
    sockets = sockets or listen()
    server.add_sockets(sockets)
    urls[tracer.service] = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    return server


def open_shop(sockets: list[socket] | None = None) -> HTTPServer:
    """Start the shop and the two services behind it; return the shop's server."""
    # All share one client here: were it full of requests that wait for others, none would get on.
    AsyncHTTPClient.configure(None, max_clients=1000)
    init_tracing(browser)  # each service has its own tracer; what is fetched outside of them, the browser fetches

    item = f"({'|'.join(STOCK)})"
    start(stock, [(f"/stock/{item}", Stock)])
    start(prices, [(f"/price/{item}", Price), (f"/discount/{item}", Discount)])
    return start(shop, [(f"/{item}?", ProductPage)], sockets)


def listen(port: int = 0) -> list[socket]:
    """Sockets for a server on loopback; on a free port if none is given."""
    try:
        return bind_sockets(port, "127.0.0.1")
    except OSError as error:
        raise SystemExit(f"Cannot listen on port {port} ({error}). Choose another one with --port.") from None


# --- Drawing. ---

COLOURS = ["cyan", "green", "magenta", "yellow", "blue"]


class TimeBar:
    """A bar from one moment to another, both given as a fraction of the width that there is."""

    def __init__(self, begin: float, end: float, style: str) -> None:
        self.begin, self.end, self.style = begin, end, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        left = min(int(self.begin * width), width - 1)
        yield Text(" " * left + "━" * max(1, round(self.end * width) - left), self.style, no_wrap=True)


def draw_trace(spans: Sequence[MockSpan]) -> Table:
    """Draw the spans of one trace: each beneath its parent, with a bar for the time in which it ran."""
    begin = min(span.start_time for span in spans)
    duration = max(max(span.finish_time for span in spans) - begin, 1e-6)
    by_time = sorted(spans, key=lambda span: span.start_time)
    services = sorted({service_of(span) for span in spans})

    axis = Table.grid(expand=True)
    axis.add_row("0", Text(f"{duration * 1000:.0f} ms", justify="right"))
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("operation", no_wrap=True, min_width=42)  # so that traces below each other line up
    table.add_column("service", no_wrap=True)
    table.add_column("ms", no_wrap=True, justify="right")
    table.add_column(axis, no_wrap=True, ratio=1, min_width=12)
    for lines, span in walk(by_time):
        colour = COLOURS[services.index(service_of(span)) % len(COLOURS)]
        is_error = bool(span.tags.get("error"))
        table.add_row(
            Text.assemble((lines, "dim"), describe(span)),
            Text(service_of(span), colour),
            f"{(span.finish_time - span.start_time) * 1000:.1f}",
            TimeBar(
                (span.start_time - begin) / duration,
                (span.finish_time - begin) / duration,
                "red" if is_error else colour,
            ),
        )
    return table


def service_of(span: MockSpan) -> str:
    return getattr(span.tracer, "service", "")


def path_of(span: MockSpan) -> str:
    url = str(span.tags.get("http.url", "")).partition("?")[0]
    return "/" + url.rpartition("://")[2].partition("/")[2]


def describe(span: MockSpan) -> Text:
    """What a span is called; and how it went, where that was not well."""
    is_client = span.tags.get("span.kind") == "client"
    text = Text(f"{span.operation_name} {path_of(span)}" if is_client else str(span.operation_name))
    status = span.tags.get("http.status_code", 0)
    kinds = [log.key_values["error.kind"] for log in span.logs if "error.kind" in log.key_values]
    # A client's exception says no more than the status, if there is one.
    outcome = [str(status)] * (status >= 400) + kinds * (not (is_client and status))
    if span.tags.get("error"):
        text.append(" ".join([" ✗", *outcome]), "bold red")
    elif outcome:
        text.append(" ".join(["", *outcome]), "yellow")
    return text


def walk(spans: Sequence[MockSpan]) -> Iterator[tuple[str, MockSpan]]:
    """Yield every span after its parent, with the lines of the tree that lead to it."""
    known = {span.context.span_id for span in spans}
    children: defaultdict[int | None, list[MockSpan]] = defaultdict(list)
    for span in spans:
        # A parent that is not here is somebody else's; what is here of the trace begins with this span.
        children[span.parent_id if span.parent_id in known else None].append(span)

    def below(parent: int | None, lines: str) -> Iterator[tuple[str, MockSpan]]:
        siblings = children[parent]
        for span in siblings:
            is_last = span is siblings[-1]
            branch, trunk = ("", "") if parent is None else ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            yield lines + branch, span
            yield from below(span.context.span_id, lines + trunk)

    return below(None, "")


# --- The demo. ---


def introduce(console: Console) -> None:
    console.print("A shop's product page asks two services for what it shows, everything at the same time.")
    console.print("Each request for a page is one trace, over all services. How to read it:\n")
    legend = Table.grid(padding=(0, 2))
    legend.add_row(
        "lines",
        "Each is a span, a piece of work, beneath the one that caused it. GET /... is a fetch as its sender saw it; "
        "the handler beneath it is what answered. The others are work within a service.",
    )
    legend.add_row("bars", "When it ran, from the trace's start to its end. Bars above each other: at the same time.")
    legend.add_row(Text("✗", "bold red"), "It failed.")
    console.print(legend, "")


def show(console: Console, spans: Sequence[MockSpan]) -> None:
    """Print a trace under a heading."""
    first = min(spans, key=lambda span: span.start_time)
    failed = sum("error" in span.tags for span in spans)
    title = f"{path_of(first)} - spans: {len(spans)}" + (f", failed: {failed}" if failed else "")
    console.print(Rule(Text(title, "bold"), align="left", style="dim"), draw_trace(spans), "")


async def show_all(console: Console) -> None:
    while True:
        show(console, await collector.complete.get())


async def show_the_rest(console: Console) -> None:
    while collector.is_waiting or not collector.complete.empty():
        show(console, await collector.complete.get())


async def demo(console: Console) -> None:
    """Three customers at the same moment."""
    open_shop()
    console.print("Three browsers ask for a page each, at the same moment.\n")
    await asyncio.gather(*(ask("shop", f"/{item}") for item in STOCK))
    await show_the_rest(console)
    console.print("Add --serve to keep the shop open for your own requests.")


async def serve(console: Console, sockets: list[socket]) -> None:
    """Whoever comes, until Ctrl-C; who is inside by then is still served."""
    server = open_shop(sockets)
    showing = asyncio.create_task(show_all(console))
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(showing.cancel))
    url = urls["shop"]
    console.print(f"Open {url}/tea or {url}/cocoa with a browser or curl.\nCtrl-C ends it.\n")
    with contextlib.suppress(asyncio.CancelledError):
        await showing

    server.stop()
    await show_the_rest(console)
    await server.close_all_connections()
    await show_the_rest(console)  # a request may have come in at the last moment
    console.print("\nClosed.")


def main() -> None:
    parser = argparse.ArgumentParser(description="A small shop, traced.")
    parser.add_argument("--serve", action="store_true", help="keep the shop open and draw each request's trace")
    parser.add_argument("--port", type=int, default=8888, help="where --serve listens (default: %(default)s)")
    arguments = parser.parse_args()
    if not 0 <= arguments.port < 2**16:
        parser.error(f"there is no port {arguments.port}")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a bar of question marks is better than none
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    running = serve(console, listen(arguments.port)) if arguments.serve else demo(console)
    introduce(console)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(running)


if __name__ == "__main__":
    main()
