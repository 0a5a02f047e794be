"""A power cut at the file system: the shutdown ioctl of ext4 and XFS on a loop mount.

What the kernel had not written is lost; what was synced stays. It models the kernel's cache, not a
drive's, and cannot tear a write: for that see `blockdev`.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from tests.support import mounts

# _IOR('X', 125, u32): EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN are one number.
_SHUTDOWN = 0x8004587D


class Cut(enum.Enum):
    """Whether the file system's own log reaches the disk before the cut."""

    LOG_FLUSHED = 1
    LOG_LOST = 2


class PowerCut:
    """A mounted file system that can lose its power and get it back."""

    def __init__(self, folder: Path, kind: str, size_bytes: int | None = None) -> None:
        self.path = folder
        self._image = folder.with_name(folder.name + ".img")
        self._mount = contextlib.ExitStack()
        mounts.make_image(self._image, kind, size_bytes)

    def power_on(self) -> None:
        """Mount read-write; the journal is replayed."""
        self._mount.enter_context(mounts.mounted_image(self._image, self.path))

    def cut(self, how: Cut) -> None:
        """From now on every access fails with EIO, until the power is back."""
        cut(self.path, how)

    def power_back(self) -> None:
        self._mount.close()
        self.power_on()

    def close(self) -> None:
        self._mount.close()
        self._image.unlink(missing_ok=True)


def cut(folder: Path, how: Cut) -> None:
    """Shut the file system of `folder` down, as a disk that is pulled out."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", how.value))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def power_cut(
    folder: Path, kind: str = "ext4", size_bytes: int | None = None
) -> Iterator[PowerCut]:
    """A fresh file system at `folder` whose power can be cut; gone afterwards."""
    one = PowerCut(folder, kind, size_bytes)
    try:
        one.power_on()
        yield one
    finally:
        one.close()
