# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Handlers that answer, or fail, after a moment."""

from __future__ import annotations

import asyncio

from tornado.web import RequestHandler

from support.outcomes import fail


class Hello(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        self.write("hello")


class Raising(RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(0)
        fail()
