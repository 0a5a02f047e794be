"""Store one shard as pieces on nodes: encode, write in parallel, make durable, publish.

The engine calls it for every shard of a large object, before the commit. While the caller's thread
reads, hashes and encodes one batch, the nodes' threads write the ones before it. A node that fails
is replaced by a spare, whose piece is rebuilt from what the others hold. Nothing that fails leaves
a visible name behind; `discard` takes back what an unsuccessful put had already published.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures

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
        job = self._job(target, deadline_s)
        at_end = job.stream(source, limit_bytes)
        if job.length == 0:
            job.close()
            return None, True
        return job.complete(), at_end

    def write_all(
        self,
        target_for: Callable[[int], shard_job.ShardTarget],
        source: shard_job.Source,
        limit_bytes: int,
        *,
        deadline_s: float | None = None,
    ) -> Iterator[tuple[shard_job.ShardTarget, shard_job.ShardWritten]]:
        """Store the source as shards number 0, 1, ..., each at `target_for(number)`, until its end.

        While a shard is being made durable the next is already read and encoded, so this is faster
        than `write` in a loop. What was yielded is the caller's to discard when a later one fails
        or the iterator is left early; the rest is taken back here. Raises as `write`.
        """
        ahead = shard_job.LookaheadSource(source)
        publishing: deque[tuple[shard_job.ShardTarget, futures.Future[shard_job.ShardWritten]]]
        publishing = deque()
        with futures.ThreadPoolExecutor(1, "holdfast-publish") as publisher:
            try:
                for number in itertools.count():
                    if ahead.at_end():
                        break
                    target = target_for(number)
                    job = self._job(target, deadline_s)
                    job.stream(ahead, limit_bytes)
                    publishing.append((target, publisher.submit(job.complete)))
                    if len(publishing) > 1:
                        yield publishing[0][0], publishing.popleft()[1].result()
                while publishing:
                    yield publishing[0][0], publishing.popleft()[1].result()
            finally:
                self._take_back(publishing)

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

    def _take_back(
        self,
        publishing: Iterable[tuple[shard_job.ShardTarget, futures.Future[shard_job.ShardWritten]]],
    ) -> None:
        """Discard shards that nobody was told of; one that failed has left nothing."""
        for target, future in publishing:
            if future.exception() is None:
                self.discard(future.result(), target)

    def _job(self, target: shard_job.ShardTarget, deadline_s: float | None) -> shard_job.ShardJob:
        pool = self._pool(target.protection)
        return shard_job.ShardJob(self._disks, target, pool, deadline_s or self._deadline_s)

    def _pool(self, protection: topology.Protection) -> buffers.BufferPool:
        size = stripe_batch.buffer_bytes(protection)
        pool = buffers.BufferPool(size, keep=2 * shard_job.BATCHES_AHEAD)
        return self._pools.setdefault(size, pool)
