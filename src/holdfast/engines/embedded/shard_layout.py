"""Where the bytes of a shard lie in its pieces. Pure arithmetic.

A shard is cut into stripes of k cells of 256 KiB; piece i holds cell i of every stripe. The last
stripe may be short: its cells shrink to its share, rounded up to 4 KiB and padded with zeros.
Replicas are the case k = 1: every piece holds the whole shard, padded to 4 KiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.kit import buffers, checksum
from holdfast.model import topology

CELL_BYTES = 256 * 1024
ALIGN_BYTES = buffers.PAGE_BYTES


@dataclass(frozen=True, slots=True)
class PieceRange:
    """Bytes `start` to `end` of the body of one piece."""

    piece: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """`length` is the shard's, in bytes, at least 1."""

    protection: topology.Protection
    length: int
    cell_bytes: int = CELL_BYTES

    @property
    def stripe_bytes(self) -> int:
        return self.protection.data * self.cell_bytes

    @property
    def full_stripes(self) -> int:
        return self.length // self.stripe_bytes

    @property
    def last_cell_bytes(self) -> int:
        """Length of the cells of the short last stripe; 0 when there is none."""
        rest = self.length % self.stripe_bytes
        return buffers.round_up(-(-rest // self.protection.data), ALIGN_BYTES)

    @property
    def stripes(self) -> int:
        return self.full_stripes + (1 if self.last_cell_bytes else 0)

    @property
    def body_bytes(self) -> int:
        """Length of the body of every piece."""
        return self.full_stripes * self.cell_bytes + self.last_cell_bytes

    @property
    def blocks(self) -> int:
        return -(-self.body_bytes // checksum.BLOCK_BYTES)

    def cell_at(self, stripe: int) -> int:
        """Length of the cells of a stripe."""
        return self.cell_bytes if stripe < self.full_stripes else self.last_cell_bytes

    def piece_ranges(self, offset: int, length: int) -> tuple[PieceRange, ...]:
        """What of the data pieces holds `length` bytes of the shard from `offset`: one range each,
        pieces that hold none of them left out. For replicas: piece 0 stands for any."""
        assert offset >= 0
        assert offset + length <= self.length
        if length == 0:
            return ()
        ranges = (
            self._piece_range(piece, offset, offset + length)
            for piece in range(self.protection.data)
        )
        return tuple(found for found in ranges if found.start < found.end)

    def _piece_range(self, piece: int, offset: int, end: int) -> PieceRange:
        first, last = offset // self.stripe_bytes, (end - 1) // self.stripe_bytes
        before = offset - first * self.stripe_bytes - piece * self.cell_at(first)
        upto = end - last * self.stripe_bytes - piece * self.cell_at(last)
        return PieceRange(
            piece,
            first * self.cell_bytes + min(max(before, 0), self.cell_at(first)),
            last * self.cell_bytes + min(max(upto, 0), self.cell_at(last)),
        )


def whole_blocks(part: PieceRange, body_bytes: int) -> PieceRange:
    """The range widened to the checksummed blocks that hold it."""
    size = checksum.BLOCK_BYTES
    start = part.start // size * size
    return PieceRange(part.piece, start, min(buffers.round_up(part.end, size), body_bytes))
