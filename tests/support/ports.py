# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Ports that hold what they are taken for while other tests run beside: none is given to anybody else."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Below those that Linux, macOS and Windows give to who asks for any (from 32768 and 49152).
_NEVER_GIVEN = range(10_000, 32_000)


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port at which connections are refused: it is bound, and nobody listens.

    One that was bound and let go may be another test's server a moment later.
    """
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def free_port() -> int:
    """A port for a process that is about to start."""
    while True:
        port = random.SystemRandom().choice(_NEVER_GIVEN)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
