# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""A wrong setting is told by a message that names it and the remedy, and the page of settings has those messages."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentracing.mocktracer import MockTracer
from support.pages import text_of
from tornado.web import Application

from tornado_opentracing import TornadoTracing, init_tracing

TABLE = text_of("settings.md").partition("## What a wrong value says")[2]
ROWS = re.findall(r"^\| `(\w+)=(.*)` \| (.*) \|$", TABLE, re.MULTILINE)


async def coroutine(span: object, request: object) -> None:
    pass


NAMES = {
    "MockTracer": MockTracer,
    "TornadoTracing": TornadoTracing,
    "TracerProvider": TracerProvider,
    "coroutine": coroutine,
}


def test_the_table_has_one_of_every_kind() -> None:
    assert len(ROWS) >= 15


@pytest.mark.parametrize(("name", "value", "said"), ROWS, ids=[f"{name}={value}" for name, value, _ in ROWS])
def test_a_wrong_value_says_what_the_page_says(name: str, value: str, said: str) -> None:
    wrong: Any = eval(value, dict(NAMES))
    message = re.escape(said.removesuffix(" (a warning)")).replace(re.escape("..."), ".*")
    kind: Any = RuntimeWarning if said.endswith("(a warning)") else (TypeError, ValueError)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind, match=f"^{message}$"):
            init_tracing(**{name: wrong})
        if name != "tracer":
            init_tracing()
            settings: Any = {f"opentracing_{name}": wrong}
            with pytest.raises(kind, match=f"^opentracing_{message}$".replace(r"mean\ ", r"mean\ opentracing_")):
                Application([], **settings)
