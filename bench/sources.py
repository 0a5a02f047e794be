"""Data to store: bytes that cost nothing to produce, and trees of small files."""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORD_BYTES = 4096
FOLDER_FILES = 1000
_BLOCK_BYTES = 4 << 20


class Repeated(io.RawIOBase):
    """`size` incompressible bytes, a block of 4 MiB again and again: one copy in memory."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__()
        self._block = _block()
        self._left = size
        self._at = seed * 4096 % _BLOCK_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), self._left, _BLOCK_BYTES - self._at)
        view[:count] = self._block[self._at : self._at + count]
        self._at = (self._at + count) % _BLOCK_BYTES
        self._left -= count
        return count


@functools.cache
def _block() -> memoryview:
    return memoryview(random.Random(1).randbytes(_BLOCK_BYTES))


class _Names(Sequence[str]):
    """The names of a tree without a list of them in memory."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return f"{number // FOLDER_FILES:05d}/{number % FOLDER_FILES:03d}"


def tree_files(count: int) -> Sequence[str]:
    """Relative names of the files of a tree: 1,000 in each folder."""
    return _Names(count)


def make_tree(folder: Path, count: int) -> Path:
    """A tree of `count` files of 4 KiB, each different."""
    chooser = random.Random(count)
    for number, name in enumerate(tree_files(count)):
        file = folder / name
        if number % FOLDER_FILES == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(chooser.randbytes(RECORD_BYTES))
    return folder
