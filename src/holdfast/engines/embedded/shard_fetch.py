"""Bring one batch of stripes, or a part of it, into a buffer: read, verify, decode what is missing.

Used by shard_reader only, which keeps several fetches under way. A fetch decides which pieces to
read, and again with others when some fail, until the range is there or too few pieces are left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
from holdfast.model import topology

PieceRange = shard_layout.PieceRange

_PIECE_REASONS = {"node.no_file": "piece.missing", "node.io_error": "piece.unreadable"}


class PieceSet:
    """The pieces of a shard as this reader knows them, shared by its fetches."""

    def __init__(
        self,
        disks: Mapping[int, node.NodeDisk],
        location: shard_location.ShardLocation,
        on_damage: Callable[[shard_location.Damage], None],
    ) -> None:
        self.location = location
        self.layout = location.layout
        self.bad: dict[int, str] = {}
        self._on_damage = on_damage
        self._told: set[tuple[int, str]] = set()
        self.pieces: dict[int, piece_file.StoredPiece] = {}
        for position, number in enumerate(location.nodes):
            disk = disks.get(number)
            if disk is not None:
                self.pieces[position] = location.stored_piece(disk, position)
            elif number >= 0:
                self.report(position, "node.unknown", whole=True)

    def report(self, position: int, reason: str, *, whole: bool) -> None:
        """Tell of a bad piece, once; `whole`: nothing of it can be used."""
        if whole:
            self.bad[position] = reason
        if (position, reason) not in self._told:
            self._told.add((position, reason))
            number = self.location.nodes[position]
            self._on_damage(shard_location.Damage(number, position, reason))

    def describe(self, position: int) -> str:
        """For people: which node, and why."""
        reasons = [reason for at, reason in sorted(self._told) if at == position]
        one = self.pieces.get(position)
        name = one.disk.name if one else str(self.location.nodes[position])
        return f"{name} ({' '.join(reasons) or 'unread'})"

    def close(self) -> None:
        for one in self.pieces.values():
            one.close()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to read of which piece, and which pieces to decode, over `start` to `end` of bodies."""

    reads: Mapping[int, PieceRange]
    decode: tuple[int, ...] = ()
    sources: tuple[int, ...] = ()
    start: int = 0
    end: int = 0


