"""Replayed images show what a power cut leaves: the right protocol loses nothing, others do."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import blockdev, mounts, need, replay

pytestmark = [*need.root(*blockdev.COMMANDS, libraries=("mfusepy",)), pytest.mark.fault]

FILES = 8


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_full_protocol_loses_no_acknowledged_file_at_any_cut(tmp_path: Path, kind: str) -> None:
    missing = missing_after_cuts(tmp_path, kind, publish)

    assert missing == []


def test_a_missing_folder_sync_is_caught(tmp_path: Path) -> None:
    missing = missing_after_cuts(tmp_path, "ext4", publish_without_folder_sync)

    assert missing != []


def test_a_missing_file_sync_is_caught(tmp_path: Path) -> None:
    missing = missing_after_cuts(tmp_path, "ext4", publish_without_file_sync)

    assert missing != []


def test_the_image_at_the_end_equals_the_disk(tmp_path: Path) -> None:
    with blockdev.block_device(tmp_path / "disk") as disk:
        publish(disk.path / "0", content(0))
    log = replay.BlockLog(disk.log)
    maker = replay.ImageMaker(disk.base, log, tmp_path)

    maker.image(replay.CutPoint(len(log.entries)), tmp_path / "end.img")

    assert (tmp_path / "end.img").read_bytes() == disk.image.read_bytes()


def test_a_torn_write_holds_only_its_first_sectors(tmp_path: Path) -> None:
    with blockdev.block_device(tmp_path / "disk") as disk:
        (disk.path / "0").write_bytes(b"n" * 65536)
        os.sync()
    log = replay.BlockLog(disk.log)
    number = next(
        at for at, entry in enumerate(log.entries)
        if entry.kind == "W" and log.payload(entry).startswith(b"n" * 4096)
    )
    start = log.entries[number].offset
    maker = replay.ImageMaker(disk.base, log, tmp_path)

    image = maker.image(replay.CutPoint(number, torn_bytes=1024), tmp_path / "torn.img")

    assert image.read_bytes()[start : start + 2048] == b"n" * 1024 + bytes(1024)


def missing_after_cuts(
    folder: Path, kind: str, store: Callable[[Path, bytes], None]
) -> list[tuple[int, str]]:
    """(cut, file) of acknowledged files that a cut at one of a sample of moments has lost."""
    with blockdev.block_device(folder / "disk", kind) as disk:
        for number in range(FILES):
            store(disk.path / str(number), content(number))
            disk.mark(str(number))
    log = replay.BlockLog(disk.log)
    maker = replay.ImageMaker(disk.base, log, folder)
    chooser = random.Random(7)
    first = next(at for at, entry in enumerate(log.entries) if entry.kind == "M")
    points = [point for point in log.prefixes() + log.reordered(chooser) if point.upto > first]
    sample = sorted(chooser.sample(points, min(12, len(points))), key=lambda point: point.upto)
    missing = []
    for point in sample:
        image = maker.image(point, folder / "cut.img")
        with mounts.mounted_image(image, folder / "cut") as root:
            missing += [
                (point.upto, mark)
                for mark in log.marks(point.upto)
                if not intact(root / mark, content(int(mark)))
            ]
    return missing


def intact(file: Path, expected: bytes) -> bool:
    return file.exists() and file.read_bytes() == expected


def content(number: int) -> bytes:
    return random.Random(number).randbytes(20_000)


def publish(target: Path, data: bytes, *, sync_file: bool = True, sync_name: bool = True) -> None:
    """Temporary, sync, rename, sync of the folder: nothing of the product."""
    part = target.with_suffix(".part")
    with part.open("wb") as handle:
        handle.write(data)
        handle.flush()
        if sync_file:
            os.fsync(handle.fileno())
    part.rename(target)
    if sync_name:
        blockdev.sync_folder(target.parent)


def publish_without_folder_sync(target: Path, data: bytes) -> None:
    publish(target, data, sync_name=False)


def publish_without_file_sync(target: Path, data: bytes) -> None:
    publish(target, data, sync_file=False)
