# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""The viewer on a thread and an event loop of its own: it answers while the application's loop is blocked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from socket import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RedirectHandler

from tornado_opentracing import _forks
from tornado_opentracing.viewer._access import Access
from tornado_opentracing.viewer._handlers import viewer_routes
from tornado_opentracing.viewer._receiver import MOST_BYTES, PATH, Receiver
from tornado_opentracing.viewer._recording import RecordingTracer

PREFIX = "/-/traces"
_PATIENCE = 5.0


class ViewerThread:
    """Serves the traces of a tracer, from when it is made to the end of the process.

    Before the process is forked its thread is stopped, and goes on afterwards in the parent: a child of a process with
    threads may find locks that nobody will open. The child has no viewer; its copies of the sockets are closed.

    It also takes spans of other processes, at ``/v1/traces``.

    :param port: where to listen; 0 means any port that is free.
    :param host: the address to listen on. Beyond loopback, whoever reaches it may see the traces.
    :param any_port: whether one that is taken means any that is free, too.
    :param hosts: further names by which it may be asked for; see :func:`viewer_routes`.
    :raises OSError: it cannot listen there.
    """

    def __init__(
        self, tracer: RecordingTracer, port: int, host: str, hosts: Iterable[str] = (), *, any_port: bool = True
    ) -> None:
        try:
            self._sockets = _listening(port, host, any_port)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {host}, port {port}: {error.strerror}") from error
        #: The port on which it listens.
        self.port: int = self._sockets[0].getsockname()[1]
        is_local = host in {"127.0.0.1", "::1", "localhost"}
        address = f"[{host}]" if ":" in host else host
        #: Where the list of traces is.
        own = f"http://{address if is_local else 'localhost'}:{self.port}"
        self.url = own + PREFIX
        #: And where OTLP is posted to.
        self.receiver = own + PATH
        allow = None if is_local else lambda _: True
        hosts = list(hosts)
        routes: list[Any] = viewer_routes(tracer, PREFIX, allow, hosts=hosts)
        routes.append((PATH, Receiver, {"tracer": tracer, "access": Access(allow, hosts)}))
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
        self.go_on()
        _forks.look_after(self)

    async def _listen(self) -> None:
        self._server = HTTPServer(self._application, max_body_size=MOST_BYTES)
        self._server.add_sockets(self._sockets)

    def stop(self) -> None:
        """Serve no more, and close all connections."""

        async def close() -> None:
            if self._server is not None:
                self._server.stop()
                await self._server.close_all_connections()

        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(close(), self._loop).result(_PATIENCE)
            self.pause()
        self._loop.close()
        _forks.forget(self)

    def go_on(self) -> None:
        """Serve, on a new thread."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="tornado_opentracing.viewer", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Serve no more for now."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(_PATIENCE)

    def leave(self) -> None:
        """Close this process's copies of the sockets, which are the parent's."""
        # The loop's selector is the parent's too: what this process took out of it would be out of it there.
        self._loop._closed = True  # type: ignore[attr-defined]
        for listening in self._sockets:
            listening.close()
        _forks.forget(self)


def _listening(port: int, host: str, any_port: bool) -> list[socket]:
    try:
        return bind_sockets(port, host)
    except OSError:
        if not any_port:
            raise
        return bind_sockets(0, host)
