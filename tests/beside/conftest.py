from __future__ import annotations

import pytest

# It has the assertions, and is no module of tests itself.
pytest.register_assert_rewrite("beside.guarantees")
