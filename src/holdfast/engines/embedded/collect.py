"""Free what nothing refers to any more.

Order: an unreferencing commit, beyond every reader's horizon; a durable intent; the unlinking, made
durable; a record that it is done. Each step may be repeated after a crash; none runs ahead of the
one before. Ids are random and never used twice, so a late repetition can hit nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from holdfast.engines.embedded import (
    apply,
    node,
    piece,
    readers,
    segment,
    segment_writer,
    session,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import atomic
from holdfast.model import topology

ROUND_ITEMS = 512


class Waste(NamedTuple):
    """A row of `garbage`: a shard's pieces, or (number < 0) a whole segment."""

    id: int
    object: int
    number: int
    intent: int
    group: int
    nodes: tuple[int, ...]


def collect_all(opened: session.Session) -> int:
    """Free all that can be freed now; how many shards and segments."""
    freed = 0
    while count := collect(opened):
        freed += count
    return freed


def collect(opened: session.Session, limit: int = ROUND_ITEMS) -> int:
    """Free up to `limit` shards or segments that no reader needs; how many were freed.

    What lies on a node that is away stays listed until the node is back, or was removed for good.
    """
    horizon = _horizon(opened)
    away = _away(opened)
    found = opened.catalog.read(lambda one: _waste(one, horizon, away, limit))
    if not found:
        return 0
    fresh = [one.id for one in found if not one.intent]
    if fresh:
        opened.committer.run(Intent(fresh))
    atomic.crash_point("collect.intended")
    failed = _unlink(opened, found) | away
    opened.segment_files.forget_removed()
    freed = [one.id for one in found if failed.isdisjoint(one.nodes)]
    if freed:
        opened.log.reserve.refill()
        opened.committer.run(Done(freed))
    return len(freed)


def waiting_bytes(connection: apsw.Connection) -> int:
    """Logical bytes that wait to be freed."""
    row = connection.execute("SELECT coalesce(sum(length), 0) FROM garbage").fetchone()
    assert row is not None
    return int(row[0])


class Intent(Change):
    """Declare that rows of garbage are being freed; those that another process freed are gone."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def prepare(self, applier: apply.Applier) -> list[apply.Record]:
        left = _rows_of(applier.connection, self._numbers, intent=0)
        return [["collect", left]] if left else []


class Done(Change):
    """The files of rows of garbage are gone."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__()
        self._numbers = numbers

    def prepare(self, applier: apply.Applier) -> list[apply.Record]:
        left = _rows_of(applier.connection, self._numbers, intent=1)
        return [["collected", left]] if left else []


def _horizon(opened: session.Session) -> int:
    """What was freed up to this commit, no reader can reach any more.

    The own view is taken before the slots are looked at: a reader that pins later looks names up
    after that, so it sees at least this commit.
    """
    seen = opened.catalog.read(_position)
    return min([seen, *(one.sequence for one in readers.pins(opened.log.roots()))])


def _position(connection: apsw.Connection) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key='sequence'").fetchone()
    return int(row[0]) if row else 0


def _away(opened: session.Session) -> frozenset[int]:
    """Nodes whose files cannot be removed now, but may come back."""
    up = opened.up()
    return frozenset(
        one.number for one in opened.nodes().nodes
        if one.number not in up and one.state is not topology.NodeState.REMOVED)


def _waste(
    connection: apsw.Connection, horizon: int, away: frozenset[int], limit: int
) -> list[Waste]:
    """Fresh garbage first; then what was begun before and can be finished now."""
    begun = connection.execute(
        "SELECT id, nodes FROM layouts WHERE id IN (SELECT layout FROM garbage WHERE intent=1)")
    waiting = [row[0] for row in begun if not away.isdisjoint(session.numbers_of(row[1]))]
    rows = connection.execute(
        "SELECT g.id, g.object, g.number, g.intent, l.grp, l.nodes "
        "FROM garbage AS g JOIN layouts AS l ON l.id=g.layout "
        "WHERE (g.intent=0 AND g.sequence<=?) OR (g.intent=1 AND g.layout NOT IN "
        "(SELECT value FROM json_each(?))) ORDER BY g.intent, g.id LIMIT ?",
        (horizon, json.dumps(waiting), limit))
    return [
        Waste(number, shard, part, intent, group, session.numbers_of(nodes))
        for number, shard, part, intent, group, nodes in rows
    ]


def _unlink(opened: session.Session, found: Iterable[Waste]) -> frozenset[int]:
    """Remove the files of shards and segments, durably; the nodes where that failed."""
    paths: defaultdict[int, list[Path]] = defaultdict(list)
    for one in found:
        for position, number in enumerate(one.nodes):
            if number in opened.disks:
                paths[number].append(_path(opened.disks[number], one, position))
    operations = []
    failed = set()
    for number, files in paths.items():
        disk = opened.disks[number]
        try:
            operations.append((disk, disk.submit(_remove_files, disk, files)))
        except node.NodeFailed:
            failed.add(number)
    for disk, operation in operations:
        try:
            disk.outcome(operation)
        except node.NodeFailed:
            failed.add(disk.number)
    return frozenset(failed)


def _remove_files(disk: node.NodeDisk, files: Sequence[Path]) -> None:
    disk.check_sentinel()
    for path in files:
        disk.remove(path)
    for folder in dict.fromkeys(path.parent for path in files):
        with contextlib.suppress(FileNotFoundError):
            atomic.sync_folder(folder, point="collect.sync")


def _path(disk: node.NodeDisk, waste: Waste, position: int) -> Path:
    if waste.number == apply.WHOLE_SEGMENT:
        return disk.root / segment_writer.FOLDER / segment.file_name(waste.object)
    return disk.root / piece.group_folder(waste.group) / piece.file_name(
        waste.object, waste.number, position)


def _rows_of(connection: apsw.Connection, numbers: Sequence[int], *, intent: int) -> list[int]:
    rows = connection.execute(
        "SELECT id FROM garbage WHERE intent=? AND id IN (SELECT value FROM json_each(?)) "
        "ORDER BY id", (intent, json.dumps(list(numbers))))
    return [row[0] for row in rows]
