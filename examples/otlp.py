# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A shop whose three services are processes of their own, two workers each, that send their spans to a collector.

OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python examples/otlp.py

That is any collector that speaks OTLP over HTTP: OpenTelemetry's, Jaeger, Tempo, an agent of Datadog's. Three customers
come at once, and the shop closes; with ``--serve`` it stays open until Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import opentracing
from opentracing import follows_from
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.process import fork_processes
from tornado.web import Application, RequestHandler

from tornado_opentracing import init_tracing, no_parent_scope
from tornado_opentracing.opentelemetry import create_tracer

STOCK = {"tea": 12, "coffee": 5, "cocoa": 1}
PRICES = {"tea": 3.20, "coffee": 4.50, "cocoa": 2.90}
DISCOUNTS = {"tea": 10, "coffee": 5}  # somebody forgot the cocoa


async def ask(service: str, path: str) -> str:
    url = f"http://127.0.0.1:{os.environ[f'{service.upper()}_PORT']}{path}"
    response = await AsyncHTTPClient().fetch(url, raise_error=False)
    return response.body.decode() if response.code == 200 else "?"


class Page(RequestHandler):
    async def get(self, item: str) -> None:
        left, price, discount = await asyncio.gather(
            ask("stock", f"/stock/{item}"), ask("prices", f"/price/{item}"), ask("prices", f"/discount/{item}")
        )
        self.write(f"{item}: {left} left, {price} each, discount: {discount}\n")


class Stock(RequestHandler):
    async def get(self, item: str) -> None:
        self.write(str(STOCK[item]))
        if STOCK[item] == 1:
            self.reorder(item)

    def reorder(self, item: str) -> None:
        """Work that the request causes but does not wait for: it follows from the request."""
        tracer = opentracing.global_tracer()
        request: Any = tracer.active_span
        with no_parent_scope():
            span = tracer.start_span(f"reorder {item}", references=[follows_from(request.context)])
            asyncio.get_running_loop().call_later(0.01, span.finish)


class Price(RequestHandler):
    async def get(self, item: str) -> None:
        left = await ask("stock", f"/stock/{item}")
        self.write(f"{PRICES[item] * (2 if left == '1' else 1):.2f}")


class Discount(RequestHandler):
    async def get(self, item: str) -> None:
        self.write(f"{DISCOUNTS[item]} %")

    def log_exception(self, *exc_info: object) -> None:
        """Say nothing: that there is none for cocoa is intended, and the trace shows it."""


SERVICES: dict[str, list[Any]] = {
    "shop": [(r"/(tea|coffee|cocoa)", Page)],
    "stock": [(r"/stock/(\w+)", Stock)],
    "prices": [(r"/price/(\w+)", Price), (r"/discount/(\w+)", Discount)],
}


# --- A worker. ---


def set_up_tracing() -> None:
    tracer = create_tracer()
    opentracing.set_global_tracer(tracer)
    init_tracing(tracer, start_span_cb=lambda span, _: span.set_tag("process.pid", os.getpid()))


def work(service: str, sockets: list[socket.socket]) -> None:
    # From here on to where a worker is ready to obey.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    fork_processes(2)
    # After the fork: each worker has an exporter of its own, which is a thread, and threads are not forked.
    set_up_tracing()
    asyncio.run(serve(service, sockets))
    # What is left of the spans is sent when the interpreter exits.


async def serve(service: str, sockets: list[socket.socket]) -> None:
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    server = HTTPServer(Application(SERVICES[service], log_function=lambda _: None))
    server.add_sockets(sockets)
    await told_to_stop.wait()
    server.stop()
    await server.close_all_connections()
    await asyncio.sleep(0.02)  # for what is still on order


# --- What starts the workers. ---


@contextlib.contextmanager
def running_services(shop_port: int = 0) -> Iterator[None]:
    """Start all services; stop them at the end, and wait until each has sent its last span."""
    sockets = {service: bind_sockets(shop_port * (service == "shop"), "127.0.0.1") for service in SERVICES}
    for service, (listener,) in sockets.items():
        os.environ[f"{service.upper()}_PORT"] = str(listener.getsockname()[1])
    processes = []
    for service, (listener,) in sockets.items():
        command = [sys.executable, __file__, "--service", service, "--socket", str(listener.fileno())]
        environment = {**os.environ, "OTEL_SERVICE_NAME": service}
        processes.append(
            subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()], start_new_session=True)
        )
        listener.close()
    try:
        yield
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait()


async def customers() -> None:
    for page in await asyncio.gather(*(ask("shop", f"/{item}") for item in STOCK)):
        print(page, end="")


def main() -> None:
    parser = argparse.ArgumentParser(description="A shop in several processes that exports its traces over OTLP.")
    parser.add_argument("--serve", action="store_true", help="keep the shop open")
    parser.add_argument("--port", type=int, default=8888, help="where --serve listens (default: %(default)s)")
    parser.add_argument("--service", choices=SERVICES, help=argparse.SUPPRESS)
    parser.add_argument("--socket", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.service:
        work(arguments.service, [socket.socket(fileno=arguments.socket)])
        return
    with running_services(arguments.port if arguments.serve else 0):
        if arguments.serve:
            print(f"Open http://127.0.0.1:{arguments.port}/tea or /cocoa. Ctrl-C ends it.", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
        else:
            os.environ["OTEL_SERVICE_NAME"] = "browser"
            set_up_tracing()
            asyncio.run(customers())


if __name__ == "__main__":
    main()
