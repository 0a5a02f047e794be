"""The byte format of a piece: header, body, trailer, header again. Pure: bytes in, bytes out.

    0                header, 4 KiB
    4096             body, `body_bytes`, a multiple of 4 KiB
    4096 + body      trailer: 16 bytes of checksum a block of 64 KiB, zeros, BLAKE3 in its last 32
    ... at the end   the header once more

Everything is little-endian and aligned to 4 KiB, so that O_DIRECT works. docs/format/piece.md has
every byte. The frame of the header (magic first, BLAKE3 of the rest in the last 32 of 4,096 bytes)
never changes, so that damage and a newer release can be told apart.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from holdfast import errors
from holdfast.engines.embedded import shard_layout
from holdfast.kit import buffers, checksum
from holdfast.model import topology

MAGIC = b"HFPIECE\n"
MAJOR, MINOR, FEATURES = 1, 0, 0
HEADER_BYTES = 4096
BODY_AT = HEADER_BYTES
_FIXED = struct.Struct("<8sHHI16s16sQQQQBBBBIIIQQ32sI")
_HASH_AT = HEADER_BYTES - checksum.DIGEST_BYTES
_PATH_BYTES_MAX = _HASH_AT - _FIXED.size
_IDENTITY = struct.Struct("<16sQII")
_IDENTITY_CONTEXT = b"holdfast piece identity 1\n"
_SCHEMES = {topology.Scheme.REPLICAS: 1, topology.Scheme.ERASURE: 2}
_LAST_SHARD = 1
# A byte that goes on with a character of UTF-8: 10xxxxxx.
_CONTINUES_MASK, _CONTINUES = 0xC0, 0x80

Buffer = bytes | bytearray | memoryview


class PieceDamaged(Exception):  # noqa: N818 - a verdict on a piece, told to callers as a Damage
    """A piece does not hold what it should. `reason` is a stable code such as `piece.checksum`."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a piece says about itself.

    `cluster_id` and `node_id` are 16 bytes; `node_id` names the node that it was written to. `path`
    is the object's path at write time, for a disaster; it is cut when it does not fit.
    """

    cluster_id: bytes
    node_id: bytes
    dataset: int
    object_id: int
    epoch: int
    sequence: int
    protection: topology.Protection
    cell_bytes: int
    shard: int
    last_shard: bool
    piece: int
    body_bytes: int
    shard_bytes: int
    shard_digest: bytes
    path: str

    @property
    def layout(self) -> shard_layout.ShardLayout:
        return shard_layout.ShardLayout(self.protection, self.shard_bytes, self.cell_bytes)


def identity(cluster_id: bytes, object_id: int, shard: int, piece: int) -> bytes:
    """The 16 bytes that seed a piece's checksums: what belongs to another piece fails in this."""
    packed = _IDENTITY.pack(cluster_id, object_id, shard, piece)
    return checksum.digest(_IDENTITY_CONTEXT + packed)[:16]


def file_name(object_id: int, shard: int, piece: int) -> str:
    return f"{object_id:016x}.{shard:06x}.{piece:02x}"


def parse_file_name(name: str) -> tuple[int, int, int] | None:
    """(object id, shard, piece) of a piece's file name; None for any other name."""
    try:
        object_id, shard, position = (int(part, 16) for part in name.split("."))
    except ValueError:
        return None
    numbers = object_id, shard, position
    return numbers if min(numbers) >= 0 and file_name(*numbers) == name else None


def group_folder(group: int) -> str:
    return f"pg/{group:04x}"


def trailer_at(body_bytes: int) -> int:
    return BODY_AT + body_bytes


