"""What a disk would hold had its power gone at any moment: images made from a block log.

A drive may have written what it was given since the last finished flush in any order, or not at
all, and may have torn the last write between sectors. `ImageMaker.image` builds each such image.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Iterator
from pathlib import Path

from tests.support import mounts
from tests.support.blockdev_daemon import LOG_HEADER

SECTOR_BYTES = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; the payload stays in the file at `position`."""

    kind: str
    offset: int
    length: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True)
class CutPoint:
    """Power goes after entry `upto` - 1.

    `torn_bytes` of entry `upto` made it; the writes in `lost`, all after the last flush, did not.
    """

    upto: int
    torn_bytes: int = 0
    lost: frozenset[int] = frozenset()


class BlockLog:
    """The log of a disk, read after the fact."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = tuple(_entries(path))

    def payload(self, entry: Entry) -> bytes:
        with self.path.open("rb") as file:
            file.seek(entry.position)
            return file.read(entry.length)

    def marks(self, upto: int) -> list[str]:
        """What the test had seen acknowledged before entry `upto`."""
        return [
            self.payload(entry).decode() for entry in self.entries[:upto] if entry.kind == "M"
        ]

    def last_flush(self, upto: int) -> int:
        """The number of entries that are certainly on the disk at `upto`."""
        flushes = [number for number in range(upto) if self.entries[number].kind == "F"]
        return flushes[-1] + 1 if flushes else 0

    def prefixes(self) -> list[CutPoint]:
        """A cut after every write and flush."""
        return [
            CutPoint(number + 1)
            for number, entry in enumerate(self.entries)
            if entry.kind in ("W", "F")
        ]

    def torn(self, chooser: random.Random) -> list[CutPoint]:
        """A cut inside every write that is longer than a sector."""
        return [
            CutPoint(number, SECTOR_BYTES * chooser.randrange(1, entry.length // SECTOR_BYTES))
            for number, entry in enumerate(self.entries)
            if entry.kind == "W" and entry.length >= 2 * SECTOR_BYTES
        ]

    def reordered(self, chooser: random.Random) -> list[CutPoint]:
        """A cut before every flush, with a random half of the unflushed writes missing."""
        points = []
        for number, entry in enumerate(self.entries):
            first = self.last_flush(number)
            pending = [at for at in range(first, number) if self.entries[at].kind == "W"]
            if entry.kind == "F" and len(pending) > 1:
                lost = frozenset(at for at in pending if chooser.random() < 0.5)
                points.append(CutPoint(number, lost=lost))
        return points


class ImageMaker:
    """Images at cut points. Ascending points are cheap: the part that is certain is kept."""

    def __init__(self, base: Path, log: BlockLog, folder: Path) -> None:
        self._base = base
        self._log = log
        self._certain = folder / "certain.img"
        self._position = 0
        mounts.copy_image(base, self._certain)

    def image(self, point: CutPoint, target: Path) -> Path:
        """Write the image at `point` to `target`."""
        flushed = self._log.last_flush(point.upto)
        if flushed < self._position:
            mounts.copy_image(self._base, self._certain)
            self._position = 0
        self._apply(self._certain, range(self._position, flushed))
        self._position = flushed
        mounts.copy_image(self._certain, target)
        kept = (at for at in range(flushed, point.upto) if at not in point.lost)
        self._apply(target, kept)
        if point.torn_bytes:
            torn = self._log.entries[point.upto]
            _write(target, torn.offset, self._log.payload(torn)[: point.torn_bytes])
        return target

    def _apply(self, image: Path, numbers: Iterator[int] | range) -> None:
        for number in numbers:
            entry = self._log.entries[number]
            if entry.kind == "W":
                _write(image, entry.offset, self._log.payload(entry))


def _write(image: Path, offset: int, data: bytes) -> None:
    descriptor = os.open(image, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def _entries(path: Path) -> Iterator[Entry]:
    position = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        while position + LOG_HEADER.size <= size:
            file.seek(position)
            kind, offset, length = LOG_HEADER.unpack(file.read(LOG_HEADER.size))
            yield Entry(kind.decode(), offset, length, position + LOG_HEADER.size)
            position += LOG_HEADER.size + length
