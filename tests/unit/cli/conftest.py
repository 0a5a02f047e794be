from __future__ import annotations

import pytest
from tests.unit.cli import harness


@pytest.fixture
def runner(capsys: pytest.CaptureFixture[str]) -> harness.Runner:
    return harness.make_runner(capsys)
