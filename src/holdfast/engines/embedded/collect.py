"""Free what nothing refers to any more, and compact segments that are mostly dead.

Order: an unreferencing commit, beyond every reader's horizon; a durable intent; the unlinking; a
record that it is done. Each step may be repeated after a crash; none runs ahead of the one before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw

from holdfast import errors
from holdfast.engines.embedded import (
    apply,
    changes,
    node,
    piece,
    reading,
    readers,
    segment,
    segment_writer,
    session,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import atomic
from holdfast.model import topology

ROUND_ITEMS = 512
LIVE_SHARE_MIN = 0.6  # a sealed segment with less live content than this is compacted


class Waste(NamedTuple):
    """A row of `garbage`: a shard's pieces, or (number < 0) a whole segment."""

    id: int
    sequence: int
    object: int
    number: int
    length: int
    intent: int
    group: int
    nodes: tuple[int, ...]


def collect(opened: session.Session, limit: int = ROUND_ITEMS) -> int:
    """Free up to `limit` shards or segments that no reader needs; how many were freed."""
    horizon = min((one.sequence for one in readers.pins(opened.log.roots())), default=None)
    found = opened.catalog.read(lambda one: _waste(one, horizon, limit))
    if not found:
        return 0
    fresh = [one.id for one in found if not one.intent]
    if fresh:
        opened.committer.run(Intent(fresh))
    atomic.crash_point("collect.intended")
    freed = [one for one in found if _unlink(opened, one)]
    if freed:
        opened.committer.run(changes.Recorded([["collected", [one.id for one in freed]]]))
    return len(freed)


def waiting_bytes(connection: apsw.Connection) -> int:
    """Logical bytes that wait to be freed."""
    return int(connection.execute("SELECT coalesce(sum(length), 0) FROM garbage").fetchone()[0])


def compact(opened: session.Session, limit: int = 4) -> int:
    """Copy what is live out of mostly dead segments; how many were emptied."""
    candidates = opened.catalog.read(lambda one: _mostly_dead(one, limit))
    emptied = 0
    for number in candidates:
        emptied += _empty(opened, number)
    return emptied


class Intent(Change):
    """Declare that rows of garbage are being freed; those that another process freed are gone."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def prepare(self, applier: apply.Applier) -> list[apply.Record]:
        marks = ",".join("?" * len(self._numbers))
        rows = applier.connection.execute(
            f"SELECT id FROM garbage WHERE intent=0 AND id IN ({marks})",  # noqa: S608
            self._numbers)
        left = [row[0] for row in rows]
        return [["collect", left]] if left else []


def _waste(connection: apsw.Connection, horizon: int | None, limit: int) -> list[Waste]:
    rows = connection.execute(
        "SELECT g.id, g.sequence, g.object, g.number, g.length, g.intent, l.grp, l.nodes "
        "FROM garbage AS g JOIN layouts AS l ON l.id=g.layout "
        "WHERE g.intent=1 OR g.sequence<=? ORDER BY g.id LIMIT ?",
        ((1 << 62) if horizon is None else horizon, limit))
    return [Waste(*row[:7], session.numbers_of(row[7])) for row in rows]


def _unlink(opened: session.Session, waste: Waste) -> bool:
    """Remove the files of a shard or segment; False when a node of this store could not be asked.

    A node that is away keeps its files: they are found and quarantined when it comes back.
    """
    operations = []
    for position, number in enumerate(waste.nodes):
        disk = opened.disks.get(number)
        if disk is None:
            continue
        with contextlib.suppress(node.NodeFailed):
            operations.append((disk, disk.submit(disk.remove, _path(disk, waste, position))))
    for disk, operation in operations:
        with contextlib.suppress(node.NodeFailed):
            disk.outcome(operation)
    return True


def _path(disk: node.NodeDisk, waste: Waste, position: int) -> Path:
    if waste.number == apply.WHOLE_SEGMENT:
        return disk.root / segment_writer.FOLDER / segment.file_name(waste.object)
    return disk.root / piece.group_folder(waste.group) / piece.file_name(
        waste.object, waste.number, position)


def _mostly_dead(connection: apsw.Connection, limit: int) -> list[int]:
    rows = connection.execute(
        "SELECT id FROM segments WHERE sealed=1 AND live>0 AND live<length*? "
        "ORDER BY CAST(live AS REAL)/length LIMIT ?", (LIVE_SHARE_MIN, limit))
    return [row[0] for row in rows]


def _empty(opened: session.Session, number: int) -> int:
    """Copy the live records of one segment into an open one and move the names over."""
    dataset, records = opened.catalog.read(lambda one: _live_records(one, number))
    moved: list[changes.Move] = []
    for stored in records:
        try:
            data = reading.small_bytes(opened, stored, "")
        except errors.HoldfastError:
            return 0  # what cannot be read stays where it is, and the segment with it
        move = changes.Move([[number, stored.position, 0, 0, 0]])
        moved.append(move)
        opened.segments.submit([segment_writer.SmallContent(
            dataset, b"", data, _mover(move), move.finish)])
        if len(moved) % 256 == 0:
            opened.committer.settle(move)
    atomic.crash_point("compact.copied")
    for move in moved:
        if not move.done:
            opened.committer.settle(move)
    return 1


def _mover(move: changes.Move) -> Callable[[int, int, int], list[Change]]:
    def then(to_segment: int, position: int, end: int) -> list[Change]:
        move.moves[0][2:] = [to_segment, position, end]
        return [move]

    return then


def _live_records(connection: apsw.Connection, number: int) -> tuple[int, list[reading.Stored]]:
    row = connection.execute(
        "SELECT s.dataset, l.protection, l.grp, l.nodes FROM segments AS s JOIN layouts AS l "
        "ON l.id=s.layout WHERE s.id=?", (number,)).fetchone()
    if row is None:
        return 0, []
    layout = (topology.parse_protection(row[1]), row[2], session.numbers_of(row[3]))
    rows = list(connection.execute(
        "SELECT position, size, digest FROM entries WHERE segment=? UNION "
        "SELECT position, length, digest FROM shards WHERE segment=? ORDER BY position",
        (number, number)))
    return row[0], [
        reading.Stored(0, size, digest, number, position, 0, 0, *layout)
        for position, size, digest in rows
    ]
