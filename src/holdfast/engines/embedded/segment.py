"""The format of segments: append-only files of small objects, the same bytes on every copy.

A file is a 4 KiB header, then records: a fixed head, the content, the path it was put under (for a
disaster), padding to 8 bytes. The content's checksum is seeded with the segment and the position,
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
HEAD_BYTES = _RECORD.size


class Record(NamedTuple):
    """A record found by a scan."""

    position: int
    end: int
    path: str
    content: bytes


def file_name(segment: int) -> str:
    return f"{segment:016x}.seg"


def pack_header(store: bytes, segment: int, dataset: int, node: bytes) -> bytes:
    body = _HEADER.pack(MAGIC, MAJOR, MINOR, FEATURES, store, segment, dataset, node)
    body += bytes(HEADER_BYTES - checksum.DIGEST_BYTES - len(body))
    return body + checksum.digest(body)


def check_header(data: bytes, store: bytes, segment: int) -> bool:
    """Is it the header of this segment? Raises RefusedError for a later format."""
    if len(data) < HEADER_BYTES or data[:8] != MAGIC:
        return False
    body = data[: HEADER_BYTES - checksum.DIGEST_BYTES]
    if checksum.digest(body) != data[len(body) : HEADER_BYTES]:
        return False
    _, major, _, features, of_store, number, _, _ = _HEADER.unpack_from(body)
    if major != MAJOR or features & ~FEATURES:
        raise errors.RefusedError(
            "format.newer_segment", "a segment has format {major} (features {features}); this "
            "release reads format {mine}", major=major, features=features, mine=MAJOR,
            hint="use the holdfast release that wrote it, or a newer one",
        )
    return bool(of_store == store and number == segment)


def stored_bytes(size: int, path: bytes) -> int:
    """What a record takes in the file."""
    return -(-(HEAD_BYTES + size + len(path)) // ALIGN) * ALIGN


def pack(store: bytes, segment: int, position: int, content: bytes, path: bytes) -> list[bytes]:
    """The parts of a record, to be written one after the other at `position`."""
    own = _content_checksum(store, segment, position, content)
    head = _RECORD.pack(RECORD_MAGIC, len(content), len(path), 0, 0, own, 0)[:-8]
    head += struct.pack("<Q", xxhash.xxh3_64_intdigest(head + path, seed=position))
    padding = stored_bytes(len(content), path) - HEAD_BYTES - len(content) - len(path)
    return [head, content, path, bytes(padding)]


def content_of(
    data: bytes, store: bytes, segment: int, position: int, size: int
) -> bytes | None:
    """The verified content of a record, given its first HEAD_BYTES + size bytes; None: damaged."""
    if len(data) < HEAD_BYTES + size:
        return None
    magic, found, _, _, _, own, _ = _RECORD.unpack_from(data)
    if magic != RECORD_MAGIC or found != size:
        return None
    content = data[HEAD_BYTES : HEAD_BYTES + size]
    return content if _content_checksum(store, segment, position, content) == own else None


def scan(data: bytes, store: bytes, segment: int, start: int) -> list[Record]:
    """The records of `data`, which begins at position `start` of the segment, up to damage."""
    found = []
    at = 0
    while at + HEAD_BYTES <= len(data):
        magic, size, path_bytes, _, _, _, own = _RECORD.unpack_from(data, at)
        end = at + -(-(HEAD_BYTES + size + path_bytes) // ALIGN) * ALIGN
        if magic != RECORD_MAGIC or end > len(data):
            break
        path = data[at + HEAD_BYTES + size : at + HEAD_BYTES + size + path_bytes]
        head = data[at : at + HEAD_BYTES - 8]
        content = content_of(data[at:end], store, segment, start + at, size)
        sound = xxhash.xxh3_64_intdigest(head + path, seed=start + at) == own
        if content is None or not sound:
            break
        found.append(Record(start + at, start + end, path.decode(errors="replace"), content))
        at = end
    return found


def _content_checksum(store: bytes, segment: int, position: int, content: bytes) -> bytes:
    identity = store + struct.pack("<Q", segment)
    return checksum.block_checksum(content, identity, position)
