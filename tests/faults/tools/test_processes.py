"""Writers are frozen, killed and found by the lock that they hold."""

from __future__ import annotations

import fcntl
import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.workload import Op

pytestmark = pytest.mark.fault

TOY = "tests.faults.tools.toy_store:RightStore"
MANY = [Op("put", f"/data/{number}", size=500, seed=number) for number in range(5000)]


def test_the_holder_of_a_flock_is_found_and_forgotten(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR)
    before = processes.lock_holders(lock)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    held = processes.lock_holders(lock)
    os.close(descriptor)

    assert (before, held, processes.lock_holders(lock)) == ([], [os.getpid()], [])


def test_a_frozen_writer_makes_no_progress_until_it_is_thawed(tmp_path: Path) -> None:
    with writer(tmp_path) as one:
        one.wait_until_done(5)
        one.freeze()
        frozen = one.done()
        with pytest.raises(subprocess.TimeoutExpired):
            one.process.wait(0.3)
        after = one.done()

        one.thaw()
        one.wait_until_done(frozen + 5)

    assert after == frozen


def test_a_killed_writer_leaves_its_report(tmp_path: Path) -> None:
    with writer(tmp_path) as one:
        one.wait_until_done(3)
        one.kill()

    assert one.done() >= 3
    assert one.errors() == []
    assert not Path(f"/proc/{one.pid}").exists()


def test_a_writer_freezes_itself_at_the_chosen_pass_of_a_point(tmp_path: Path) -> None:
    with writer(tmp_path, freeze_at=("toy.table.publish", 4)) as one:
        one.wait_until_frozen()
        frozen = one.done()
        one.thaw()
        one.wait_until_done(frozen + 1)

    assert frozen == 3


def writer(
    folder: Path, freeze_at: tuple[str, int] = ("", 0)
) -> AbstractContextManager[processes.Writer]:
    store = folder / "store"
    store.mkdir()
    return processes.writer(TOY, store, MANY, folder / "report", freeze_at=freeze_at)
