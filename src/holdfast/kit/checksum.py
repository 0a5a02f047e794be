"""Digests of contents (BLAKE3) and seeded checksums of blocks (XXH3-128).

BLAKE3 says what bytes are; the seeded checksum says that they are the bytes that belong *here*, so
that a block written to the wrong place fails. Both are fixed in the on-disk formats.
"""

from __future__ import annotations

import struct

import blake3
import xxhash

DIGEST_BYTES = 32
CHECKSUM_BYTES = 16
BLOCK_BYTES = 64 * 1024

Buffer = bytes | bytearray | memoryview
Hasher = blake3.blake3


def digest(data: Buffer) -> bytes:
    """BLAKE3, 32 bytes."""
    return blake3.blake3(data).digest()


def block_seed(identity: bytes, block: int) -> int:
    """The seed of block number `block` of the file named by `identity`: xxh3_64(identity ‖ block)."""
    return xxhash.xxh3_64_intdigest(identity + struct.pack("<Q", block))


def block_checksum(data: Buffer, identity: bytes, block: int) -> bytes:
    """XXH3-128 of one block, seeded by where it belongs. 16 bytes, big-endian as XXH3 prints it."""
    return xxhash.xxh3_128_digest(data, seed=block_seed(identity, block))


def body_checksums(body: Buffer, identity: bytes, first_block: int = 0) -> bytes:
    """The checksums of all blocks of `body`, which starts at a block boundary, one after the other."""
    view = memoryview(body).cast("B")
    return b"".join(
        block_checksum(view[at : at + BLOCK_BYTES], identity, first_block + number)
        for number, at in enumerate(range(0, len(view), BLOCK_BYTES))
    )