def trailer_bytes(body_bytes: int) -> int:
    blocks = -(-body_bytes // checksum.BLOCK_BYTES)
    return buffers.round_up(blocks * checksum.CHECKSUM_BYTES + checksum.DIGEST_BYTES)


def file_length(body_bytes: int) -> int:
    return 2 * HEADER_BYTES + body_bytes + trailer_bytes(body_bytes)


def pack_header(header: Header) -> bytes:
    path = _cut(header.path.encode("utf-8", "surrogateescape"), _PATH_BYTES_MAX)
    fixed = _FIXED.pack(
        MAGIC, MAJOR, MINOR, FEATURES, header.cluster_id, header.node_id,
        header.dataset, header.object_id, header.epoch, header.sequence,
        _SCHEMES[header.protection.scheme], header.protection.data, header.protection.parity,
        _LAST_SHARD if header.last_shard else 0, header.cell_bytes, header.shard, header.piece,
        header.body_bytes, header.shard_bytes, header.shard_digest, len(path),
    )  # fmt: skip
    plain = (fixed + path).ljust(_HASH_AT, b"\0")
    return plain + checksum.digest(plain)


def parse_header(data: Buffer) -> Header:
    """Raises PieceDamaged (`piece.header`), or RefusedError for the format of a newer release."""
    raw = bytes(data)
    if len(raw) != HEADER_BYTES or raw[:8] != MAGIC:
        raise PieceDamaged("piece.header")
    if checksum.digest(raw[:_HASH_AT]) != raw[_HASH_AT:]:
        raise PieceDamaged("piece.header")
    _refuse_newer(raw)
    (
        _, _, _, _, cluster_id, node_id, dataset, object_id, epoch, sequence,
        scheme, data_count, parity_count, flags, cell_bytes, shard, number,
        body_bytes, shard_bytes, digest, path_length,
    ) = _FIXED.unpack_from(raw)  # fmt: skip
    path = raw[_FIXED.size : _FIXED.size + path_length]
    return Header(
        cluster_id=cluster_id, node_id=node_id, dataset=dataset, object_id=object_id,
        epoch=epoch, sequence=sequence,
        protection=_protection(scheme, data_count, parity_count),
        cell_bytes=cell_bytes, shard=shard, last_shard=bool(flags & _LAST_SHARD), piece=number,
        body_bytes=body_bytes, shard_bytes=shard_bytes, shard_digest=digest,
        path=path.decode("utf-8", "surrogateescape"),
    )  # fmt: skip


def pack_trailer(piece_identity: bytes, checksums: Buffer) -> bytes:
    """`checksums` holds 16 bytes a block, in order."""
    blocks = len(checksums) // checksum.CHECKSUM_BYTES
    size = trailer_bytes(blocks * checksum.BLOCK_BYTES)
    plain = bytes(checksums).ljust(size - checksum.DIGEST_BYTES, b"\0")
    return plain + checksum.digest(piece_identity + plain)


def parse_trailer(data: Buffer, piece_identity: bytes, blocks: int) -> bytes:
    """The checksums of the blocks. Raises PieceDamaged (`piece.trailer`)."""
    raw = bytes(data)
    plain, own = raw[: -checksum.DIGEST_BYTES], raw[-checksum.DIGEST_BYTES :]
    if len(raw) != trailer_bytes(blocks * checksum.BLOCK_BYTES):
        raise PieceDamaged("piece.trailer")
    if checksum.digest(piece_identity + plain) != own:
        raise PieceDamaged("piece.trailer")
    return plain[: blocks * checksum.CHECKSUM_BYTES]


def _protection(scheme: int, data: int, parity: int) -> topology.Protection:
    for kind, code in _SCHEMES.items():
        if code == scheme:
            return topology.Protection(scheme=kind, data=data, parity=parity)
    raise PieceDamaged("piece.header")


def _refuse_newer(raw: bytes) -> None:
    major, minor, features = struct.unpack_from("<HHI", raw, 8)
    if major != MAJOR or features & ~FEATURES:
        raise errors.RefusedError(
            "format.too_new",
            "a piece has format {major}.{minor} with features {features}; this release of holdfast "
            "reads format {known}",
            hint="use the newer release of holdfast that wrote it: holdfast --version shows which "
            "release this is",
            major=major, minor=minor, features=f"{features:#x}", known=MAJOR,
        )


def _cut(path: bytes, limit: int) -> bytes:
    """At most `limit` bytes, not ending within a UTF-8 character."""
    if len(path) <= limit:
        return path
    while limit and path[limit] & _CONTINUES_MASK == _CONTINUES:
        limit -= 1
    return path[:limit]
