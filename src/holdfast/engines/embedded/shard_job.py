"""The writing of one shard, from its first byte to its published pieces. Used by shard_writer only.

Batches go through a ring of buffers: while the caller's thread fills and encodes one, the nodes'
threads write the others. A piece whose node fails is dropped; when the shard is complete, spares
take the places of dropped pieces, which are rebuilt from the others.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast import errors
from holdfast.engines.embedded import (
    coding,
    node,
    piece,
    piece_file,
    shard_layout,
    shard_rebuild,
    stripe_batch,
)
from holdfast.kit import buffers, checksum
from holdfast.model import topology

NO_NODE = -1
BATCHES_AHEAD = 3


class Source(Protocol):
    """Where the bytes come from: any binary file object."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill some of the buffer; 0 or None at the end."""


@dataclass(frozen=True, slots=True)
class ShardTarget:
    """Where a shard goes, and what its pieces say about themselves.

    `nodes[i]` is to hold piece i. `spares(taken)` yields further eligible nodes, best first, given
    all that were tried. `path` is the object's path now, for a disaster.
    """

    cluster_id: bytes
    dataset: int
    object_id: int
    number: int
    epoch: int
    sequence: int
    protection: topology.Protection
    group: int
    nodes: tuple[int, ...]
    spares: Callable[[frozenset[int]], Iterator[int]]
    path: str


@dataclass(frozen=True, slots=True)
class ShardWritten:
    """`nodes[i]` durably holds piece i; -1 where no node could."""

    length: int
    digest: bytes
    nodes: tuple[int, ...]


class LookaheadSource:
    """A source that knows whether it is at its end, so that the last shard can be marked as such
    even when it ends exactly at the shard size."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ahead = b""

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._ahead:
            return self._source.readinto(buffer) or 0
        buffer[:1] = self._ahead
        self._ahead = b""
        return 1 + (self._source.readinto(buffer[1:]) or 0) if len(buffer) > 1 else 1

    def at_end(self) -> bool:
        if not self._ahead:
            one = memoryview(bytearray(1))
            self._ahead = bytes(one[: self._source.readinto(one) or 0])
        return not self._ahead


def quorum(protection: topology.Protection) -> int:
    """Pieces below which nothing is committed: k+1; replicas: two, or one of one."""
    if protection.scheme is topology.Scheme.ERASURE:
        return protection.data + 1
    return min(2, protection.width)


class _Piece:
    """One position of the shard: the file that is to be its piece; None when its node failed."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.file: piece_file.NewPiece | None = None
        self.finished = False


Pending = list[tuple[_Piece, node.Operation[None]]]


