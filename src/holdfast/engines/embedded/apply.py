"""Turn records of the commit log into rows of the index. Deterministic, and the only writer.

The same records over the same index give the same index, on any machine: that is what makes the
index rebuildable. Nothing is judged here; `judge` does that before a record is made. Records are
lists whose first item is their kind; docs/format/commit-log.md gives each one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import apsw

from holdfast.engines.embedded import entry_buffer, index, names, segment_sums, sharing

Record = list[Any]  # a decoded msgpack array: its items have many types by nature

WHOLE_SEGMENT = -1  # `number` of a garbage row that stands for a segment

_ONLY_INSERTS = frozenset({"put", "segment", "seal", "folder"})


class Applier:
    """Applies records inside the caller's SQLite transaction; `flush` before its COMMIT.

    After a ROLLBACK call `reload`: counters are kept in memory between records.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.sequence = 0  # of the frame that is being applied; set by the caller
        self.short = False  # of space, so that only what frees some may be judged well; likewise
        self.datasets: dict[int, names.Dataset] = {}
        self._layouts: dict[tuple[int, str, int, str], int] = {}
        self._folders: dict[tuple[int, tuple[bytes, ...]], int] = {}
        self._sums = segment_sums.SegmentSums(connection)
        self._entries = entry_buffer.EntryBuffer(connection)
        self._apply: dict[str, Callable[..., None]] = {
            "store": self._store, "node": self._node, "members": self._members,
            "table": self._table, "dataset": self._dataset, "put": self._put,
            "append": self._append, "segment": self._segment, "seal": self._seal,
            "delete": self._delete, "rename": self._rename, "folder": self._folder,
            "snapshot": self._snapshot, "unsnapshot": self._unsnapshot, "move": self._move,
            "collect": self._collect, "collected": self._collected, "place": self._place,
            "image": self._image,
        }
        self.reload()

    def reload(self) -> None:
        meta = dict(self.connection.execute("SELECT key, value FROM meta"))
        self.txn = int(meta.get("txn", 0))
        self._next = {
            name: int(meta.get("next_" + name, 1)) for name in ("folder", "layout", "garbage")
        }
        self.datasets = {one.number: one for one in names.datasets(self.connection)}
        self.last_snapshot: dict[int, int] = dict(
            self.connection.execute("SELECT dataset, max(txn) FROM snapshots GROUP BY dataset")
        )
        self._folders.clear()
        self._layouts.clear()
        self._entries.forget()
        self._sums.forget()
        self._forget_sums()

    def segment_is_open(self, segment: int) -> bool:
        """Was the segment announced, with the batch so far, and not sealed since?"""
        return self._sums.is_open(segment)

    def apply(self, record: Record) -> None:
        self.txn += 1
        apply = self._apply[record[0]]
        if record[0] in _ONLY_INSERTS:
            apply(*record[1:])
            return
        self._entries.settle()
        apply(*record[1:])
        self._entries.settle()  # what was looked up meanwhile may be changed now

    def settle(self) -> None:
        """Let SQLite see all entries of the batch so far: for what reads them by itself."""
        self._entries.settle()

    def look_ahead(self, wanted: Iterable[tuple[int, tuple[bytes, ...]]]) -> None:
        """Look up the (dataset, names) of many puts together."""
        by_folder: defaultdict[int, list[bytes]] = defaultdict(list)
        for dataset, path_names in wanted:
            folder = self.folder_of(dataset, path_names[:-1]) if path_names else None
            if folder is not None:
                by_folder[folder].append(path_names[-1])
        for folder, found in by_folder.items():
            self._entries.look_ahead(folder, found)

    def flush(self) -> None:
        """Write counters and sums; call once for each batch, before COMMIT."""
        self._entries.settle()
        execute = self.connection.execute
        for layout, change in self._layout_bytes.items():
            execute("UPDATE layouts SET bytes=bytes+? WHERE id=?", (change, layout))
        self._sums.flush()
        for number in self._touched:
            row = self.datasets[number]
            execute("UPDATE datasets SET used=?, objects=? WHERE number=?",
                    (row.used, row.objects, number))
        index.set_meta(self.connection, txn=self.txn,
                       **{"next_" + name: value for name, value in self._next.items()})
        self._forget_sums()

    def folder_of(self, dataset: int, path_names: tuple[bytes, ...]) -> int | None:
        """The number of an existing folder, or None."""
        known, depth = self._known_folder(dataset, path_names)
        for end in range(depth + 1, len(path_names) + 1):
            entry = self.child(known, path_names[end - 1])
            if entry is None or entry.kind != names.FOLDER:
                return None
            known = entry.object
            self._folders[dataset, path_names[:end]] = known
        return known

    def entry_at(self, dataset: int, path_names: tuple[bytes, ...]) -> names.Entry | None:
        """The current entry, or None; the root itself is a made-up folder entry."""
        if not path_names:
            return names.root_entry(self.datasets[dataset])
        above = self.folder_of(dataset, path_names[:-1])
        return None if above is None else self.child(above, path_names[-1])

    def child(self, folder: int, name: bytes) -> names.Entry | None:
        """A current entry of a folder, with the batch so far."""
        return self._entries.child(folder, name)

    # --- store, nodes, datasets -------------------------------------------------------------

    def _store(self, store_id: str, cluster: str, groups: int, tolerated: int) -> None:
        index.set_meta(self.connection, store=store_id, cluster=cluster, groups=groups,
                       tolerated=tolerated)

    def _node(
        self, number: int, uuid: str, name: str, domain: str, weight: int, state: str, since: int
    ) -> None:
        self.connection.execute("INSERT OR REPLACE INTO nodes VALUES(?,?,?,?,?,?,?)",
                                (number, uuid, name, domain, weight, state, since))

    def _members(self, numbers: list[int], tolerated: int) -> None:
        self.connection.execute("DELETE FROM members")
        self.connection.executemany("INSERT INTO members VALUES(?)", [(one,) for one in numbers])
        index.set_meta(self.connection, tolerated=tolerated)

    def _table(self, protection: str, version: int, data: bytes) -> None:
        self.connection.execute("INSERT OR REPLACE INTO tables VALUES(?,?,?)",
                                (protection, version, data))

    def _dataset(
        self, number: int, name: str, path: str, protection: str, profile: str,
        quota: int | None, min_margin: int | None,
    ) -> None:
        old = self.datasets.get(number)
        row = names.Dataset(
            number, name, path, protection, profile, quota, min_margin,
            old.root if old else self._take("folder"),
            old.used if old else 0, old.objects if old else 0,
        )
        self.datasets[number] = row
        self.connection.execute("INSERT OR REPLACE INTO datasets VALUES(?,?,?,?,?,?,?,?,?,?)", row)

    # --- names ------------------------------------------------------------------------------

    def _put(
        self, dataset: int, path_names: list[bytes], size: int, modified_ns: int,
        digest: bytes | None, attributes: bytes | None, content: list[Any] | None,
    ) -> None:
        *above, name = path_names
        folder = self._make_folders(dataset, tuple(above))
        old = self._entries.child(folder, name)
        if old is not None:
            self._entries.settle()
            self._take_away(dataset, old)
        kind, object_id, segment, position = names.EMPTY, 0, 0, 0
        if content is not None and content[0] == "segment":
            kind, segment, position = names.SMALL, content[1], content[2]
            self._sums.count(segment, size, content[3])
        elif content is not None:
            kind, object_id = names.SHARDED, content[1]
            self._add_shards(dataset, object_id, 0, content[2])
        self._entries.insert(names.Entry(
            folder, name, self.txn, index.OPEN_END, kind, object_id, self.txn, size, modified_ns,
            digest, attributes, segment, position))
        self._count(dataset, size, 1)

    def _append(
        self, dataset: int, path_names: list[bytes], size: int, modified_ns: int,
        digest: bytes | None, shards: list[Any],
    ) -> None:
        """Grow a sharded object to `size` bytes: a new version over the same shards and more."""
        old = self.entry_at(dataset, tuple(path_names))
        assert old is not None
        self._hand_over(dataset, old, size)
        self._add_shards(dataset, old.object, old.size, shards)
        self._entries.insert(names.Entry(
            old.dir, old.name, self.txn, index.OPEN_END, old.kind, old.object, self.txn, size,
            modified_ns, digest, old.attributes, 0, 0))
        self._count(dataset, size - old.size, 0)

    def _delete(self, dataset: int, path_names: list[bytes]) -> None:
        entry = self.entry_at(dataset, tuple(path_names))
        assert entry is not None
        if entry.kind == names.FOLDER:
            for below in list(names.subtree(self.connection, entry.object)):
                self._take_away(dataset, below)
            self._folders.clear()
        self._take_away(dataset, entry)

    def _rename(self, dataset: int, source: list[bytes], target: list[bytes]) -> None:
        entry = self.entry_at(dataset, tuple(source))
        assert entry is not None
        *above, name = target
        folder = self._make_folders(dataset, tuple(above))
        self._hand_over(dataset, entry, entry.size)
        moved = entry._replace(dir=folder, name=name, txn=self.txn, txn_end=index.OPEN_END)
        self._entries.insert(moved)
        if entry.kind == names.FOLDER:
            self._folders.clear()

    def _folder(self, dataset: int, path_names: list[bytes]) -> None:
        self._make_folders(dataset, tuple(path_names))

    def _known_folder(self, dataset: int, path_names: tuple[bytes, ...]) -> tuple[int, int]:
        """(number, depth) of the deepest folder on the way that was looked up before."""
        for depth in range(len(path_names), 0, -1):
            known = self._folders.get((dataset, path_names[:depth]))
            if known is not None:
                return known, depth
        return self.datasets[dataset].root, 0

    def _make_folders(self, dataset: int, path_names: tuple[bytes, ...]) -> int:
        """The number of a folder, made with what is missing above it."""
        length = len(path_names)
        while (above := self.folder_of(dataset, path_names[:length])) is None:
            length -= 1
        for end in range(length + 1, len(path_names) + 1):
            number = self._take("folder")
            self._entries.insert(names.Entry(
                above, path_names[end - 1], self.txn, index.OPEN_END, names.FOLDER, number,
                self.txn, 0, 0, None, None, 0, 0))
            self._folders[(dataset, path_names[:end])] = above = number
        return above

    # --- snapshots --------------------------------------------------------------------------

    def _snapshot(self, dataset: int, name: str, created_ns: int) -> None:
        self.connection.execute("INSERT INTO snapshots VALUES(?,?,?,?)",
                                (dataset, name, self.txn, created_ns))
        self.last_snapshot[dataset] = self.txn

    def _unsnapshot(self, dataset: int, name: str) -> None:
        execute = self.connection.execute
        gone = self._snapshot_txn(dataset, name)
        execute("DELETE FROM snapshots WHERE dataset=? AND name=?", (dataset, name))
        before = execute("SELECT max(txn) FROM snapshots WHERE dataset=? AND txn<?",
                         (dataset, gone)).fetchone()
        after = execute("SELECT min(txn) FROM snapshots WHERE dataset=? AND txn>?",
                        (dataset, gone)).fetchone()
        assert before is not None
        assert after is not None
        if after[0] is None:
            self.last_snapshot[dataset] = before[0] or 0
        # What no snapshot sees any more began after the one before and ended before the one after.
        unseen = list(execute(
            "SELECT txn_end, dir, name, txn FROM closed WHERE dataset=? AND txn_end>? "
            "AND txn_end<=? AND txn>? AND txn<=?",
            (dataset, gone, after[0] or self.txn, before[0] or 0, gone)))
        for txn_end, *key in unseen:
            self._forget_closed(dataset, txn_end, key)

    def _snapshot_txn(self, dataset: int, name: str) -> int:
        row = self.connection.execute(
            "SELECT txn FROM snapshots WHERE dataset=? AND name=?", (dataset, name)).fetchone()
        assert row is not None
        return int(row[0])

    def _forget_closed(self, dataset: int, txn_end: int, key: list[Any]) -> None:
        execute = self.connection.execute
        found = execute(f"SELECT {names.COLUMNS} FROM entries "  # noqa: S608
                        "WHERE dir=? AND name=? AND txn=?", key).fetchone()
        assert found is not None
        execute("DELETE FROM entries WHERE dir=? AND name=? AND txn=?", key)
        execute("DELETE FROM closed WHERE dataset=? AND txn_end=? AND dir=? AND name=? AND txn=?",
                (dataset, txn_end, *key))
        self._free(names.Entry(*found))

    # --- segments, placement and garbage ----------------------------------------------------

    def _segment(
        self, segment: int, dataset: int, protection: str, group: int, nodes: list[int]
    ) -> None:
        layout = self._layout(dataset, protection, group, nodes)
        self._sums.add(segment, dataset, layout)

    def _seal(self, segment: int) -> None:
        self._waste_segment(segment, self._sums.seal(segment))

    def _move(self, moves: list[list[int]]) -> None:
        """Records of small objects lie elsewhere: [segment, position, segment, position, end]."""
        execute = self.connection.execute
        for segment, position, to_segment, to_position, end in moves:
            key = (to_segment, to_position, segment, position)
            for table, column in (("entries", "size"), ("shards", "length")):
                rows = list(execute(
                    f"SELECT {column} FROM {table} WHERE segment=? AND position=?",  # noqa: S608
                    (segment, position)))
                if not rows:
                    continue
                execute(f"UPDATE {table} SET segment=?, position=? "  # noqa: S608
                        "WHERE segment=? AND position=?", key)
                self._sums.count(to_segment, rows[0][0], end)
                self._uncount(segment, rows[0][0])
                break

    def _place(self, object_id: int, offset: int, nodes: list[int]) -> None:
        """The pieces of one shard lie on these nodes now."""
        execute = self.connection.execute
        row = execute(
            "SELECT s.layout, s.length, l.dataset, l.protection, l.grp FROM shards AS s "
            "JOIN layouts AS l ON l.id=s.layout WHERE s.object=? AND s.offset=?",
            (object_id, offset)).fetchone()
        assert row is not None
        layout, length, dataset, protection, group = row
        fresh = self._layout(dataset, protection, group, nodes)
        execute("UPDATE shards SET layout=? WHERE object=? AND offset=?",
                (fresh, object_id, offset))
        self._layout_bytes[layout] -= length
        self._layout_bytes[fresh] += length

    def _collect(self, numbers: list[int]) -> None:
        """The intent: these may be unlinked from now on, whatever happens."""
        self.connection.executemany("UPDATE garbage SET intent=1 WHERE id=?",
                                    [(one,) for one in numbers])

    def _collected(self, numbers: list[int]) -> None:
        self.connection.executemany("DELETE FROM garbage WHERE id=?", [(one,) for one in numbers])

    def _image(self, sequence: int, digest: bytes, size: int) -> None:
        index.set_meta(self.connection, image_sequence=sequence, image_digest=digest,
                       image_size=size)

    # --- helpers ----------------------------------------------------------------------------

    def _add_shards(
        self, dataset: int, object_id: int, offset: int, shards: list[Any]
    ) -> None:
        """Rows of pieces keep in `position` the id under which their files are named."""
        for shard in shards:
            number = 0
            if shard[0] == "segment":
                _, segment, position, length, digest, end = shard
                layout = 0
                self._sums.count(segment, length, end)
            else:
                _, length, digest, protection, group, nodes, position, number = shard
                segment = 0
                layout = self._layout(dataset, protection, group, nodes)
                self._layout_bytes[layout] += length
            self.connection.execute("INSERT INTO shards VALUES(?,?,?,?,?,?,?,?)", (
                object_id, offset, number, length, digest, layout, segment, position))
            offset += length

    def _take_away(self, dataset: int, entry: names.Entry) -> None:
        """End an entry: it is no longer seen, except by snapshots."""
        if entry.kind != names.FOLDER:
            self._count(dataset, -entry.size, -1)
        if not self._close_or_remove(dataset, entry):
            self._free(entry)

    def _hand_over(self, dataset: int, entry: names.Entry, size: int) -> None:
        """End an entry; a new row of `size` bytes takes over its content."""
        closed = self._close_or_remove(dataset, entry)
        if entry.kind in (names.SMALL, names.SHARDED):
            (sharing.share if closed else sharing.replace)(self.connection, entry, size)

    def _close_or_remove(self, dataset: int, entry: names.Entry) -> bool:
        """True: a snapshot still sees the row, so it was closed; False: the row is gone."""
        key = (entry.dir, entry.name, entry.txn)
        if entry.txn > self.last_snapshot.get(dataset, 0):
            self.connection.execute("DELETE FROM entries WHERE dir=? AND name=? AND txn=?", key)
            return False
        self.connection.execute("UPDATE entries SET txn_end=? WHERE dir=? AND name=? AND txn=?",
                                (self.txn, *key))
        self.connection.execute("INSERT INTO closed VALUES(?,?,?,?,?)", (dataset, self.txn, *key))
        return True

    def _free(self, entry: names.Entry) -> None:
        """A view of an entry is gone: what of its content nothing else sees becomes garbage."""
        if entry.kind in (names.FOLDER, names.EMPTY):
            return
        seen = sharing.let_go(self.connection, entry)
        if entry.kind == names.SHARDED:
            self._free_shards(entry.object, seen)
        elif not seen:
            self._uncount(entry.segment, entry.size)

    def _free_shards(self, object_id: int, offset: int) -> None:
        """The shards of an object from `offset` on."""
        execute = self.connection.execute
        for number, length, layout, segment, position in list(execute(
                "SELECT number, length, layout, segment, position FROM shards "
                "WHERE object=? AND offset>=?", (object_id, offset))):
            if segment:
                self._uncount(segment, length)
            else:
                self._layout_bytes[layout] -= length
                self._waste(position, number, layout, length)
        execute("DELETE FROM shards WHERE object=? AND offset>=?", (object_id, offset))

    def _uncount(self, segment: int, size: int) -> None:
        self._waste_segment(segment, self._sums.uncount(segment, size))

    def _waste_segment(self, segment: int, gone: segment_sums.Sums | None) -> None:
        if gone is not None:
            self._waste(segment, WHOLE_SEGMENT, gone.layout, gone.length)

    def _waste(self, object_id: int, number: int, layout: int, length: int) -> None:
        self.connection.execute("INSERT INTO garbage VALUES(?,?,?,?,?,?,0)", (
            self._take("garbage"), self.sequence, object_id, number, layout, length))

    def _layout(self, dataset: int, protection: str, group: int, nodes: list[int]) -> int:
        shown = ",".join(map(str, nodes))
        key = (dataset, protection, group, shown)
        known = self._layouts.get(key)
        if known is not None:
            return known
        row = self.connection.execute(
            "SELECT id FROM layouts WHERE dataset=? AND protection=? AND grp=? AND nodes=?",
            key).fetchone()
        number = row[0] if row else self._take("layout")
        if row is None:
            self.connection.execute("INSERT INTO layouts VALUES(?,?,?,?,?,0)", (number, *key))
        self._layouts[key] = number
        return number

    def _count(self, dataset: int, size: int, count: int) -> None:
        row = self.datasets[dataset]
        self.datasets[dataset] = row._replace(used=row.used + size, objects=row.objects + count)
        self._touched.add(dataset)

    def _take(self, counter: str) -> int:
        self._next[counter] += 1
        return self._next[counter] - 1

    def _forget_sums(self) -> None:
        self._layout_bytes: defaultdict[int, int] = defaultdict(int)
        self._touched: set[int] = set()

