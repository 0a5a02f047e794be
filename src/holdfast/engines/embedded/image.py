"""Images of the index on the members of the log, so that the log can be cut and still tell all.

An image is a file `image-<sequence>.img` beside the log files: a 4 KiB header, then the bytes of a
SQLite database. It is written to every active member, read back and compared, and only then named
in the log; log files before the *previous* image go away after that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import blake3

from holdfast.engines.embedded import commit_log, index, log_file
from holdfast.kit import atomic, ids

MAGIC = b"HFINDIMG"
MAJOR, MINOR = 1, 0
HEADER_BYTES = 4096
_HEADER = struct.Struct("<8sHHI16sQ32sQ32s")  # magic, format, store, sequence, chain, size, digest
_STEP = 1 << 20
_KEEP = 2


def take(
    log: commit_log.CommitLog, connection: apsw.Connection, folder: Path,
    position: tuple[int, bytes],
) -> None:
    """Store the index as it stands at `position` on every active member. Raises OSError."""
    scratch = folder / f"image-{ids.new_number():x}.tmp"
    try:
        connection.execute("VACUUM INTO ?", (str(scratch),))
        size, digest = scratch.stat().st_size, _digest_of(scratch, 0)
        header = _HEADER.pack(MAGIC, MAJOR, MINOR, 0, log.store, position[0], position[1], size,
                              digest)
        for number in log.active:
            _store(log.root_of(number), position[0], header, scratch)
        for number in log.active:
            path = _path(log.root_of(number), position[0])
            if _digest_of(path, HEADER_BYTES) != digest:
                raise OSError(f"{path} does not read back as it was written")
    finally:
        scratch.unlink(missing_ok=True)
    log.image = (position[0], digest.hex(), size)
    images = sorted({number for root in log.roots() for number in _numbers(root)})
    kept = images[-_KEEP:]
    if len(kept) == _KEEP:
        log.truncate(kept[0] + 1)
    for root in log.roots():
        for number in _numbers(root):
            if number not in kept:
                atomic.remove(_path(root, number), point="image.remove")


def load_newest(log: commit_log.CommitLog, target: Path) -> bool:
    """Copy the newest whole image into the empty index at `target`. False: there is none."""
    connection = index.Index(target).writer()
    try:
        return load_newest_into(log, connection)
    finally:
        connection.close()


def load_newest_into(log: commit_log.CommitLog, connection: apsw.Connection) -> bool:
    candidates = sorted(
        ((number, root) for root in log.roots() for number in _numbers(root)), reverse=True,
        key=lambda one: one[0],
    )
    for number, root in candidates:
        path = _path(root, number)
        sound = _check(path, log.store)
        if sound is None:
            continue
        with _unpacked(path) as plain:
            copy_into(plain, connection)
        index.set_meta(connection, sequence=sound[0], chain=sound[1])
        return True
    return False


def copy_into(source: Path, connection: apsw.Connection) -> bool:
    """Fill an open database with the contents of another file. False: it is damaged."""
    try:
        opened = index.Index(source)
        with opened.reading() as reading:
            index.get_meta(reading)
            with connection.backup("main", reading, "main") as backup:
                while not backup.done:
                    backup.step(1000)
        opened.close()
    except (index.DamagedIndexError, index.StaleIndexError, apsw.Error):
        return False
    return True


def _store(root: Path, sequence: int, header: bytes, source: Path) -> None:
    path = _path(root, sequence)
    with atomic.replacing(path, point="image") as descriptor, source.open("rb") as file:
        atomic.write(descriptor, header + bytes(HEADER_BYTES - len(header)), 0, point="image.head")
        offset = HEADER_BYTES
        while data := file.read(_STEP):
            atomic.write(descriptor, data, offset, point="image.write")
            offset += len(data)


def _check(path: Path, store: bytes) -> tuple[int, bytes] | None:
    """(sequence, chain) of a whole image of this store, or None."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEADER.size)
        magic, major, _, _, of_store, sequence, chain, size, digest = _HEADER.unpack(data)
        whole = path.stat().st_size == HEADER_BYTES + size
        if magic != MAGIC or major != MAJOR or of_store != store or not whole:
            return None
        if _digest_of(path, HEADER_BYTES) != digest:
            return None
    except (OSError, struct.error):
        return None
    return sequence, chain


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The database inside an image, as a file of its own for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="holdfast-image-") as folder:
        plain = Path(folder) / "index.db"
        with path.open("rb") as source, plain.open("wb") as target:
            source.seek(HEADER_BYTES)
            shutil.copyfileobj(source, target, _STEP)
        yield plain


def _digest_of(path: Path, offset: int) -> bytes:
    hasher = blake3.blake3()
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(_STEP):
            hasher.update(data)
    return hasher.digest()


def _path(root: Path, sequence: int) -> Path:
    return log_file.folder_of(root) / f"image-{sequence:016x}.img"


def _numbers(root: Path) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for entry in os.listdir(log_file.folder_of(root)):
            if entry.startswith("image-") and entry.endswith(".img"):
                with contextlib.suppress(ValueError):
                    found.append(int(entry[6:-4], 16))
    return sorted(found)
