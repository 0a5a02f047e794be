"""Findings of readers are kept for heal, and never in a reader's way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from holdfast.engines.embedded import repairs

ONE = repairs.Repair(1, 2, 3, 4, "piece.checksum")
OTHER = repairs.Repair(1, 2, 0, 5, "piece.missing")


def test_a_finding_is_there_for_other_processes_and_later(tmp_path: Path) -> None:
    first, second = (repairs.Repairs(tmp_path, read_only=False) for _ in range(2))

    first.report(ONE)
    second.report(OTHER)
    first.close()

    assert second.all() == sorted([ONE, OTHER])
    assert repairs.Repairs(tmp_path, read_only=True).all() == sorted([ONE, OTHER])


def test_the_same_finding_is_kept_once(tmp_path: Path) -> None:
    kept = repairs.Repairs(tmp_path, read_only=False)

    for _ in range(3):
        kept.report(ONE)

    assert kept.all() == [ONE]


def test_a_read_only_store_writes_nothing(tmp_path: Path) -> None:
    kept = repairs.Repairs(tmp_path, read_only=True)

    kept.report(ONE)

    assert kept.all() == [ONE]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("broken", ["missing folder", "no database"])
def test_a_state_that_cannot_be_written_stops_no_reader(tmp_path: Path, broken: str) -> None:
    folder = tmp_path / "gone" if broken == "missing folder" else tmp_path
    if broken == "no database":
        (tmp_path / "repairs.db").write_bytes(b"not a database" * 500)
    kept = repairs.Repairs(folder, read_only=False)

    kept.report(ONE)

    assert kept.all() == [ONE]


def test_many_threads_may_report_at_once(tmp_path: Path) -> None:
    kept = repairs.Repairs(tmp_path, read_only=False)
    found = [repairs.Repair(number, 0, 0, 1, "piece.missing") for number in range(40)]
    threads = [threading.Thread(target=kept.report, args=(one,)) for one in found]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert repairs.Repairs(tmp_path, read_only=False).all() == found
