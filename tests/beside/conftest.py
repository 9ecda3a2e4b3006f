# SPDX-FileCopyrightText: 2018-2026 The tornado_opentracing developers
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

# It has the assertions, and is no module of tests itself.
pytest.register_assert_rewrite("beside.guarantees")