class Fetch:
    """Shard bytes `offset` to `offset + length`, which lie within one batch of stripes."""

    def __init__(
        self, pieces: PieceSet, offset: int, length: int, pool: buffers.BufferPool,
        deadline_s: float,
    ) -> None:  # fmt: skip
        self._pieces = pieces
        self._offset = offset
        self._length = length
        self._pool = pool
        self._deadline_s = deadline_s
        self._excluded: set[int] = set()
        self._slow = {at for at, one in pieces.pieces.items() if one.disk.stalled()}
        self._take_buffer()
        self._plan = self._start()

    def result(self) -> memoryview:
        """The bytes, valid until `release`. Raises IntegrityError, UnavailableError."""
        while not self._wait():
            self._plan = self._start()
        plan, protection = self._plan, self._pieces.location.protection
        if plan.decode:
            coder = coding.coder(protection.data, protection.parity)
            self._batch.reconstruct(coder, plan.sources, plan.decode, plan.start, plan.end)
        return self._batch.shard_bytes(self._offset, self._length)

    def release(self) -> None:
        """Give the buffer back, unless a thread may still write to it."""
        if all(operation.done for _, operation in self._reading.values()):
            self._pool.give_back(self._buffer)

    # --- deciding

    def _decide(self) -> _Plan:
        """Raises IntegrityError or UnavailableError when too few pieces are left."""
        pieces = self._pieces
        usable = sorted(pieces.pieces.keys() - pieces.bad.keys() - self._excluded)
        ranges = pieces.layout.piece_ranges(self._offset, self._length)
        needed = {
            one.piece: shard_layout.whole_blocks(one, pieces.layout.body_bytes) for one in ranges
        }
        if pieces.location.protection.scheme is topology.Scheme.REPLICAS:
            return self._decide_replica(usable, needed[0])
        return self._decide_erasure(usable, needed)

    def _decide_replica(self, usable: Sequence[int], needed: PieceRange) -> _Plan:
        """Batches take turns, so that a long read uses all of the nodes."""
        if not usable:
            raise self._too_few(usable)
        width = self._pieces.location.protection.width
        turn = self._batch.first // (self._batch.end - self._batch.first)
        chosen = min(usable, key=lambda at: (at in self._slow, (at - turn) % width))
        return _Plan({chosen: dataclasses.replace(needed, piece=chosen)})

    def _decide_erasure(self, usable: Sequence[int], needed: Mapping[int, PieceRange]) -> _Plan:
        data = self._pieces.location.protection.data
        quick = [at for at in usable if at not in self._slow]
        slow = [at for at in usable if at in self._slow]
        ready = sorted(quick + slow[: max(0, data - len(quick))])
        lost = tuple(at for at in needed if at not in ready)
        if not lost:
            return _Plan(needed)
        if len(ready) < data:
            raise self._too_few(usable)
        start = min(needed[at].start for at in lost)
        end = max(needed[at].end for at in lost)
        sources = tuple(ready[:data])
        reads = {at: _hull(needed.get(at), PieceRange(at, start, end)) for at in sources}
        return _Plan(reads, lost, sources, start, end)

    def _can_do_without(self, position: int) -> bool:
        pieces = self._pieces
        others = pieces.pieces.keys() - pieces.bad.keys() - self._excluded - self._slow
        return len(others - {position}) >= pieces.location.protection.data

    # --- reading

    def _take_buffer(self) -> None:
        layout = self._pieces.layout
        step = stripe_batch.stripes_in_batch(layout.protection)
        first = self._offset // layout.stripe_bytes // step * step
        self._buffer = self._pool.take()
        self._batch = stripe_batch.StripeBatch(
            layout, first, min(first + step, layout.stripes), self._buffer
        )
        self._have: dict[int, PieceRange] = {}
        self._reading: dict[int, tuple[PieceRange, node.Operation[None]]] = {}

    def _start(self) -> _Plan:
        """Begin the reads of a plan; another plan when a node refuses at once."""
        while True:
            plan = self._decide()
            if all(self._start_read(one) for one in plan.reads.values()):
                return plan

    def _start_read(self, wanted: PieceRange) -> bool:
        if _covers(self._have.get(wanted.piece), wanted):
            return True
        if wanted.piece in self._reading and _covers(self._reading[wanted.piece][0], wanted):
            return True
        stored = self._pieces.pieces[wanted.piece]
        parts = self._batch.parts(wanted.piece, wanted.start, wanted.end)
        try:
            operation = stored.disk.submit(
                stored.read, parts, wanted.start, deadline_s=self._deadline_s
            )
        except node.NodeFailed as failure:
            self._failed(wanted.piece, failure)
            return False
        self._reading[wanted.piece] = (wanted, operation)
        return True

    def _wait(self) -> bool:
        """Wait for what is being read; True when all that the plan needs is there."""
        for position in list(self._reading):
            self._wait_for(position)
        if self._reading:
            self._take_buffer()
            return False
        return all(_covers(self._have.get(at), one) for at, one in self._plan.reads.items())

    def _wait_for(self, position: int) -> None:
        """What is too slow stays in `_reading`: its buffer is left to it."""
        wanted, operation = self._reading[position]
        disk = self._pieces.pieces[position].disk
        patience_s = disk.read_latency.bound_s() if self._can_do_without(position) else None
        try:
            disk.outcome(operation, within_s=patience_s)
        except TimeoutError:
            self._slow.add(position)
            return
        except node.NodeFailed as failure:
            self._failed(position, failure)
        except piece.PieceDamaged as damage:
            self._excluded.add(position)
            whole = damage.reason != "piece.checksum"
            self._pieces.report(position, damage.reason, whole=whole)
        else:
            self._have[position] = wanted
            disk.read_latency.add(operation.took_s)
        if operation.done:
            del self._reading[position]

    def _failed(self, position: int, failure: node.NodeFailed) -> None:
        self._excluded.add(position)
        reason = _PIECE_REASONS.get(failure.reason, failure.reason)
        self._pieces.report(position, reason, whole=reason != "piece.unreadable")

    def _too_few(self, usable: Sequence[int]) -> errors.HoldfastError:
        """May it pass, since nodes that do not answer hold enough, or is it damage?"""
        pieces, location = self._pieces, self._pieces.location
        away = [at for at, reason in pieces.bad.items() if reason.startswith("node.")]
        bad = [
            at for at, number in enumerate(location.nodes) if number >= 0 and at not in usable
        ]
        failed = tuple(pieces.describe(at) for at in bad)
        if len(usable) + len(away) >= location.protection.data:
            return errors.UnavailableError(
                "shard.unavailable",
                "shard {shard} of object {object_id} cannot be read now: {good} pieces are good, "
                "{needed} are needed; nodes that do not answer hold the others: {failed}",
                hint="bring these nodes back; holdfast status shows what is wrong with them",
                shard=location.number, object_id=f"{location.object_id:016x}",
                good=len(usable), needed=location.protection.data, failed=failed,
            )
        return errors.IntegrityError(
            "shard.damaged",
            "shard {shard} of object {object_id} cannot be read: {good} pieces are good, {needed} "
            "are needed; bad: {failed}",
            hint="nothing was deleted; holdfast status shows the nodes concerned",
            shard=location.number, object_id=f"{location.object_id:016x}",
            good=len(usable), needed=location.protection.data, failed=failed,
        )


def _hull(one: PieceRange | None, other: PieceRange) -> PieceRange:
    if one is None:
        return other
    return PieceRange(other.piece, min(one.start, other.start), max(one.end, other.end))


def _covers(held: PieceRange | None, wanted: PieceRange) -> bool:
    return held is not None and held.start <= wanted.start and held.end >= wanted.end
