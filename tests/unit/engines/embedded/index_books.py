"""The index without disks: batches judged and applied as the catalog does, and its books checked.

`Books` keeps every frame, so that a test can rebuild the index from them and compare all tables.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import apsw

from holdfast import errors
from holdfast.engines.embedded import apply, committer, index, names, segment_sums

DATASETS = ("replicas 2", "erasure 2+1")
NODES = [1, 2, 3]
View = dict[str, tuple[int, int]]


def empty_index() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    index.prepare(connection)
    return connection


class Books:
    """An index with two datasets, and the frames that made it."""

    def __init__(self) -> None:
        self.connection = empty_index()
        self.applier = apply.Applier(self.connection)
        self.frames: list[list[apply.Record]] = []
        self.commit([
            Recorded(["dataset", number, f"set{number}", f"/{number}", protection,
                              "general", None, None])
            for number, protection in enumerate(DATASETS, start=1)
        ])

    def dataset(self, number: int) -> names.Dataset:
        return self.applier.datasets[number]

    def commit(self, requests: Iterable[committer.Change]) -> list[BaseException | None]:
        """Judge and apply a batch; what each request was told."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.applier.sequence = len(self.frames) + 1
        told: list[BaseException | None] = []
        records: list[apply.Record] = []
        for request in requests:
            try:
                made = request.prepare(self.applier)
            except errors.HoldfastError as error:
                told.append(error)
                continue
            for record in made:
                self.applier.apply(record)
            request.applied(self.applier)
            records += made
            told.append(None)
        if not records:
            self.connection.execute("ROLLBACK")
            self.applier.reload()
            return told
        self.applier.flush()
        self.connection.execute("COMMIT")
        self.frames.append(records)
        return told

    def rebuilt(self, frames_at_once: int) -> apsw.Connection:
        """A new index from the frames, some to a SQLite transaction."""
        connection = empty_index()
        applier = apply.Applier(connection)
        for start in range(0, len(self.frames), frames_at_once):
            connection.execute("BEGIN IMMEDIATE")
            for number, records in enumerate(
                    self.frames[start : start + frames_at_once], start=start + 1):
                applier.sequence = number
                for record in records:
                    applier.apply(record)
            applier.flush()
            connection.execute("COMMIT")
        return connection

    def view(self, dataset: int, at: int | None = None) -> View:
        return view(self.connection, self.dataset(dataset).root, "", at)


class Recorded(committer.Change):
    """Records that are not judged."""

    def __init__(self, *records: apply.Record) -> None:
        super().__init__()
        self._records = list(records)

    def prepare(self, applier: apply.Applier) -> list[apply.Record]:
        return self._records


def view(connection: apsw.Connection, folder: int, above: str, at: int | None) -> View:
    """Every object below a folder: path to (version, size)."""
    found: View = {}
    for entry in names.page(connection, folder, b"", at):
        path = f"{above}/{entry.name.decode()}"
        if entry.kind == names.FOLDER:
            found |= view(connection, entry.object, path, at)
        else:
            found[path] = (entry.version, entry.size)
    return found


def dump(connection: apsw.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    tables = [row[0] for row in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name")]
    return {
        name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables
    }


def wrong_sums(connection: apsw.Connection) -> list[str]:
    """Every counter of the index that is not what one counts from the rows."""
    wrong = []
    for row in names.datasets(connection):
        seen = view(connection, row.root, "", None)
        counted = (sum(size for _, size in seen.values()), len(seen))
        if counted != (row.used, row.objects):
            wrong.append(f"dataset {row.name}: {row.used, row.objects}, counted {counted}")
    checks = {
        "layouts": (_stored_bytes(connection),
                    dict(connection.execute("SELECT layout, sum(length) FROM shards "
                                            "WHERE segment=0 GROUP BY layout"))),
        "segments": (_segments(connection), _counted_segments(connection)),
        "shared": (_shared(connection), _counted_shared(connection)),
        "closed": (set(connection.execute("SELECT txn_end, dir, name, txn FROM closed")),
                   set(connection.execute("SELECT txn_end, dir, name, txn FROM entries "
                                          "WHERE txn_end<?", (index.OPEN_END,)))),
    }
    wrong += [f"{name}: {kept}, counted {counted}"
              for name, (kept, counted) in checks.items() if kept != counted]
    return wrong + _needless(connection)


def pieces_of(connection: apsw.Connection) -> set[tuple[int, int]]:
    """(id, shard) of every shard that is stored as pieces and needed."""
    return set(connection.execute("SELECT position, number FROM shards WHERE segment=0"))


def _stored_bytes(connection: apsw.Connection) -> dict[int, int]:
    return dict(connection.execute("SELECT id, bytes FROM layouts WHERE bytes<>0"))


def _segments(connection: apsw.Connection) -> dict[int, tuple[int, int]]:
    return {number: (live, content) for number, live, content in connection.execute(
        "SELECT id, live, content FROM segments") if live}


def _counted_segments(connection: apsw.Connection) -> dict[int, tuple[int, int]]:
    records = set(connection.execute(
        "SELECT segment, position, size FROM entries WHERE segment>0 UNION "
        "SELECT segment, position, length FROM shards WHERE segment>0"))
    live: Counter[int] = Counter()
    content: Counter[int] = Counter()
    for number, _, size in records:
        live[number] += size + segment_sums.RECORD_OVERHEAD
        content[number] += size
    return {number: (live[number], content[number]) for number in live}


def _shared(connection: apsw.Connection) -> dict[int, dict[int, int]]:
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for content, size, rows in connection.execute("SELECT content, size, rows FROM shared"):
        found[content][size] = rows
    return dict(found)


def _counted_shared(connection: apsw.Connection) -> dict[int, dict[int, int]]:
    rows: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for kind, shard, version, size in connection.execute(
            "SELECT kind, object, version, size FROM entries WHERE kind>=?", (names.SMALL,)):
        rows[shard if kind == names.SHARDED else version][size] += 1
    return {content: dict(sizes) for content, sizes in rows.items() if sizes.total() > 1}


def _needless(connection: apsw.Connection) -> list[str]:
    """Rows that nobody needs: kept for no snapshot, or shards beyond every view of their object."""
    unseen = connection.execute(
        "SELECT dir, name, txn FROM closed AS c WHERE NOT EXISTS (SELECT 1 FROM snapshots AS s "
        "WHERE s.dataset=c.dataset AND s.txn>=c.txn AND s.txn<c.txn_end)").fetchall()
    beyond = connection.execute(
        "SELECT object, offset FROM shards AS s WHERE offset>=(SELECT coalesce(max(size), 0) "
        "FROM entries AS e WHERE e.kind=3 AND e.object=s.object)").fetchall()
    return [f"kept for no snapshot: {row}" for row in unseen] + [
        f"a shard that nothing sees: {row}" for row in beyond]
