# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
"""What ``nox -s fuzz`` looks for during minutes, looked for during a moment."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz.properties import PROPERTIES
from fuzz.run import Drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_property_that_fuzzing_looks_at_holds(name: str, reports: object) -> None:
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: Any) -> None:
        PROPERTIES[name](Drawn(data.draw))

    check()
