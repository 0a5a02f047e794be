"""Marks for tests that need more than Python: what is missing is named, never passed over."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest


def root(*commands: str, libraries: tuple[str, ...] = ()) -> list[pytest.MarkDecorator]:
    """Marks of a test that needs root and these commands (see scripts/test-packages.txt)."""
    missing = [name for name in commands if shutil.which(name) is None]
    missing += [name for name in libraries if importlib.util.find_spec(name) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    reason = "needs " + ", ".join(missing)
    return [
        pytest.mark.root,
        pytest.mark.skipif(bool(missing), reason=reason),
        # By signal, so that what is mounted is unmounted when a test takes too long.
        pytest.mark.timeout(120, method="signal"),
    ]
