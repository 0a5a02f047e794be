"""Every defect of the table is caught by the check that it names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.mutations import runner
from tests.mutations.table import MUTATIONS, Mutation

SAMPLE = "def answer() -> int:\n    return 42\n"
SAMPLE_TEST = "from holdfast.sample import answer\n\ndef test_it() -> None:\n    assert answer() == 42\n"


@pytest.mark.slow
@pytest.mark.timeout(400, method="signal")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: most checks cut the power of a disk")
@pytest.mark.root
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_defect_is_caught(mutation: Mutation) -> None:
    assert runner.judge(mutation) == ""


def test_a_harmless_edit_is_reported_as_not_caught(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    edit = mutation(old="return 42", new="return 40 + 2")

    runner.mutate(project, edit)

    assert runner.check(project, edit.check).returncode == 0


def test_a_defect_makes_the_check_of_the_copy_fail(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    edit = mutation(old="return 42", new="return 41")
    before = runner.check(project, edit.check).returncode

    runner.mutate(project, edit)

    assert (before, runner.check(project, edit.check).returncode) == (0, 1)


def test_text_that_is_not_there_once_is_refused(tmp_path: Path) -> None:
    project = small_project(tmp_path)

    with pytest.raises(ValueError, match="occurs 0 times"):
        runner.mutate(project, mutation(old="return 43", new="return 1"))


def small_project(folder: Path) -> Path:
    package = folder / "src" / "holdfast"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "sample.py").write_text(SAMPLE)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_sample.py").write_text(SAMPLE_TEST)
    return folder


def mutation(old: str, new: str) -> Mutation:
    return Mutation(
        name="sample", file="src/holdfast/sample.py", old=old, new=new,
        check="tests/test_sample.py::test_it", why="a sample",
    )
