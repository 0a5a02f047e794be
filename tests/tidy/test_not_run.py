"""The closing report of the tests: what was NOT RUN is listed, and fails where CI is set."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.tidy import tree

Run = Callable[..., tuple[int, str]]

PASSES = "def test_that_passes(): pass\n"
SKIPS = "import pytest\ndef test_that_skips(): pytest.skip('the moon is not full')\n"
SOAKS = "import pytest\n@pytest.mark.soak\ndef test_that_soaks(): pass\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest over a file with the project's conftest; returns (exit code, output)."""
    (tmp_path / "conftest.py").write_text((tree.ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers\nmarkers = soak\n"
    )

    def run_it(code: str, *options: str, ci: str = "") -> tuple[int, str]:
        (tmp_path / "test_sample.py").write_text(code)
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(tmp_path)],
            cwd=tmp_path, env=environment | ({"CI": ci} if ci else {}),
            capture_output=True, text=True, timeout=50,
        )
        return done.returncode, done.stdout + done.stderr

    return run_it


def test_a_skipped_test_is_listed_with_its_reason_and_passes_outside_ci(run: Run) -> None:
    code, output = run(PASSES + SKIPS)

    assert code == 0
    assert "NOT RUN test_sample.py::test_that_skips: the moon is not full" in output
    assert "1 passed, 1 skipped" in output.splitlines()[-1]


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param((), id="alone"),
        pytest.param(("-p", "xdist", "-n", "1"), id="xdist", marks=pytest.mark.slow),
    ],
)
def test_a_skipped_test_fails_the_run_in_ci(run: Run, workers: tuple[str, ...]) -> None:
    code, output = run(PASSES + SKIPS, *workers, ci="true")

    assert code == 1
    assert "NOT RUN test_sample.py::test_that_skips: the moon is not full" in output


def test_a_run_without_skips_passes_in_ci(run: Run) -> None:
    code, output = run(PASSES, ci="true")

    assert code == 0
    assert "NOT RUN" not in output


def test_soak_tests_run_only_when_asked_for(run: Run) -> None:
    without, _ = run(PASSES + SOAKS, ci="true")
    code, output = run(PASSES + SOAKS, "--soak")

    assert without == 0
    assert code == 0
    assert "2 passed" in output


def test_a_run_of_no_test_fails(run: Run) -> None:
    code, _ = run("")

    assert code == pytest.ExitCode.NO_TESTS_COLLECTED
