from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_of_the_command_line_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "cli_page.py"), "--check"],
        capture_output=True, text=True, timeout=30,
    )

    assert (done.returncode, done.stderr) == (0, "")
