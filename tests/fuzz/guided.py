# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""One property under Atheris, whose inputs reach further and further: ``python -m fuzz.guided PROPERTY``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import atheris

with atheris.instrument_imports(include=["tornado_opentracing"]):
    from fuzz.properties import PROPERTIES, Item


class Bytes:
    """Decisions of Atheris."""

    def __init__(self, data: bytes) -> None:
        self._data = atheris.FuzzedDataProvider(data)

    def choice(self, items: Sequence[Item]) -> Item:
        return items[self.number(len(items) - 1)]

    def text(self, longest: int) -> str:
        found: str = self._data.ConsumeUnicode(self._data.ConsumeIntInRange(0, longest))
        return found

    def number(self, most: int) -> int:
        found: int = self._data.ConsumeIntInRange(0, most)
        return found


def main() -> None:
    """Run until the time is up, or something is found."""
    logging.getLogger("tornado_opentracing").disabled = True
    check = PROPERTIES[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: check(Bytes(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
