"""Slots of readers: what they pin, and that nothing can make one disappear while it is held."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from holdfast.engines.embedded import readers


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in ("d1", "d2", "d3")]
    for root in found:
        (root / "log" / readers.FOLDER).mkdir(parents=True)
    return found


def slots_in(roots: list[Path]) -> readers.ReaderSlots:
    return readers.ReaderSlots(lambda: roots, len(roots) // 2 + 1)


def files(roots: list[Path]) -> list[Path]:
    return [path for root in roots for path in (root / "log" / readers.FOLDER).iterdir()]


def test_the_oldest_open_reader_is_what_a_process_pins(roots: list[Path]) -> None:
    slots = slots_in(roots)

    first = slots.pin(7)
    second = slots.pin(9)
    third = slots.pin(5)
    assert readers.pins(roots) == [readers.Pin(os.getpid(), 5)]
    slots.unpin(third)
    assert readers.pins(roots) == [readers.Pin(os.getpid(), 7)]
    slots.unpin(first)
    assert readers.pins(roots) == [readers.Pin(os.getpid(), 9)]
    slots.unpin(second)

    assert readers.pins(roots) == []
    slots.close()
    assert files(roots) == []


def test_a_slot_lies_on_a_majority_and_is_seen_from_any_node_of_it(roots: list[Path]) -> None:
    slots = slots_in(roots)

    with slots.reading(3):
        assert len(files(roots)) == 2
        assert readers.pins([roots[0]]) == readers.pins([roots[1]]) == readers.pins(roots)

    slots.close()


def test_a_node_that_is_away_is_passed_over(roots: list[Path]) -> None:
    slots = slots_in([roots[0] / "away", *roots[1:]])

    with slots.reading(3):
        assert len(files(roots)) == 2

    slots.close()


def test_a_reader_of_an_empty_store_pins_all_the_same(roots: list[Path]) -> None:
    slots = slots_in(roots)

    with slots.reading(0):
        assert [one.sequence for one in readers.pins(roots)] == [readers.EVERYTHING]

    slots.close()


def test_slots_of_the_dead_are_cleared_away(roots: list[Path]) -> None:
    for root in roots:
        (root / "log" / readers.FOLDER / "123-abc").write_bytes(b"\x05" + bytes(15))

    assert readers.pins(roots) == []
    assert files(roots) == []


def test_a_slot_that_holds_nothing_yet_pins_everything(roots: list[Path]) -> None:
    path = roots[0] / "log" / readers.FOLDER / "1-x"

    descriptor = readers._locked_file(path)

    assert readers.pins(roots) == [readers.Pin(0, readers.EVERYTHING)]
    os.close(descriptor)


def test_of_copies_that_disagree_the_oldest_counts(roots: list[Path]) -> None:
    slots = slots_in(roots)
    slots.pin(9)
    newest = files(roots)[-1]
    newest.write_bytes(readers._VALUE.pack(4, os.getpid()))

    assert [one.sequence for one in readers.pins(roots)] == [4]
    slots.close()


def test_a_slot_that_a_collector_removed_before_it_was_locked_is_made_again(
    roots: list[Path]
) -> None:
    """The collector saw a file without a lock and took it for a dead reader's."""
    path = roots[0] / "log" / readers.FOLDER / "1-x"
    collector = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(collector, fcntl.LOCK_EX)
    made: list[int] = []
    thread = threading.Thread(target=lambda: made.append(readers._locked_file(path)))
    thread.start()
    while f"{os.fstat(collector).st_ino}" not in waiting_locks():
        threading.Event().wait(0.005)

    path.unlink()
    os.close(collector)
    thread.join()

    assert os.fstat(made[0]).st_ino == path.stat().st_ino
    os.close(made[0])


def waiting_locks() -> str:
    """The locks that somebody waits for, as the kernel tells them."""
    lines = Path("/proc/locks").read_text().splitlines()
    return "\n".join(line for line in lines if "->" in line)


def test_collectors_that_look_all_the_time_miss_no_reader(roots: list[Path]) -> None:
    stopping = threading.Event()

    def collecting() -> None:
        while not stopping.is_set():
            readers.pins(roots)

    thread = threading.Thread(target=collecting)
    thread.start()
    try:
        for number in range(200):
            slots = slots_in(roots)
            ticket = slots.pin(number + 1)
            assert [one.sequence for one in readers.pins(roots)] == [number + 1]
            slots.unpin(ticket)
            slots.close()
    finally:
        stopping.set()
        thread.join()


def test_a_child_neither_holds_nor_removes_its_parents_slots(roots: list[Path]) -> None:
    slots = slots_in(roots)
    ticket = slots.pin(6)
    heard, said = os.pipe()

    child = os.fork()
    if child == 0:
        slots.close()
        os.write(said, b"closed")
        os.read(heard, 0)
        threading.Event().wait(0.5)
        os._exit(0)
    assert os.read(heard, 6) == b"closed"
    seen = [one.sequence for one in readers.pins(roots)]
    slots.unpin(ticket)
    slots.close()
    after = files(roots)
    os.waitpid(child, 0)
    os.close(heard)
    os.close(said)

    assert seen == [6]
    assert after == []
