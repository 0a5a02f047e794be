"""What the README and the tutorials show is what happens: each session is typed and compared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import console

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LINES_MAX = 120
PAGES = {
    "README.md": "en", "README.zh.md": "zh_CN",
    "docs/tutorial.md": "en", "docs/zh/tutorial.md": "zh_CN",
}

PROGRAMS = (
    "README.md", "docs/how-to/python.md", "docs/how-to/dataframes.md", "docs/how-to/where-it-lies.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_the_sessions_of_a_page_run_as_they_are_shown(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()

    different = console.walk(ROOT / page, folder, PAGES[page])

    assert console.blocks(ROOT / page, "console")
    assert not different, "\n".join(different)


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    shell = console.Shell(folder, "en")
    prepare = "mkdir d1 d2 d3; holdfast init d1 d2 d3; holdfast apply --yes"
    code, printed = shell.run(console.Command(line=prepare, output="", code=0))
    assert code == 0, printed

    for program in console.blocks(ROOT / page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True,
            env={**os.environ, "HOLDFAST_STATE": str(tmp_path / "state")}, timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_a_readme_is_short(page: str) -> None:
    assert len((ROOT / page).read_text(encoding="utf-8").splitlines()) <= LINES_MAX


def test_the_tables_of_capabilities_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "readme_tables.py"), "--check"],
        capture_output=True, text=True, timeout=30, check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
