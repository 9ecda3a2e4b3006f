# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What is taken for a number of seconds."""

from __future__ import annotations

import math
from typing import Any


def seconds(value: Any) -> float | None:
    """Check a number of seconds, which may be ``None``.

    :raises TypeError, ValueError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"must be a number of seconds or None, not {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"must be a positive number of seconds, not {value!r}")
    return float(value)
