"""The table of what a power cut leaves, for each file system and each kind of cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import need, shutdown
from tests.support.shutdown import Cut

pytestmark = [*need.root("losetup", "mkfs.ext4", "mkfs.xfs"), pytest.mark.fault]

CONTENT = b"durable " * 1000


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[shutdown.PowerCut]:
    with shutdown.power_cut(tmp_path / "disk", request.param) as one:
        yield one


@pytest.mark.parametrize("how", Cut)
def test_a_synced_file_in_a_synced_folder_survives(disk: shutdown.PowerCut, how: Cut) -> None:
    write(disk.path / "kept", sync=True)
    sync_folder(disk.path)

    disk.cut(how)
    disk.power_back()

    assert (disk.path / "kept").read_bytes() == CONTENT


@pytest.mark.parametrize(("how", "left"), [(Cut.LOG_LOST, None), (Cut.LOG_FLUSHED, b"")])
def test_a_file_that_was_never_synced_loses_its_content(
    disk: shutdown.PowerCut, how: Cut, left: bytes | None
) -> None:
    write(disk.path / "unsynced", sync=False)

    disk.cut(how)
    disk.power_back()

    file = disk.path / "unsynced"
    assert (file.read_bytes() if file.exists() else None) == left


@pytest.mark.parametrize(("how", "name"), [(Cut.LOG_LOST, "old"), (Cut.LOG_FLUSHED, "new")])
def test_a_rename_without_a_folder_sync_may_be_undone(
    disk: shutdown.PowerCut, how: Cut, name: str
) -> None:
    write(disk.path / "old", sync=True)
    sync_folder(disk.path)
    os.rename(disk.path / "old", disk.path / "new")

    disk.cut(how)
    disk.power_back()

    assert sorted(file.name for file in disk.path.iterdir() if file.is_file()) == [name]


def test_after_the_cut_every_access_fails(disk: shutdown.PowerCut) -> None:
    disk.cut(Cut.LOG_LOST)

    with pytest.raises(OSError, match="Input/output error"):
        write(disk.path / "late", sync=True)


def test_nothing_stays_mounted_when_the_test_fails(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), shutdown.power_cut(tmp_path / "disk"):
        raise ZeroDivisionError

    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(tmp_path.glob("*.img")) == []


def write(file: Path, *, sync: bool) -> None:
    with file.open("wb") as handle:
        handle.write(CONTENT)
        handle.flush()
        if sync:
            os.fsync(handle.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
