"""Images of the index on the members of the log, so that the log can be cut and still tell all.

An image is a file `image-<sequence>.img` beside the log files: a 4 KiB header, then the bytes of a
SQLite database. It is written to the active members, read back and compared, and only then named
in the header of a new log file; log files before the *previous* image go away after that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
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


def take(
    log: commit_log.CommitLog, connection: apsw.Connection, folder: Path,
    position: tuple[int, bytes],
) -> None:
    """Store the index as it stands at `position` on the log's members, then name it in the log.

    Raises OSError, apsw.Error, or what `begin_file` raises; the image before stays then.
    """
    scratch = folder / f"image-{ids.new_number():x}.tmp"
    for old in folder.glob("image-*.tmp"):
        old.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(scratch),))
        size, digest = scratch.stat().st_size, _digest_of(scratch, 0)
        header = _HEADER.pack(MAGIC, MAJOR, MINOR, 0, log.store, position[0], position[1], size,
                              digest)
        jobs = [(number, _storer(log.root_of(number), position[0], header, scratch, digest))
                for number in log.active]
        failures = log.run(jobs)
    finally:
        scratch.unlink(missing_ok=True)
    if len(jobs) - len(failures) < log.majority:
        raise OSError("; ".join(str(error) for error in failures.values()))
    before = log.image[0]
    log.image_taken((position[0], digest.hex(), size))
    _let_go(log, kept={before, position[0]}, oldest=before)


def load_newest(log: commit_log.CommitLog, target: Path) -> bool:
    """Copy the newest whole image into the empty index at `target`. False: there is none."""
    connection = index.Index(target).writer()
    try:
        return load_newest_into(log, connection)
    finally:
        connection.close()


def load_newest_into(log: commit_log.CommitLog, connection: apsw.Connection) -> bool:
    """Fill an empty database from the newest image that is whole. False: there is none."""
    candidates = sorted(
        ((number, root) for root in log.roots() for number in _numbers(root)), reverse=True,
        key=lambda one: one[0],
    )
    for number, root in candidates:
        path = _path(root, number)
        if _is_whole(path, log.store) and _fill(connection, path):
            return True
    return False


def _fill(connection: apsw.Connection, path: Path) -> bool:
    try:
        with _unpacked(path) as plain, index.copied(plain) as source:
            index.fill(connection, source)
    except (index.DamagedIndexError, index.StaleIndexError, apsw.Error, OSError):
        return False
    return True


def _let_go(log: commit_log.CommitLog, *, kept: set[int], oldest: int) -> None:
    """Remove older images, and the log before the oldest that is kept."""
    if oldest:
        log.truncate(oldest + 1)
    for root in log.roots():
        for number in _numbers(root):
            if number not in kept:
                with contextlib.suppress(OSError):
                    atomic.remove(_path(root, number), point="image.remove")


def _storer(
    root: Path, sequence: int, header: bytes, source: Path, digest: bytes
) -> Callable[[], None]:
    def job() -> None:
        _store(root, sequence, header, source)
        path = _path(root, sequence)
        if _digest_of(path, HEADER_BYTES) != digest:
            raise OSError(f"{path} does not read back as it was written")

    return job


def _store(root: Path, sequence: int, header: bytes, source: Path) -> None:
    path = _path(root, sequence)
    with atomic.replacing(path, point="image") as descriptor, source.open("rb") as file:
        atomic.write(descriptor, header + bytes(HEADER_BYTES - len(header)), 0, point="image.head")
        offset = HEADER_BYTES
        while data := file.read(_STEP):
            atomic.write(descriptor, data, offset, point="image.write")
            offset += len(data)


def _is_whole(path: Path, store: bytes) -> bool:
    try:
        with path.open("rb") as file:
            data = file.read(_HEADER.size)
        magic, major, _, _, of_store, _, _, size, digest = _HEADER.unpack(data)
        whole = path.stat().st_size == HEADER_BYTES + size
        if magic != MAGIC or major != MAJOR or of_store != store or not whole:
            return False
        return bool(_digest_of(path, HEADER_BYTES) == digest)
    except (OSError, struct.error):
        return False


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
