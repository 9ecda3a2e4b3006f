"""The viewer on a thread and an event loop of its own: it answers while the application's loop is blocked."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RedirectHandler

from tornado_opentracing.viewer._handlers import viewer_routes
from tornado_opentracing.viewer._recording import RecordingTracer

PREFIX = "/-/traces"
_PATIENCE = 5.0


class ViewerThread:
    """Serves the traces of a tracer, from when it is made to the end of the process.

    Before the process is forked its thread is stopped, and goes on afterwards in the parent: a child of a process with
    threads may find locks that nobody will open. The child has no viewer; its copies of the sockets are closed.

    :param port: where to listen; 0 means any port that is free, and so does one that is taken.
    :param host: the address to listen on. Beyond loopback, whoever reaches it may see the traces.
    :param hosts: further names by which it may be asked for; see :func:`viewer_routes`.
    :raises OSError: it cannot listen there.
    """

    def __init__(self, tracer: RecordingTracer, port: int, host: str, hosts: Iterable[str] = ()) -> None:
        try:
            self._sockets = bind_sockets(port, host)
        except OSError:
            self._sockets = bind_sockets(0, host)
        #: The port on which it listens.
        self.port: int = self._sockets[0].getsockname()[1]
        is_local = host in {"127.0.0.1", "::1", "localhost"}
        address = f"[{host}]" if ":" in host else host
        #: Where the list of traces is.
        self.url = f"http://{address if is_local else 'localhost'}:{self.port}{PREFIX}"
        routes: list[Any] = viewer_routes(tracer, PREFIX, None if is_local else lambda _: True, hosts=hosts)
        routes.append(("/", RedirectHandler, {"url": PREFIX, "permanent": False}))
        # None of it is traced, whatever the process is told to trace.
        self._application = Application(
            routes, debug=True, autoreload=False, serve_traceback=False, log_function=lambda _: None,
            opentracing_trace_all=False, opentracing_trace_client=False,
        )  # fmt: skip
        # Not one of the policy's, which the program may have changed, or may yet change.
        self._loop = asyncio.SelectorEventLoop()
        self._loop.create_task(self._listen())
        self._thread: threading.Thread | None = None
        self._server: HTTPServer | None = None
        self._go_on()
        _of_this_process.add(self)

    async def _listen(self) -> None:
        self._server = HTTPServer(self._application)
        self._server.add_sockets(self._sockets)

    def stop(self) -> None:
        """Serve no more, and close all connections."""

        async def close() -> None:
            if self._server is not None:
                self._server.stop()
                await self._server.close_all_connections()

        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(close(), self._loop).result(_PATIENCE)
            self._pause()
        self._loop.close()
        _of_this_process.discard(self)

    def _go_on(self) -> None:
        self._thread = threading.Thread(target=self._loop.run_forever, name="tornado_opentracing.viewer", daemon=True)
        self._thread.start()

    def _pause(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_PATIENCE)

    def _leave(self) -> None:
        # The loop is the parent's: what is closed there is closed in the parent too.
        for socket in self._sockets:
            socket.close()


_of_this_process: weakref.WeakSet[ViewerThread] = weakref.WeakSet()


def _before_fork() -> None:
    for viewer in list(_of_this_process):
        viewer._pause()


def _after_fork_in_parent() -> None:
    for viewer in list(_of_this_process):
        viewer._go_on()


def _after_fork_in_child() -> None:
    for viewer in list(_of_this_process):
        viewer._leave()
    _of_this_process.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
