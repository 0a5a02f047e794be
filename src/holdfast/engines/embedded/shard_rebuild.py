"""Make missing pieces of a shard from others that were read back and verified.

The writer calls `fill` for the spares of nodes that failed midway; heal calls `rebuild_piece`.
Bytes that did not verify are never used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from holdfast import errors
from holdfast.engines.embedded import (
    coding,
    node,
    piece,
    piece_file,
    shard_layout,
    shard_location,
    stripe_batch,
)
from holdfast.kit import buffers

NO_SOURCES = "node.no_sources"
_Pending = tuple[int, node.NodeDisk, node.Operation[None] | None]


class BodySource(Protocol):
    """A NewPiece that is complete, or a StoredPiece."""

    disk: node.NodeDisk

    def read(self, parts: Sequence[memoryview], start: int) -> None: ...


def fill(
    layout: shard_layout.ShardLayout,
    sources: Mapping[int, BodySource],
    targets: Mapping[int, piece_file.NewPiece],
    pool: buffers.BufferPool,
    *,
    deadline_s: float,
) -> dict[int, node.NodeFailed]:
    """Write the bodies of `targets`, by position, from those of `sources`.

    Returns what failed, of both; when fewer than k sources are left, every target is among that.
    """
    return _Filling(layout, sources, targets, pool, deadline_s).run()


def rebuild_piece(
    disks: Mapping[int, node.NodeDisk],
    location: shard_location.ShardLocation,
    position: int,
    disk: node.NodeDisk,
    *,
    deadline_s: float = node.DEADLINE_S,
) -> None:
    """Build piece `position` of a shard on `disk`, durably, from verified others.

    Raises IntegrityError when fewer than k others are good, NodeFailed when `disk` fails.
    """
    layout = location.layout
    sources = {
        at: location.stored_piece(disks[number], at)
        for at, number in enumerate(location.nodes)
        if at != position and number in disks
    }
    target = piece_file.NewPiece(
        disk,
        location.group,
        piece.file_name(location.object_id, location.number, position),
        location.identity(position),
    )
    pool = buffers.BufferPool(stripe_batch.buffer_bytes(location.protection), keep=1)
    try:
        disk.call(target.create, deadline_s=deadline_s)
        failures = fill(layout, sources, {position: target}, pool, deadline_s=deadline_s)
        _check_built(failures, location, position)
        header = _header_for(sources, failures, location, position, disk)
        disk.call(target.finish, header, deadline_s=deadline_s)
    except BaseException:
        disk.submit(target.abandon, even_if_suspect=True)
        raise
    finally:
        for one in sources.values():
            one.close()
    target.close()


class _Filling:
    """One run of `fill`."""

    def __init__(
        self,
        layout: shard_layout.ShardLayout,
        sources: Mapping[int, BodySource],
        targets: Mapping[int, piece_file.NewPiece],
        pool: buffers.BufferPool,
        deadline_s: float,
    ) -> None:
        self._layout = layout
        self._sources = dict(sources)
        self._targets = dict(targets)
        self._pool = pool
        self._deadline_s = deadline_s
        self._coder = coding.coder(layout.protection.data, layout.protection.parity)
        self._failures: dict[int, node.NodeFailed] = {}

    def run(self) -> dict[int, node.NodeFailed]:
        step = stripe_batch.stripes_in_batch(self._layout.protection)
        for first in range(0, self._layout.stripes, step):
            done = False
            while self._targets and not done:
                done = self._fill_batch(first, min(first + step, self._layout.stripes))
        return self._failures

    def _fill_batch(self, first: int, end: int) -> bool:
        """False: a node hung or sources were bad; to be done again with the others."""
        needed = self._layout.protection.data
        if len(self._sources) < needed:
            self._give_up()
            return False
        buffer = self._pool.take()
        batch = stripe_batch.StripeBatch(self._layout, first, end, buffer)
        chosen = sorted(self._sources)[:needed]
        operations = [
            self._submit(at, self._sources[at].disk, self._sources[at].read, batch) for at in chosen
        ]
        complete = self._settle(operations)
        if complete:
            wanted = sorted(self._targets)
            batch.reconstruct(self._coder, chosen, wanted, batch.body_start, batch.body_end)
            writes = [
                self._submit(at, self._targets[at].disk, self._targets[at].write, batch)
                for at in wanted
            ]
            self._settle(writes)
            operations += writes
        if all(one is None or one.done for _, _, one in operations):
            self._pool.give_back(buffer)
        return complete

    def _submit(
        self,
        position: int,
        disk: node.NodeDisk,
        call: Callable[[Sequence[memoryview], int], None],
        batch: stripe_batch.StripeBatch,
    ) -> _Pending:
        parts = batch.parts(position, batch.body_start, batch.body_end)
        try:
            operation = disk.submit(call, parts, batch.body_start, deadline_s=self._deadline_s)
        except node.NodeFailed as failure:
            self._fail(position, failure)
            return position, disk, None
        return position, disk, operation

    def _settle(self, operations: Sequence[_Pending]) -> bool:
        """Wait for operations; True when all succeeded."""
        succeeded = True
        for position, disk, operation in operations:
            if operation is None:
                succeeded = False
                continue
            try:
                disk.outcome(operation)
            except node.NodeFailed as failure:
                self._fail(position, failure)
                succeeded = False
            except piece.PieceDamaged as damage:
                self._fail(position, node.NodeFailed(damage.reason, disk.number, damage))
                succeeded = False
        return succeeded

    def _fail(self, position: int, failure: node.NodeFailed) -> None:
        self._failures[position] = failure
        self._sources.pop(position, None)
        self._targets.pop(position, None)

    def _give_up(self) -> None:
        for position, target in list(self._targets.items()):
            self._fail(position, node.NodeFailed(NO_SOURCES, target.disk.number))


def _check_built(
    failures: Mapping[int, node.NodeFailed], location: shard_location.ShardLocation, position: int
) -> None:
    """Raises what kept the piece from being built."""
    failure = failures.get(position)
    if failure is None:
        return
    if failure.reason == NO_SOURCES:
        raise _cannot_rebuild(failures, location, position)
    raise failure


def _header_for(
    sources: Mapping[int, piece_file.StoredPiece],
    failures: Mapping[int, node.NodeFailed],
    location: shard_location.ShardLocation,
    position: int,
    disk: node.NodeDisk,
) -> piece.Header:
    """What the rebuilt piece says of itself: as a good piece beside it, which must be of the same
    shard as the commit record's."""
    for at, source in sources.items():
        if at in failures:
            continue
        try:
            header = source.disk.call(source.read_header)
        except (node.NodeFailed, piece.PieceDamaged):
            continue
        if location.describes(header):
            return dataclasses.replace(header, piece=position, node_id=disk.uuid_bytes)
    raise _cannot_rebuild(failures, location, position)


def _cannot_rebuild(
    failures: Mapping[int, node.NodeFailed], location: shard_location.ShardLocation, position: int
) -> errors.IntegrityError:
    return errors.IntegrityError(
        "shard.cannot_rebuild",
        "piece {piece} of shard {shard} of object {object_id} cannot be rebuilt: too few others "
        "are good; failed nodes: {nodes}",
        hint="holdfast status shows nodes that do not answer; bring one back and try again",
        piece=position, shard=location.number, object_id=f"{location.object_id:016x}",
        nodes=tuple(str(one.node) for one in failures.values()),
    )
