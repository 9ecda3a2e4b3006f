# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""``python -m beside.process MODULE PEER STEP...``: switches a peer and this package on and off, and prints what came.

A process of its own for each order, since most peers can be switched on but once.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import opentracing
from beside.peer import SPAN_ID, TRACE_ID, Peer
from beside.shop import SITUATIONS, Situation, made_under, shop
from support import MockRecorder, Servers
from tornado import (
    http1connection,
    httpclient,
    httpserver,
    httputil,
    ioloop,
    routing,
    simple_httpclient,
    web,
    websocket,
)
from tornado.platform import asyncio as platform

import tornado_opentracing
from tornado_opentracing import _install

OURS = tornado_opentracing.__name__
PATCHES = [patch for hooks in _install._ALL_HOOKS for patch in hooks.patches]
MODULES = [http1connection, httpclient, httpserver, httputil, ioloop, routing, simple_httpclient, web, websocket]
HEADERS = {"ot-tracer-traceid": f"{TRACE_ID:x}", "ot-tracer-spanid": f"{SPAN_ID:x}"}


def functions_in_place() -> dict[str, Any]:
    """What lies where Tornado has its functions."""
    modules: list[types.ModuleType] = [*MODULES, platform]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {
        f"{cls.__module__}.{cls.__qualname__}.{name}": value
        for cls in classes
        if cls.__module__.startswith("tornado.")
        for name, value in vars(cls).items()
        if callable(value) and not isinstance(value, type)
    }


class Logged(logging.Handler):
    """What Tornado, asyncio, the warnings and this package say."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        for name in ("tornado", "asyncio", "py.warnings", OURS):
            logging.getLogger(name).addHandler(self)
        logging.captureWarnings(True)
        warnings.simplefilter("always", RuntimeWarning)
        sys.unraisablehook = lambda unraisable: self.lines.append(f"unraisable {unraisable.exc_value!r}")

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        text = record.getMessage() if record.name in ("py.warnings", OURS) else record.levelname
        self.lines.append(f"{record.name} {text} {error}")

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


class Run:
    """The steps of an order, and what came of each measurement."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.recorder = MockRecorder()
        self.own = functions_in_place()
        self.logged = Logged()
        self.state = {"ours": False, "peer": False, "decorated": False}
        self.handler = made_under(lambda method: method)
        self.taken: list[str] = []
        #: Seconds; one answer that does not come is enough to wait for.
        self.patience = 10.0
        self.measured: list[dict[str, Any]] = []

    def run(self, steps: list[str]) -> list[dict[str, Any]]:
        does: dict[str, Callable[[], object]] = {
            "peer": self.peer.switch_on,
            "ours": lambda: tornado_opentracing.init_tracing(self.recorder.tracer),
            "decorated": self.decorate,
            "without peer": self.peer.switch_off,
            "without ours": tornado_opentracing.remove_tracing,
            "measure": lambda: asyncio.run(self.measure()),
        }
        for step in steps:
            self.taken.append(step)
            does[step]()
            if step != "measure":
                self.state[step.rpartition(" ")[2]] = not step.startswith("without ")
        return self.measured

    def decorate(self) -> None:
        # What the decorator traces with as long as there is no other.
        opentracing.set_global_tracer(self.recorder.tracer)
        self.handler = made_under(tornado_opentracing.trace)

    async def measure(self) -> None:
        application = shop(self.handler)
        if self.state["peer"]:
            self.peer.equip(application)
        servers = Servers()
        url = servers.start(application)
        self.take_spans()
        self.logged.take()
        if self.state["peer"]:
            self.peer.take_records()
        found = {name: await self.observe(situation, url, application) for name, situation in SITUATIONS.items()}
        await servers.stop()
        now = functions_in_place()
        replaced = {place: now[place] for place, function in self.own.items() if now[place] is not function}
        self.measured.append(
            {
                **self.state,
                "steps": list(self.taken),
                "situations": found,
                "replaced": sorted(replaced),
                "replaced by us": sorted(place for place, function in replaced.items() if is_ours(function)),
                "at work": [
                    f"{patch.owner.__name__}.{patch.name}"
                    for patch in PATCHES
                    if any(layer.enabled for layer in patch._layers)
                ],
            }
        )

    async def observe(self, situation: Situation, url: str, application: web.Application) -> dict[str, Any]:
        address = url.rpartition("/")[2]
        before = asyncio.all_tasks()
        try:
            send = situation.send(url, {**HEADERS, **self.peer.headers}, application)
            answer = await asyncio.wait_for(send, self.patience)
        except Exception as error:
            answer = repr(error)
            self.patience = 0.1
        while left := asyncio.all_tasks() - before:
            _, pending = await asyncio.wait(left, timeout=self.patience)
            for task in pending:
                answer = f"{answer}, and {task} never came to its end"
                task.cancel()
            if pending:
                self.patience = 0.1
        for _ in range(10):
            await asyncio.sleep(0)
        records = self.peer.take_records() if self.state["peer"] else []
        unfinished = self.recorder.unfinished
        logged = self.logged.take()
        return {
            "answer": str(answer).replace(address, "HOST"),
            "spans": self.take_spans(),
            "unfinished": unfinished,
            "records": sorted(str(record).replace(address, "HOST") for record in records),
            "logged": [line for line in logged if not line.startswith(OURS)],
            "logged by us": [line for line in logged if line.startswith(OURS)],
        }

    def take_spans(self) -> list[Any]:
        spans = self.recorder.finished
        self.recorder.tracer.reset()
        self.recorder.tracer.started.clear()
        labels = {SPAN_ID: "caller"} | {span.span_id: f"{span.name} {span.path}" for span in spans}
        return [
            (
                labels[span.span_id],
                span.kind,
                span.status,
                span.is_error,
                labels.get(span.parent_id or 0, span.parent_id),
            )
            for span in spans
        ]


def is_ours(function: Any) -> bool:
    # A proxy of wrapt's has the code of what it wraps.
    return type(function) is types.FunctionType and function.__globals__["__name__"].startswith(f"{OURS}.")


if __name__ == "__main__":
    _, module, name, *steps = sys.argv
    print(json.dumps(Run(getattr(importlib.import_module(module), name)()).run(steps)))  # noqa: T201
