from __future__ import annotations

import pytest

# So that what the machine asserts is shown with its two sides.
pytest.register_assert_rewrite("tests.model.machine", "tests.model.subjects")
