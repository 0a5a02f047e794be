"""Store one shard as pieces on nodes: encode, write in parallel, make durable, publish.

The engine calls it for every shard of a large object, before the commit. While the caller's thread
reads, hashes and encodes one batch, the nodes' threads write the ones before it. A node that fails
is replaced by a spare, whose piece is rebuilt from what the others hold. Nothing that fails leaves
a visible name behind; `discard` takes back what an unsuccessful put had already published.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from holdfast.engines.embedded import node, shard_job, stripe_batch
from holdfast.kit import buffers
from holdfast.model import topology

NO_NODE = shard_job.NO_NODE
ShardTarget = shard_job.ShardTarget
ShardWritten = shard_job.ShardWritten
Source = shard_job.Source
LookaheadSource = shard_job.LookaheadSource
quorum = shard_job.quorum


class ShardWriter:
    """Writes shards; thread-safe. Holds a few reused buffers for each width of code."""

    def __init__(
        self, disks: Mapping[int, node.NodeDisk], *, deadline_s: float = node.DEADLINE_S
    ) -> None:
        self._disks = disks
        self._deadline_s = deadline_s
        self._pools: dict[int, buffers.BufferPool] = {}

    def write(
        self,
        target: shard_job.ShardTarget,
        source: shard_job.Source,
        limit_bytes: int,
        *,
        deadline_s: float | None = None,
    ) -> tuple[shard_job.ShardWritten | None, bool]:
        """Store up to `limit_bytes` of the source as one shard: (what was stored, source at end).

        None when the source was at its end already. "At end" is exact for a LookaheadSource, else
        it is told when a read brings nothing. `deadline_s` is for each operation on a node.

        Raises RefusedError (`space.full`) or UnavailableError (`write.too_few_nodes`), and whatever
        the source raises; nothing visible remains then.
        """
        pool = self._pool(target.protection)
        job = shard_job.ShardJob(self._disks, target, pool, deadline_s or self._deadline_s)
        with job:
            return job.run(source, limit_bytes)

    def discard(self, written: shard_job.ShardWritten, target: shard_job.ShardTarget) -> None:
        """Remove the published pieces of a shard that will not be committed."""
        operations = []
        for position, number in enumerate(written.nodes):
            disk = self._disks.get(number)
            if disk is None:
                continue
            path = disk.piece_path(target.group, target.object_id, target.number, position)
            with contextlib.suppress(node.NodeFailed):
                operations.append((disk, disk.submit(disk.remove, path)))
        for disk, operation in operations:
            with contextlib.suppress(node.NodeFailed):
                disk.outcome(operation)

    def _pool(self, protection: topology.Protection) -> buffers.BufferPool:
        size = stripe_batch.buffer_bytes(protection)
        pool = buffers.BufferPool(size, keep=2 * shard_job.BATCHES_AHEAD)
        return self._pools.setdefault(size, pool)
