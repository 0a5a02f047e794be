"""kit.atomic keeps its word when the power of a real file system is cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.kit import atomic
from tests.support import need, shutdown
from tests.support.shutdown import Cut

pytestmark = [*need.root("losetup", "mkfs.ext4", "mkfs.xfs"), pytest.mark.fault]


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[shutdown.PowerCut]:
    with shutdown.power_cut(tmp_path / "disk", request.param) as one:
        yield one


@pytest.mark.parametrize("how", Cut)
def test_a_replaced_file_survives_a_power_cut(disk: shutdown.PowerCut, how: Cut) -> None:
    atomic.write_file(disk.path / "file", b"old" * 5000, point="test")
    atomic.write_file(disk.path / "file", b"new" * 5000, point="test")

    disk.cut(how)
    disk.power_back()

    assert (disk.path / "file").read_bytes() == b"new" * 5000


@pytest.mark.parametrize("how", Cut)
def test_a_file_in_a_new_folder_survives_a_power_cut(disk: shutdown.PowerCut, how: Cut) -> None:
    atomic.make_folder(disk.path / "folder", point="test")
    atomic.write_file(disk.path / "folder" / "file", b"content", point="test")

    disk.cut(how)
    disk.power_back()

    assert (disk.path / "folder" / "file").read_bytes() == b"content"


def test_a_replacement_that_is_interrupted_leaves_the_old_content(
    disk: shutdown.PowerCut,
) -> None:
    atomic.write_file(disk.path / "file", b"old", point="test")

    with (
        pytest.raises(OSError, match="Input/output error"),
        atomic.replacing(disk.path / "file", point="test") as descriptor,
    ):
        atomic.write(descriptor, b"half of the ne", 0, point="test")
        disk.cut(Cut.LOG_FLUSHED)
    disk.power_back()

    assert (disk.path / "file").read_bytes() == b"old"
