"""Apply one defect to a copy of the project and see whether its check notices.

`python -m tests.mutations.runner [NAME ...]` runs them by hand and prints a table.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutations.table import MUTATIONS, Mutation

PROJECT = Path(__file__).parents[2]
CHECK_TIMEOUT_S = 170
_PYTEST_FAILED = 1


def copy_project(target: Path) -> Path:
    """Source and tests, without what was built."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("src", "tests"):
        shutil.copytree(PROJECT / name, target / name, ignore=ignore)
    for file in (PROJECT / "pyproject.toml", *PROJECT.glob("conftest.py")):
        shutil.copy(file, target / file.name)
    return target


def mutate(project: Path, mutation: Mutation) -> None:
    """Raises ValueError where the source has moved on: the table must follow it."""
    file = project / mutation.file
    text = file.read_text()
    count = text.count(mutation.old)
    if count != 1:
        raise ValueError(f"{mutation.name}: the old text occurs {count} times in {mutation.file}")
    mutated = text.replace(mutation.old, mutation.new)
    compile(mutated, mutation.file, "exec")
    file.write_text(mutated)


def check(project: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run one test of a copy against the source of that copy."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    environment["PYTHONPATH"] = str(project / "src")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider",
         "--no-header", test],
        cwd=project, env=environment, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S,
    )


@functools.cache
def unmutated(test: str) -> str:
    """Why a check is worth nothing: it must pass, and not be skipped, on the source as it is."""
    done = check(PROJECT, test)
    if done.returncode != 0 or "passed" not in done.stdout or "skipped" in done.stdout:
        return f"the check does not pass unmutated:\n{done.stdout[-2000:]}"
    return ""


def judge(mutation: Mutation) -> str:
    """Empty when the check passes on the source as it is and fails on the mutated one."""
    before = unmutated(mutation.check)
    if before:
        return before
    with tempfile.TemporaryDirectory(prefix="holdfast-mutation-") as folder:
        project = copy_project(Path(folder))
        mutate(project, mutation)
        after = check(project, mutation.check)
    if after.returncode != _PYTEST_FAILED:
        return f"not caught (pytest exit {after.returncode}):\n{after.stdout[-2000:]}"
    return ""


def main() -> int:
    wanted = sys.argv[1:] or [mutation.name for mutation in MUTATIONS]
    survivors = 0
    for mutation in MUTATIONS:
        if mutation.name in wanted:
            verdict = judge(mutation)
            survivors += bool(verdict)
            print(f"{mutation.name:32} {verdict or 'caught by ' + mutation.check}", flush=True)
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main())
