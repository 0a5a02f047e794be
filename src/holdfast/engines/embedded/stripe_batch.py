"""A few stripes of a shard in one reused buffer: data in shard order, then parity by piece.

The writer fills, encodes and writes such batches; the reader reads and decodes them. Nothing in
here is copied: what it hands out are slices of the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engines.embedded import coding, shard_layout
from holdfast.model import topology

BATCH_BYTES = 4 << 20


def stripes_in_batch(protection: topology.Protection) -> int:
    """About 4 MiB of data, at least one stripe."""
    return max(1, BATCH_BYTES // (protection.data * shard_layout.CELL_BYTES))


def buffer_bytes(protection: topology.Protection) -> int:
    coded = protection.parity if protection.scheme is topology.Scheme.ERASURE else 0
    return stripes_in_batch(protection) * (protection.data + coded) * shard_layout.CELL_BYTES


class StripeBatch:
    """Stripes `first` to `end` of a shard. All of its stripes but the shard's last are full."""

    def __init__(
        self, layout: shard_layout.ShardLayout, first: int, end: int, buffer: memoryview
    ) -> None:
        self.layout = layout
        self.first = first
        self.end = end
        self._buffer = buffer
        self._data = layout.protection.data
        self._copies = layout.protection.scheme is topology.Scheme.REPLICAS
        self._parity_at = stripes_in_batch(layout.protection) * layout.stripe_bytes
        self._parity_room = stripes_in_batch(layout.protection) * layout.cell_bytes

    @property
    def body_start(self) -> int:
        return self.first * self.layout.cell_bytes

    @property
    def body_end(self) -> int:
        return min(self.end * self.layout.cell_bytes, self.layout.body_bytes)

    @property
    def offset(self) -> int:
        """Where the batch starts in the shard."""
        return self.first * self.layout.stripe_bytes

    def shard_bytes(self, offset: int, length: int) -> memoryview:
        """`length` bytes of the shard from `offset`."""
        start = offset - self.offset
        return self._buffer[start : start + length]

    def pad(self, filled: int) -> None:
        """Zero what lies after the first `filled` bytes of data."""
        size = (self.body_end - self.body_start) * self._data
        if filled < size:
            self._buffer[filled:size] = bytes(size - filled)

    def parts(self, piece: int, start: int, end: int) -> list[memoryview]:
        """The slices that hold bytes `start` to `end` of a piece's body, in order."""
        if self._copies:
            at = start - self.body_start
            return [self._buffer[at : at + end - start]]
        cell = self.layout.cell_bytes
        return [
            self._cell(piece, stripe)[
                max(0, start - stripe * cell) : min(end - stripe * cell, cell)
            ]
            for stripe in range(start // cell, -(-end // cell))
        ]

    def encode(self, coder: coding.Coder) -> None:
        """Fill the parity from the data. Nothing to do for replicas."""
        if self._copies:
            return
        width = self.layout.protection.width
        for stripe in range(self.first, self.end):
            cells = [self._cell(piece, stripe) for piece in range(width)]
            coder.encode(cells[: self._data], cells[self._data :])

    def reconstruct(
        self, coder: coding.Coder, present: Sequence[int], wanted: Sequence[int],
        start: int, end: int,
    ) -> None:  # fmt: skip
        """Fill bytes `start` to `end` of the bodies of the `wanted` pieces from `present` ones."""
        if self._copies:
            return
        sources = {piece: self.parts(piece, start, end) for piece in present}
        targets = [self.parts(piece, start, end) for piece in wanted]
        for number in range(len(targets[0])):
            coder.reconstruct(
                {piece: parts[number] for piece, parts in sources.items()},
                wanted,
                [parts[number] for parts in targets],
            )

    def _cell(self, piece: int, stripe: int) -> memoryview:
        layout, size = self.layout, self.layout.cell_at(stripe)
        if piece < self._data:
            at = (stripe - self.first) * layout.stripe_bytes + piece * size
        else:
            at = self._parity_at + (piece - self._data) * self._parity_room
            at += (stripe - self.first) * layout.cell_bytes
        return self._buffer[at : at + size]
