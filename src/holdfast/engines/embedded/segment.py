"""The format of segments: append-only files of small objects, the same bytes on every copy.

A file is a 4 KiB header, then records: a fixed head, the content, the path it was put under (for a
disaster), zeros up to 8 bytes. The content's checksum is seeded with store, segment and position,
so that a misdirected write fails. A record in a segment is never a commit by itself.
docs/format/segment.md is the byte layout.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import xxhash

from holdfast import errors
from holdfast.kit import checksum

MAGIC = b"HFSEGMNT"
MAJOR, MINOR, FEATURES = 1, 0, 0
HEADER_BYTES = 4096
SEGMENT_BYTES_MAX = 256 << 20
SMALL_BYTES_MAX = 128 << 10
ALIGN = 8
RECORD_MAGIC = 0x31434552  # "REC1"

_HEADER = struct.Struct("<8sHHI16sQI16s")  # ..., store, segment, dataset, node uuid
_RECORD = struct.Struct("<IIHHI16sQ")  # magic, size, path length, flags, 0, checksum, own hash
_OWN = struct.Struct("<Q")
HEAD_BYTES = _RECORD.size
PATH_BYTES_READ = 512  # a record with a longer path takes a second read


class Record(NamedTuple):
    """A record found by a scan."""

    position: int
    end: int
    path: bytes
    content: bytes


def file_name(segment: int) -> str:
    return f"{segment:016x}.seg"


def pack_header(store: bytes, segment: int, dataset: int, node: bytes) -> bytes:
    body = _HEADER.pack(MAGIC, MAJOR, MINOR, FEATURES, store, segment, dataset, node)
    body += bytes(HEADER_BYTES - checksum.DIGEST_BYTES - len(body))
    return body + checksum.digest(body)


def is_header(data: bytes) -> bool:
    """Is it a whole header, of whichever segment?"""
    body = data[: HEADER_BYTES - checksum.DIGEST_BYTES]
    return data[:8] == MAGIC and checksum.digest(body) == data[len(body) : HEADER_BYTES]


def check_header(data: bytes, store: bytes, segment: int) -> bool:
    """Is it the header of this segment? Raises RefusedError for a later format."""
    if not is_header(data):
        return False
    _, major, _, features, of_store, number, _, _ = _HEADER.unpack_from(data)
    if major != MAJOR or features & ~FEATURES:
        raise errors.RefusedError(
            "format.newer_segment", "a segment has format {major} (features {features}); this "
            "release reads format {mine}", major=major, features=features, mine=MAJOR,
            hint="use the holdfast release that wrote it, or a newer one",
        )
    return bool(of_store == store and number == segment)


def stored_bytes(size: int, path: bytes) -> int:
    """What a record takes in the file."""
    return _padded(HEAD_BYTES + size + len(path))


def read_bytes(size: int) -> int:
    """How much to read of a record with `size` bytes of content, at first."""
    return HEAD_BYTES + size + PATH_BYTES_READ


def claimed_bytes(data: bytes, size: int) -> int:
    """How long a record with `size` bytes of content says it is: more than was read, read again."""
    if len(data) < HEAD_BYTES:
        return 0
    _, _, path_bytes, _, _, _, _ = _RECORD.unpack_from(data)
    return _padded(HEAD_BYTES + size + path_bytes)


def pack(store: bytes, segment: int, position: int, content: bytes, path: bytes) -> list[bytes]:
    """The parts of a record, to be written one after the other at `position`."""
    own = _content_checksum(store, segment, position, content)
    head = _RECORD.pack(RECORD_MAGIC, len(content), len(path), 0, 0, own, 0)[: -_OWN.size]
    head += _OWN.pack(_head_hash(head, path, position))
    padding = stored_bytes(len(content), path) - HEAD_BYTES - len(content) - len(path)
    return [head, content, path, bytes(padding)]


def content_of(
    data: bytes, store: bytes, segment: int, position: int, size: int
) -> bytes | None:
    """The content of the whole record at the start of `data`, verified; None: damaged."""
    record = record_at(data, 0, store, segment, position)
    return record.content if record is not None and len(record.content) == size else None


def scan(data: bytes, store: bytes, segment: int, start: int) -> list[Record]:
    """The records of `data`, which begins at position `start` of the segment, up to damage."""
    found = []
    at = 0
    while record := record_at(data, at, store, segment, start):
        found.append(record)
        at = record.end - start
    return found


def record_at(
    data: bytes, at: int, store: bytes, segment: int, start: int
) -> Record | None:
    """The whole record at `at` of `data`, which begins at position `start`; None: damaged."""
    if at + HEAD_BYTES > len(data):
        return None
    magic, size, path_bytes, _, _, own, _ = _RECORD.unpack_from(data, at)
    end = at + _padded(HEAD_BYTES + size + path_bytes)
    if magic != RECORD_MAGIC or end > len(data):
        return None
    content = data[at + HEAD_BYTES : at + HEAD_BYTES + size]
    if _content_checksum(store, segment, start + at, content) != own:
        return None
    path = _path_of(data, at, start + at)
    if path is None:
        return None
    return Record(start + at, start + end, path, content)


def _path_of(data: bytes, at: int, position: int) -> bytes | None:
    """The path of the record at `at` when head, path and padding are sound."""
    _, size, path_bytes, _, _, _, own = _RECORD.unpack_from(data, at)
    begin = at + HEAD_BYTES + size
    path = data[begin : begin + path_bytes]
    padding = data[begin + path_bytes : at + _padded(begin + path_bytes - at)]
    if any(padding):
        return None
    head = data[at : at + HEAD_BYTES - _OWN.size]
    return path if _head_hash(head, path, position) == own else None


def _head_hash(head: bytes, path: bytes, position: int) -> int:
    return xxhash.xxh3_64_intdigest(head + path, seed=position)


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _content_checksum(store: bytes, segment: int, position: int, content: bytes) -> bytes:
    identity = store + struct.pack("<Q", segment)
    return checksum.block_checksum(content, identity, position)
