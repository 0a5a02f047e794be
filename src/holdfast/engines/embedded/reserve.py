"""Room that is kept free on the members of the commit log, so that `rm` works on a full store.

Each member holds a preallocated file `log/reserve`. A write of the log that finds the disk full
takes a step of it and tries again; from then on the store takes nothing new until what was freed
has filled the reserve again. Only the log may spend it: pieces and segments never do.

Where several members lie on one disk the reserve is made when that disk is nearly full, and not at
once: such a store is a trial, and its disk is somebody's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from holdfast.engines.embedded import log_file
from holdfast.kit import clock

T = TypeVar("T")

NAME = "reserve"
BYTES_MAX = 64 << 20
SHARE_OF_DISK = 64  # never more than this part of the file system
STEPS = 64  # in which it is spent
NEARLY_FULL = 16  # a shared disk with less free than so many reserves is nearly full
BELIEVED_S = 1.0  # how long a look at the reserves is believed
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Reserve:
    """The reserves of one log. Thread-safe; files are shared with other processes."""

    def __init__(self, roots: Mapping[int, Path], majority: int) -> None:
        self._roots = roots
        self._majority = majority
        self._looked: tuple[float, bool] = (-1.0, False)
        self._lock = threading.Lock()

    def short(self) -> bool:
        """Must nothing new be taken? Looks, makes what is missing, and believes it for a second."""
        with self._lock:
            when, found = self._looked
            now = clock.SYSTEM.monotonic_s()
            if when < 0 or now - when > BELIEVED_S:
                found = self._fill()
                self._looked = (now, found)
            return found

    def refill(self) -> None:
        """Space was freed: take the reserves back first."""
        with self._lock:
            self._looked = (clock.SYSTEM.monotonic_s(), self._fill())

    def spending(self, number: int, write: Callable[[], T]) -> T:
        """Run a write of the log on a member; while its disk is full, spend of its reserve."""
        while True:
            try:
                return write()
            except OSError as error:
                if error.errno not in _FULL or not _spend(self._roots[number]):
                    raise
                self._looked = (-1.0, False)

    def _fill(self) -> bool:
        """Make or refill every reserve that is wanted; True when too few are whole."""
        devices: Counter[int] = Counter()
        for root in self._roots.values():
            with contextlib.suppress(OSError):
                devices[os.stat(root).st_dev] += 1
        whole = 0
        for root in self._roots.values():
            with contextlib.suppress(OSError):
                whole += _filled(root, devices)
        return whole < min(self._majority, len(self._roots))


def bytes_for(root: Path) -> int:
    """How much is kept on the disk of a member. Raises OSError."""
    space = os.statvfs(root)
    return min(BYTES_MAX, space.f_blocks * space.f_frsize // SHARE_OF_DISK)


def _filled(root: Path, devices: Counter[int]) -> bool:
    """Is the reserve whole, or not wanted yet?"""
    path = log_file.folder_of(root) / NAME
    size = bytes_for(root)
    try:
        have = os.stat(path).st_blocks * 512
    except FileNotFoundError:
        space = os.statvfs(root)
        free = space.f_bavail * space.f_frsize
        if devices[os.stat(root).st_dev] > 1 and free > size * NEARLY_FULL:
            return True
        have = 0
    if have >= size:
        return True
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        return error.errno not in _FULL  # a disk that cannot keep one is no fuller for that
    else:
        return True
    finally:
        os.close(descriptor)


def _spend(root: Path) -> bool:
    """Free a step of the reserve; False when nothing is left of it."""
    path = log_file.folder_of(root) / NAME
    try:
        left = os.stat(path).st_size
        if left:
            os.truncate(path, max(0, left - max(bytes_for(root) // STEPS, 64 << 10)))
    except OSError:
        return False
    return left > 0
