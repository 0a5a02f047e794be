"""One piece as a file of a node: written under a temporary name and published whole, or read.

Everything here that touches the disk is called inside the node's threads. A descriptor is closed by
whoever uses it last, so that an operation that hung can never write to or read from another file.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from holdfast.engines.embedded import node, piece
from holdfast.kit import atomic, buffers, checksum


class SharedDescriptor:
    """A file descriptor that is closed when it was given up and nobody uses it any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._users = 1

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        """Raises OSError when it is closed."""
        with self._lock:
            if self._users == 0:
                raise OSError("the file is closed")
            self._users += 1
        try:
            yield self._descriptor
        finally:
            self._leave()

    def close(self) -> None:
        """Called once, by the owner."""
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            os.close(self._descriptor)


class NewPiece:
    """A piece on its way to a node: `create`, `write` and `read` in any order, then `finish`."""

    def __init__(self, disk: node.NodeDisk, group: int, name: str, identity: bytes) -> None:
        self.disk = disk
        self._group = group
        self._name = name
        self._identity = identity
        self._temporary = disk.root / "tmp" / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        self._published: Path | None = None
        self._file: SharedDescriptor | None = None
        self._checksums: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._given_up = False

    def create(self) -> None:
        with self._lock:
            self._check_wanted()
            self._file = SharedDescriptor(self.disk.create(self._temporary))

    def write(self, parts: Sequence[memoryview], start: int) -> None:
        """Write a part of the body that starts and, but for the last, ends at whole blocks."""
        first_block = start // checksum.BLOCK_BYTES
        self._checksums[start] = _checksums(parts, self._identity, first_block)
        with self._open_file().use() as descriptor:
            self.disk.write(descriptor, parts, piece.BODY_AT + start, point="piece.body")

    def read(self, parts: Sequence[memoryview], start: int) -> None:
        """Read back and verify a part of the body, at whole blocks. Raises PieceDamaged."""
        with self._open_file().use() as descriptor:
            _read_parts(descriptor, parts, piece.BODY_AT + start)
        _verify(parts, self._identity, start, self._all_checksums())

    def finish(self, header: piece.Header) -> None:
        """Make it durable and publish it under its name. All of the body was written."""
        packed = piece.pack_header(header)
        trailer = piece.pack_trailer(self._identity, self._all_checksums())
        end_at = piece.trailer_at(header.body_bytes)
        with self._open_file().use() as descriptor:
            self.disk.write(descriptor, [_aligned(packed)], 0, point="piece.header")
            tail = _aligned(trailer + packed)
            self.disk.write(descriptor, [tail], end_at, point="piece.trailer")
            self.disk.sync(descriptor, point="piece.sync")
        self._publish()

    def abandon(self) -> None:
        """Remove what there is of it, under whichever name."""
        with self._lock:
            self._given_up = True
            self._close()
            atomic.remove(self._temporary, point="piece.abandon")
            if self._published is not None:
                atomic.remove(self._published, point="piece.abandon")

    def close(self) -> None:
        """After `finish`: it is not read back any more."""
        with self._lock:
            self._close()

    def _publish(self) -> None:
        folder = self.disk.group_folder(self._group)
        with self._lock:
            self._check_wanted()
            self.disk.check_sentinel()
            self._published = folder / self._name
            atomic.publish(self._temporary, self._published, point="piece.publish")
        self.disk.sync_folder(folder, point="piece.sync_folder")

    def _check_wanted(self) -> None:
        if self._given_up:
            raise node.NodeFailed("node.given_up", self.disk.number)

    def _open_file(self) -> SharedDescriptor:
        file = self._file
        if file is None:
            raise node.NodeFailed("node.given_up", self.disk.number)
        return file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _all_checksums(self) -> bytes:
        return b"".join(self._checksums[start] for start in sorted(self._checksums))


class StoredPiece:
    """A published piece, opened when it is first read. The commit record says how long it is."""

    def __init__(self, disk: node.NodeDisk, path: Path, identity: bytes, body_bytes: int) -> None:
        self.disk = disk
        self.path = path
        self._identity = identity
        self._body_bytes = body_bytes
        self._lock = threading.Lock()
        self._file: SharedDescriptor | None = None
        self._checksums = b""
        self._closed = False

    def read(self, parts: Sequence[memoryview], start: int) -> None:
        """Read a part of the body that starts and ends at whole blocks, and verify it.

        Raises PieceDamaged, OSError.
        """
        with self._opened().use() as descriptor:
            _read_parts(descriptor, parts, piece.BODY_AT + start)
        _verify(parts, self._identity, start, self._checksums)

    def read_header(self) -> piece.Header:
        """The header, or its copy when the first is damaged."""
        with self._opened().use() as descriptor:
            try:
                return piece.parse_header(os.pread(descriptor, piece.HEADER_BYTES, 0))
            except piece.PieceDamaged:
                at = piece.file_length(self._body_bytes) - piece.HEADER_BYTES
                return piece.parse_header(os.pread(descriptor, piece.HEADER_BYTES, at))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def _opened(self) -> SharedDescriptor:
        with self._lock:
            if self._closed:
                raise OSError("the piece is closed")
            if self._file is None:
                self._file = self._open()
            return self._file

    def _open(self) -> SharedDescriptor:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._checksums = self._read_trailer(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return SharedDescriptor(descriptor)

    def _read_trailer(self, descriptor: int) -> bytes:
        if os.fstat(descriptor).st_size != piece.file_length(self._body_bytes):
            raise piece.PieceDamaged("piece.length")
        size = piece.trailer_bytes(self._body_bytes)
        raw = os.pread(descriptor, size, piece.trailer_at(self._body_bytes))
        blocks = -(-self._body_bytes // checksum.BLOCK_BYTES)
        return piece.parse_trailer(raw, self._identity, blocks)


def _checksums(parts: Sequence[memoryview], identity: bytes, first_block: int) -> bytes:
    found = []
    for part in parts:
        found.append(checksum.body_checksums(part, identity, first_block))
        first_block += -(-part.nbytes // checksum.BLOCK_BYTES)
    return b"".join(found)


def _verify(parts: Sequence[memoryview], identity: bytes, start: int, checksums: bytes) -> None:
    first_block = start // checksum.BLOCK_BYTES
    found = _checksums(parts, identity, first_block)
    at = first_block * checksum.CHECKSUM_BYTES
    if checksums[at : at + len(found)] != found:
        raise piece.PieceDamaged("piece.checksum")


def _read_parts(descriptor: int, parts: Sequence[memoryview], offset: int) -> None:
    """Fill all parts. Raises PieceDamaged (`piece.length`) at the end of the file."""
    left = list(parts)
    while left:
        count = os.preadv(descriptor, left, offset)
        if count == 0:
            raise piece.PieceDamaged("piece.length")
        offset += count
        left = node.after(left, count)


def _aligned(data: bytes) -> memoryview:
    """A copy in memory that O_DIRECT accepts."""
    pages = memoryview(mmap.mmap(-1, buffers.round_up(len(data))))[: len(data)]
    pages[:] = data
    return pages
