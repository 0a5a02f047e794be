"""The disk that misbehaves does what it is told, and a healthy one does not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import blockdev, mounts, need
from tests.support.blockdev import BlockDevice, Rule

pytestmark = [*need.root(*blockdev.COMMANDS, libraries=("mfusepy",)), pytest.mark.fault]

CONTENT = os.urandom(64 << 10)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BlockDevice]:
    with blockdev.block_device(tmp_path / "disk") as one:
        yield one


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_healthy_disk_keeps_what_is_written(tmp_path: Path, kind: str) -> None:
    with blockdev.block_device(tmp_path / "disk", kind) as disk:
        write(disk.path / "file")
        before = disk.calls()

        assert cold_read(disk.path / "file") == CONTENT
        assert before["flush"] > 0
        assert disk.calls()["read"] > before["read"]


def test_a_read_in_the_range_fails_with_eio_and_others_do_not(disk: BlockDevice) -> None:
    write(disk.path / "bad")
    write(disk.path / "good", b"good" * 4096)
    start = disk.find(CONTENT)
    rule = disk.add(Rule(operation="read", action="error", start=start, end=start + len(CONTENT)))

    with pytest.raises(OSError, match="Input/output error"):
        cold_read(disk.path / "bad")

    assert cold_read(disk.path / "good") == b"good" * 4096
    assert disk.hits(rule) > 0


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_a_failing_disk_makes_fsync_fail(disk: BlockDevice, operation: str) -> None:
    disk.add(Rule(operation=operation, action="error"))

    with pytest.raises(OSError, match=r"Input/output error|Read-only"):
        write(disk.path / "file")


def test_a_lost_write_is_acknowledged_and_absent(disk: BlockDevice) -> None:
    write(disk.path / "file", b"a" * 65536)
    start = disk.find(b"a" * 65536)
    rule = disk.add(Rule(operation="write", action="drop", start=start, end=start + 65536))

    overwrite(disk.path / "file", b"b" * 65536)

    assert disk.hits(rule) > 0
    assert cold_read(disk.path / "file") == b"a" * 65536


def test_a_misdirected_write_lands_elsewhere(disk: BlockDevice) -> None:
    write(disk.path / "file", b"a" * 65536)
    write(disk.path / "victim", b"v" * 65536)
    start, victim = disk.find(b"a" * 65536), disk.find(b"v" * 65536)
    disk.add(Rule(operation="write", action="shift", start=start, end=start + 65536,
                  shift_bytes=victim - start))

    overwrite(disk.path / "file", b"b" * 65536)

    assert cold_read(disk.path / "file") == b"a" * 65536
    assert cold_read(disk.path / "victim") == b"b" * 65536


def test_a_slow_disk_takes_its_time(disk: BlockDevice) -> None:
    disk.add(Rule(operation="flush", action="delay", delay_s=0.3))
    started = time.monotonic()

    write(disk.path / "file")

    assert time.monotonic() - started >= 0.3


def test_a_hung_disk_answers_only_when_it_is_released(disk: BlockDevice) -> None:
    disk.add(Rule(operation="flush", action="hang"))
    writer = threading.Thread(target=write, args=(disk.path / "file",))
    writer.start()
    writer.join(0.5)
    hung = writer.is_alive()
    hanging = disk.hanging()

    disk.clear()
    writer.join(10)

    assert hung
    assert hanging > 0
    assert not writer.is_alive()
    assert cold_read(disk.path / "file") == CONTENT


def test_a_flipped_bit_is_read_back_flipped(disk: BlockDevice) -> None:
    write(disk.path / "file")
    disk.flip(disk.find(CONTENT) + 7, mask=0x10)

    wrong = cold_read(disk.path / "file")

    assert [at for at in range(len(CONTENT)) if wrong[at] != CONTENT[at]] == [7]
    assert wrong[7] == CONTENT[7] ^ 0x10


def test_skip_and_limit_choose_the_calls_that_are_hit(disk: BlockDevice) -> None:
    rule = disk.add(Rule(operation="flush", action="delay", skip=1, limit=2))
    for number in range(5):
        write(disk.path / f"file{number}")

    assert disk.hits(rule) == 2


def test_nothing_stays_behind_when_the_test_fails_with_a_hung_disk(tmp_path: Path) -> None:
    writers = []
    with pytest.raises(ZeroDivisionError), blockdev.block_device(tmp_path / "disk") as disk:
        disk.add(Rule(operation="flush", action="hang"))
        writers.append(threading.Thread(target=write, args=(disk.path / "file",)))
        writers[0].start()
        writers[0].join(0.2)
        raise ZeroDivisionError

    writers[0].join(10)
    assert not mounts.is_mounted(tmp_path / "disk")
    assert not mounts.is_mounted(tmp_path / "disk.fuse")
    assert str(tmp_path) not in mounts.run("losetup", "--list", "--noheadings")


def write(file: Path, content: bytes = CONTENT) -> None:
    with file.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    blockdev.sync_folder(file.parent)


def overwrite(file: Path, content: bytes) -> None:
    """In place, so that the same blocks are written."""
    with file.open("r+b") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def cold_read(file: Path) -> bytes:
    mounts.drop_caches()
    return file.read_bytes()
