"""The files of the commit log: their names, header and frames as bytes.

A file is `<epoch>-<first sequence>-<nonce>.log`: a 4 KiB header, then frames. Each frame carries a
batch of records, its own checksum and the chain hash BLAKE3(previous chain ‖ sequence ‖ payload).
The checksum is seeded with the file's nonce, so that no user's content and no frame of another
file can pass for a frame. The same file is byte-identical on every member.
docs/format/commit-log.md is the byte layout.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import NamedTuple

import msgpack
import xxhash

from holdfast import errors
from holdfast.kit import checksum

MAGIC = b"HFCOMLOG"
MAJOR, MINOR = 1, 0
FEATURES = 0
HEADER_BYTES = 4096
FRAME_MAGIC = 0x314D5246  # "FRM1"
FRAME_BYTES_MAX = 256 << 20
ALIGN = 8
GENESIS = bytes(32)  # the chain before the first frame

_FIXED = struct.Struct("<8sHHI16sQQQ32sI")  # ..., store, epoch, nonce, first, chain, extra length
_FRAME = struct.Struct("<IIQQ32s")
_HASH_BYTES = 32
_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{16})\.log")
_U64 = (1 << 64) - 1


class Name(NamedTuple):
    """Sorts in the order in which files follow each other."""

    epoch: int
    first: int
    nonce: int

    def __str__(self) -> str:
        return f"{self.epoch:016x}-{self.first:016x}-{self.nonce:016x}.log"


class Header(NamedTuple):
    """`members`: all nodes of the log; `active`: those that this file is written to.
    `image`: sequence, BLAKE3 and size of the newest image when the file was begun (0, "", 0)."""

    store: bytes
    name: Name
    chain: bytes
    members: tuple[int, ...]
    active: tuple[int, ...]
    tolerated: int
    image: tuple[int, str, int]


class Frame(NamedTuple):
    """A batch of records; `end` is the offset behind it in its file."""

    sequence: int
    chain: bytes
    payload: bytes
    end: int


def parse_name(text: str) -> Name | None:
    found = _NAME.fullmatch(text)
    return Name(*(int(part, 16) for part in found.groups())) if found else None


def pack_header(header: Header) -> bytes:
    extra = msgpack.packb(
        [list(header.members), list(header.active), header.tolerated, list(header.image)]
    )
    name = header.name
    body = _FIXED.pack(MAGIC, MAJOR, MINOR, FEATURES, header.store, name.epoch, name.nonce,
                       name.first, header.chain, len(extra)) + extra
    body += bytes(HEADER_BYTES - _HASH_BYTES - len(body))
    return body + checksum.digest(body)


def parse_header(data: bytes) -> Header | None:
    """None when it is damaged. Raises RefusedError for a format of another release."""
    if len(data) < HEADER_BYTES or data[:8] != MAGIC:
        return None
    body, found = data[: HEADER_BYTES - _HASH_BYTES], data[HEADER_BYTES - _HASH_BYTES : HEADER_BYTES]
    if checksum.digest(body) != found:
        return None
    _, major, _, features, store, epoch, nonce, first, chain, length = _FIXED.unpack_from(body)
    if major != MAJOR or features & ~FEATURES:
        raise errors.RefusedError(
            "format.newer", "the commit log has format {major} (features {features}); this release "
            "reads format {mine}", hint="use the holdfast release that wrote it, or a newer one",
            major=major, features=features, mine=MAJOR,
        )
    members, active, tolerated, image = msgpack.unpackb(body[_FIXED.size : _FIXED.size + length])
    return Header(store, Name(epoch, first, nonce), chain, tuple(members), tuple(active),
                  tolerated, tuple(image))


def pack_frame(
    sequence: int, previous: bytes, payload: bytes, *, nonce: int
) -> tuple[bytes, bytes]:
    """(the frame padded to 8 bytes, its chain hash)."""
    assert len(payload) <= FRAME_BYTES_MAX
    chain = chain_of(sequence, previous, payload)
    return frame_bytes(Frame(sequence, chain, payload, 0), nonce=nonce), chain


def frame_bytes(frame: Frame, *, nonce: int) -> bytes:
    """The bytes of a frame as they stand in the file."""
    head = _FRAME.pack(FRAME_MAGIC, len(frame.payload), frame.sequence,
                       _own_hash(frame.sequence, frame.payload, nonce), frame.chain)
    padding = bytes(-(len(head) + len(frame.payload)) % ALIGN)
    return b"".join((head, frame.payload, padding))


def chain_of(sequence: int, previous: bytes, payload: bytes) -> bytes:
    return checksum.digest(previous + struct.pack("<Q", sequence) + payload)


def read_frame(descriptor: int, offset: int, *, nonce: int) -> Frame | None:
    """The frame at `offset` when it is whole; its chain is not judged here. Raises OSError."""
    head = os.pread(descriptor, _FRAME.size, offset)
    if len(head) < _FRAME.size:
        return None
    magic, length, sequence, own, chain = _FRAME.unpack(head)
    if magic != FRAME_MAGIC or length > FRAME_BYTES_MAX:
        return None
    end = offset + -(-(_FRAME.size + length) // ALIGN) * ALIGN
    data = os.pread(descriptor, end - offset - _FRAME.size, offset + _FRAME.size)
    payload = data[:length]
    if len(data) < end - offset - _FRAME.size or any(data[length:]):
        return None
    if _own_hash(sequence, payload, nonce) != own:
        return None
    return Frame(sequence, chain, payload, end)


def whole_frame_behind(descriptor: int, offset: int, sequence: int, *, nonce: int) -> bool:
    """Is there a whole frame of `sequence` or later somewhere behind `offset`?

    Tells damage in the middle (True) from a torn tail (False). Raises OSError.
    """
    size = os.fstat(descriptor).st_size
    mark = struct.pack("<I", FRAME_MAGIC)
    window = 1 << 20
    at = offset
    while at < size:
        data = os.pread(descriptor, window + len(mark), at)
        found = data.find(mark)
        while found >= 0:
            is_start = (at + found) % ALIGN == 0
            frame = read_frame(descriptor, at + found, nonce=nonce) if is_start else None
            if frame is not None and frame.sequence >= sequence:
                return True
            found = data.find(mark, found + 1)
        at += window
    return False


def folder_of(root: Path) -> Path:
    return root / "log"


def list_names(root: Path) -> list[Name]:
    """The log files of a node, in order. Raises OSError."""
    found = (parse_name(entry) for entry in os.listdir(folder_of(root)))
    return sorted(name for name in found if name is not None)


def pack_records(records: list[list[object]]) -> bytes:
    return bytes(msgpack.packb(records, use_bin_type=True))


def unpack_records(payload: bytes) -> list[list[object]]:
    return list(msgpack.unpackb(payload, raw=False, strict_map_key=False))


def _own_hash(sequence: int, payload: bytes, nonce: int) -> int:
    return xxhash.xxh3_64_intdigest(payload, seed=(sequence + nonce) & _U64)