class ShardJob:
    """Writes one shard, once: `stream`, then `complete`."""

    def __init__(
        self,
        disks: Mapping[int, node.NodeDisk],
        target: ShardTarget,
        pool: buffers.BufferPool,
        deadline_s: float,
    ) -> None:
        self._disks = disks
        self._target = target
        self._pool = pool
        self._deadline_s = deadline_s
        self._pieces = [_Piece(position) for position in range(target.protection.width)]
        self._dropped: list[piece_file.NewPiece] = []
        self._failures: list[node.NodeFailed] = []
        self._tried: set[int] = set(target.nodes) - {NO_NODE}
        self._ring: deque[tuple[memoryview, Pending]] = deque()
        self._length = 0
        self._hasher = checksum.Hasher()
        self._last_shard = False
        self._complete = False
        self._nodes: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Bytes taken from the source; 0: it was at its end already."""
        return self._length

    def stream(self, source: Source, limit_bytes: int) -> bool:
        """Send up to `limit_bytes` of the source on their way; True when it is at its end.

        When this raises, nothing of the shard is left.
        """
        at_end = False
        try:
            while self._length < limit_bytes and not at_end:
                at_end = self._write_batch(source, limit_bytes - self._length)
            if not at_end and isinstance(source, LookaheadSource):
                at_end = source.at_end()
        except BaseException:
            self.close()
            raise
        self._last_shard = at_end
        return at_end

    def complete(self) -> ShardWritten:
        """Wait until every piece is durable and published. When this raises, nothing is left."""
        try:
            while self._ring:
                self._recycle()
            self._publish()
            self._complete = True
        finally:
            self.close()
        return ShardWritten(self._length, self._hasher.digest(), self._nodes)

    def close(self) -> None:
        """Take away whatever was not completed."""
        while self._ring:
            self._recycle()
        files = self._good_files()
        self._nodes = tuple(
            files[one.position].disk.number if one.position in files else NO_NODE
            for one in self._pieces
        )
        unwanted = list(self._dropped)
        for file in files.values():
            if self._complete:
                file.close()
            else:
                unwanted.append(file)
        _abandon(unwanted)

    # --- the stream

    def _write_batch(self, source: Source, limit_bytes: int) -> bool:
        """One batch from the source to the nodes; True at the source's end."""
        protection = self._target.protection
        stripes = stripe_batch.stripes_in_batch(protection)
        size = min(limit_bytes, stripes * protection.data * shard_layout.CELL_BYTES)
        buffer = self._free_buffer()
        pending: Pending = []
        self._ring.append((buffer, pending))
        filled = _fill(source, buffer[:size])
        if filled == 0:
            return True
        if self._length == 0:
            self._open_pieces()
        layout = shard_layout.ShardLayout(protection, self._length + filled)
        first = self._length // layout.stripe_bytes
        batch = stripe_batch.StripeBatch(layout, first, layout.stripes, buffer)
        batch.pad(filled)
        batch.encode(coding.coder(protection.data, protection.parity))
        self._length += filled
        for one in self._pieces:
            if one.file is not None:
                parts = batch.parts(one.position, batch.body_start, batch.body_end)
                self._submit(pending, one, one.file.write, parts, batch.body_start)
        self._hasher.update(buffer[:filled])
        return filled < size

    def _free_buffer(self) -> memoryview:
        if len(self._ring) >= BATCHES_AHEAD:
            self._recycle()
            self._need(self._target.protection.data)
        return self._pool.take()

    def _recycle(self) -> None:
        """Wait for the oldest batch. A buffer that a hung thread may still use is not reused."""
        buffer, pending = self._ring.popleft()
        self._settle(pending)
        if all(operation.done for _, operation in pending):
            self._pool.give_back(buffer)

    # --- operations on nodes

    def _submit(
        self, pending: Pending, one: _Piece, call: Callable[..., None], *arguments: object
    ) -> None:
        assert one.file is not None
        try:
            operation = one.file.disk.submit(call, *arguments, deadline_s=self._deadline_s)
        except node.NodeFailed as failure:
            self._drop(one, failure)
        else:
            pending.append((one, operation))

    def _settle(self, pending: Pending) -> None:
        """Wait for operations; the pieces that failed are dropped."""
        for one, operation in pending:
            if one.file is None:
                continue
            try:
                one.file.disk.outcome(operation)
            except node.NodeFailed as failure:
                self._drop(one, failure)

    def _drop(self, one: _Piece, failure: node.NodeFailed) -> None:
        self._failures.append(failure)
        self._put_aside(one)

    def _put_aside(self, one: _Piece) -> None:
        if one.file is not None:
            self._dropped.append(one.file)
        one.file = None
        one.finished = False

    def _good_files(self) -> dict[int, piece_file.NewPiece]:
        return {one.position: one.file for one in self._pieces if one.file is not None}

    # --- opening, and spares

    def _open_pieces(self) -> None:
        """Start every piece; a node that fails already now is replaced while nothing is lost."""
        pending: Pending = []
        for one, number in zip(self._pieces, self._target.nodes, strict=True):
            if number != NO_NODE:
                self._create(one, number, pending)
        self._settle(pending)
        self._replace_missing()
        self._need(quorum(self._target.protection))

    def _create(self, one: _Piece, number: int, pending: Pending) -> None:
        target = self._target
        disk = self._disks.get(number)
        if disk is None:
            self._failures.append(node.NodeFailed("node.unknown", number))
            return
        name = piece.file_name(target.object_id, target.number, one.position)
        seed = piece.identity(target.cluster_id, target.object_id, target.number, one.position)
        one.file = piece_file.NewPiece(disk, target.group, name, seed)
        self._submit(pending, one, one.file.create)

    def _replace_missing(self) -> list[_Piece]:
        """New, empty files on spares in the places of dropped pieces, as far as spares go."""
        return [one for one in self._pieces if one.file is None and self._replace(one)]

    def _spare(self) -> int | None:
        number = next(self._target.spares(frozenset(self._tried)), None)
        return None if number in self._tried else number

    def _replace(self, one: _Piece) -> bool:
        while one.file is None:
            number = self._spare()
            if number is None:
                return False
            self._tried.add(number)
            pending: Pending = []
            self._create(one, number, pending)
            self._settle(pending)
        return True

    # --- the end

    def _publish(self) -> None:
        """Finish every piece, on spares where nodes failed. Raises when a quorum is not reached."""
        protection = self._target.protection
        missing = True
        while missing:
            self._need(protection.data)
            self._rebuild(self._replace_missing())
            self._need(quorum(protection))
            self._finish()
            missing = self._spare() is not None and len(self._good_files()) < protection.width
        self._need(quorum(protection))

    def _need(self, count: int) -> None:
        if len(self._good_files()) < count:
            raise self._too_few()

    def _rebuild(self, replaced: Sequence[_Piece]) -> None:
        """Fill replaced pieces from those that hold the whole body."""
        if not replaced:
            return
        targets = {one.position: one.file for one in replaced if one.file is not None}
        files = self._good_files()
        sources = {position: files[position] for position in files.keys() - targets.keys()}
        failures = shard_rebuild.fill(
            self._layout(), sources, targets, self._pool, deadline_s=self._deadline_s
        )
        for position, failure in failures.items():
            if failure.reason == shard_rebuild.NO_SOURCES:
                self._put_aside(self._pieces[position])
            else:
                self._drop(self._pieces[position], failure)

    def _finish(self) -> None:
        pending: Pending = []
        for one in self._pieces:
            if one.file is not None and not one.finished:
                header = self._header(one.position, one.file.disk)
                self._submit(pending, one, one.file.finish, header)
        self._settle(pending)
        for one in self._pieces:
            one.finished = one.file is not None

    def _layout(self) -> shard_layout.ShardLayout:
        return shard_layout.ShardLayout(self._target.protection, self._length)

    def _header(self, position: int, disk: node.NodeDisk) -> piece.Header:
        target, layout = self._target, self._layout()
        return piece.Header(
            cluster_id=target.cluster_id, node_id=disk.uuid_bytes, dataset=target.dataset,
            object_id=target.object_id, epoch=target.epoch, sequence=target.sequence,
            protection=target.protection, cell_bytes=layout.cell_bytes, shard=target.number,
            last_shard=self._last_shard, piece=position, body_bytes=layout.body_bytes,
            shard_bytes=self._length, shard_digest=self._hasher.digest(), path=target.path,
        )  # fmt: skip

    def _too_few(self) -> errors.HoldfastError:
        """Why the shard cannot be stored."""
        failed = tuple(sorted({self._name(one.node) for one in self._failures}))
        if self._failures and all(one.full for one in self._failures):
            return errors.RefusedError(
                "space.full", "the nodes {nodes} are full",
                hint="delete objects, or add a node and run: holdfast apply", nodes=failed,
            )
        return errors.UnavailableError(
            "write.too_few_nodes",
            "{good} of {width} pieces could be written, {needed} are needed; failed: {nodes}",
            hint="holdfast status shows what is wrong with these nodes",
            good=len(self._good_files()), width=self._target.protection.width,
            needed=quorum(self._target.protection), nodes=failed,
        )

    def _name(self, number: int) -> str:
        disk = self._disks.get(number)
        return disk.name if disk else str(number)


def _fill(source: Source, buffer: memoryview) -> int:
    """Read until the buffer is full or the source is at its end."""
    filled = 0
    while filled < len(buffer):
        count = source.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return filled


def _abandon(files: Sequence[piece_file.NewPiece]) -> None:
    """Remove files; nobody waits for a node that hangs, which does it when it answers again."""
    operations = [
        (one.disk, one.disk.submit(one.abandon, deadline_s=1.0, even_if_suspect=True))
        for one in files
    ]
    for disk, operation in operations:
        if disk.suspect == node.TIMEOUT:
            continue
        with contextlib.suppress(node.NodeFailed, TimeoutError):
            disk.outcome(operation, within_s=1.0)
