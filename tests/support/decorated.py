# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""Handlers under ``@trace``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tornado
from tornado.web import RequestHandler

coroutine_keeps_context = pytest.mark.skipif(
    tornado.version_info < (6, 1), reason="gen.coroutine of Tornado 6.0 loses context variables between yields"
)


def decorated(
    handler: type[RequestHandler], decorator: Callable[[Any], Any], method: str = "get"
) -> type[RequestHandler]:
    return type(handler.__name__, (handler,), {method: decorator(getattr(handler, method))})


class Plain(RequestHandler):
    def get(self) -> None:
        self.write("hello")
