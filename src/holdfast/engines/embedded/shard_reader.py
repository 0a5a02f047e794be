"""Read a shard: verified, from the fewest pieces, in spite of bad or slow ones.

The engine calls it for every shard of a large object that a get touches. Only the pieces that own
the range are read; when one is missing, damaged, slow or unreachable, others are read and what is
missing is decoded, for the stripes concerned only. No byte is handed out unverified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

from holdfast.engines.embedded import node, shard_fetch, shard_location, stripe_batch
from holdfast.kit import buffers

ShardLocation = shard_location.ShardLocation
Damage = shard_location.Damage

_BATCHES_AHEAD = 3
_pools: dict[int, buffers.BufferPool] = {}


class ShardReader:
    """Reads one shard. For one thread at a time; holds its pieces open until `close`."""

    def __init__(
        self,
        disks: Mapping[int, node.NodeDisk],
        location: shard_location.ShardLocation,
        *,
        on_damage: Callable[[shard_location.Damage], None],
        deadline_s: float = node.DEADLINE_S,
    ) -> None:
        """`on_damage` is called in the reading thread, once for each piece and reason."""
        self._location = location
        self._deadline_s = deadline_s
        self._pieces = shard_fetch.PieceSet(disks, location, on_damage)
        size = stripe_batch.buffer_bytes(location.protection)
        self._pool = _pools.setdefault(size, buffers.BufferPool(size, keep=2 * _BATCHES_AHEAD))

    def read_into(self, out: memoryview, offset: int) -> None:
        """Fill `out` with the shard's bytes from `offset`; the range must lie within the shard.

        Raises IntegrityError, UnavailableError; `out` may be partly filled then, with good bytes.
        """
        done = 0
        for part in self.stream(offset, len(out)):
            out[done : done + len(part)] = part
            done += len(part)

    def stream(self, offset: int, length: int) -> Iterator[memoryview]:
        """The range in pieces of up to 4 MiB, the next ones being read ahead meanwhile.

        A piece is valid until the next is asked for. Raises like `read_into`.
        """
        assert offset >= 0
        assert offset + length <= self._location.length
        ahead: deque[shard_fetch.Fetch] = deque()
        ranges = self._batches(offset, offset + length)
        try:
            for start, end in ranges:
                ahead.append(self._fetch(start, end))
                if len(ahead) == _BATCHES_AHEAD:
                    yield ahead[0].result()
                    ahead.popleft().release()
            while ahead:
                yield ahead[0].result()
                ahead.popleft().release()
        finally:
            for fetch in ahead:
                fetch.release()

    def close(self) -> None:
        self._pieces.close()

    def _fetch(self, start: int, end: int) -> shard_fetch.Fetch:
        return shard_fetch.Fetch(self._pieces, start, end - start, self._pool, self._deadline_s)

    def _batches(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        """The range cut where batches of stripes meet."""
        layout = self._location.layout
        size = stripe_batch.stripes_in_batch(layout.protection) * layout.stripe_bytes
        while offset < end:
            upto = min(end, (offset // size + 1) * size)
            yield offset, upto
            offset = upto
