"""The changes that clients ask for: each judges itself and says what to record.

`prepare` runs in the committing thread against the index with the batch so far, so that what it
decides is still true when it becomes visible.
"""

from __future__ import annotations

from typing import Any

from holdfast import errors
from holdfast.engines import refusals
from holdfast.engines.embedded import committer, names
from holdfast.engines.embedded.apply import Applier, Record

Names = tuple[bytes, ...]


class Recorded(committer.Change):
    """Records that need no judging, such as those of a new node."""

    def __init__(self, records: list[Record]) -> None:
        super().__init__()
        self._records = records

    def prepare(self, applier: Applier) -> list[Record]:
        del applier
        return self._records


class Put(committer.Change):
    """Make an object visible. `expected` is the version that it must replace, if any."""

    def __init__(  # noqa: PLR0913 - the fields of its record
        self, dataset: names.Dataset, path: str, *, size: int, modified_ns: int,
        digest: bytes | None, attributes: bytes | None, overwrite: bool,
        expected: int | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.path = path
        self.names = _names(dataset, path)
        self.looks_up = (dataset.number, self.names)
        self.size = size
        self.modified_ns = modified_ns
        self.digest = digest
        self.attributes = attributes
        self.overwrite = overwrite
        self.expected = expected
        self.content: list[Any] | None = None

    def prepare(self, applier: Applier) -> list[Record]:
        check_space(applier)
        old = judge_put(applier, self.dataset, self.names, self.path, overwrite=self.overwrite)
        if self.expected is not None and (old is None or old.version != self.expected):
            raise refusals.changed(self.path, f"{self.expected:x}")
        check_quota(applier, self.dataset.number, self.size - (old.size if old else 0))
        _check_segments(applier, self.content)
        return [["put", self.dataset.number, list(self.names), self.size, self.modified_ns,
                 self.digest, self.attributes, self.content]]


class Append(committer.Change):
    """Add shards to the sharded object `object_id`."""

    def __init__(
        self, dataset: names.Dataset, path: str, object_id: int, *, at_size: int | None,
        modified_ns: int, shards: list[Any],
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.path = path
        self.names = _names(dataset, path)
        self.object_id = object_id
        self.at_size = at_size
        self.modified_ns = modified_ns
        self.shards = shards
        self.size = 0

    def prepare(self, applier: Applier) -> list[Record]:
        check_space(applier)
        old = applier.entry_at(self.dataset.number, self.names)
        if old is None or old.kind != names.SHARDED or old.object != self.object_id:
            raise refusals.changed(self.path, "")
        if self.at_size is not None and old.size != self.at_size:
            raise refusals.append_size_changed(self.path, old.size, self.at_size)
        added = sum(shard[3] if shard[0] == "segment" else shard[1] for shard in self.shards)
        check_quota(applier, self.dataset.number, added)
        _check_segments(applier, ["object", self.object_id, self.shards])
        self.size = old.size + added
        return [["append", self.dataset.number, list(self.names), self.size, self.modified_ns,
                 None, self.shards]]


class Move(committer.Change):
    """Records of small objects were copied elsewhere: [segment, position, segment, position, end].

    Moves of what is gone meanwhile are left out.
    """

    def __init__(self, moves: list[list[int]]) -> None:
        super().__init__()
        self.moves = moves

    def prepare(self, applier: Applier) -> list[Record]:
        execute = applier.connection.execute
        alive = [
            move for move in self.moves
            if execute("SELECT 1 FROM entries WHERE segment=? AND position=? UNION ALL "
                       "SELECT 1 FROM shards WHERE segment=? AND position=? LIMIT 1",
                       (move[0], move[1], move[0], move[1])).fetchone()
        ]
        if not all(applier.segment_is_open(move[2]) for move in alive):
            return []
        return [["move", alive]] if alive else []


class Delete(committer.Change):
    """Remove an object, or a folder with what is below it."""

    def __init__(
        self, dataset: names.Dataset, path: str, *, recursive: bool, folder_only: bool = False
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.path = path
        self.names = _names(dataset, path)
        self.recursive = recursive
        self.folder_only = folder_only

    def prepare(self, applier: Applier) -> list[Record]:
        if not self.names:
            raise refusals.dataset_root(self.path, self.dataset.name)
        entry = applier.entry_at(self.dataset.number, self.names)
        if entry is None:
            raise _missing(applier, self.path)
        if entry.kind != names.FOLDER:
            if self.folder_only:
                raise refusals.folder_is_object(self.path)
        elif not self.recursive and not names.is_empty(applier.connection, entry.object):
            raise refusals.folder_not_empty(self.path)
        return [["delete", self.dataset.number, list(self.names)]]


class Rename(committer.Change):
    """Give an object or a folder another name in the same dataset."""

    def __init__(self, dataset: names.Dataset, source: str, target: str) -> None:
        super().__init__()
        self.dataset = dataset
        self.source, self.target = source, target
        self.old, self.new = _names(dataset, source), _names(dataset, target)

    def prepare(self, applier: Applier) -> list[Record]:
        check_space(applier)
        number = self.dataset.number
        entry = applier.entry_at(number, self.old)
        if entry is None:
            raise _missing(applier, self.source)
        if self.old == self.new:
            return []
        if self.new[: len(self.old)] == self.old:
            raise refusals.into_itself(self.source, self.target)
        if applier.entry_at(number, self.new) is not None:
            raise refusals.exists(self.target)
        _check_parents(applier, number, self.new, self.target)
        return [["rename", number, list(self.old), list(self.new)]]


class MakeFolder(committer.Change):
    """Make a folder, and those above it; one that is there is fine."""

    def __init__(self, dataset: names.Dataset, path: str) -> None:
        super().__init__()
        self.dataset = dataset
        self.path = path
        self.names = _names(dataset, path)

    def prepare(self, applier: Applier) -> list[Record]:
        entry = applier.entry_at(self.dataset.number, self.names)
        if entry is not None:
            if entry.kind != names.FOLDER:
                raise refusals.exists(self.path)
            return []
        check_space(applier)
        _check_parents(applier, self.dataset.number, self.names, self.path)
        return [["folder", self.dataset.number, list(self.names)]]


class Snapshot(committer.Change):
    """Keep what the dataset holds at this commit."""

    def __init__(self, dataset: str, name: str, created_ns: int) -> None:
        super().__init__()
        self.dataset = dataset
        self.name = name
        self.created_ns = created_ns

    def prepare(self, applier: Applier) -> list[Record]:
        check_space(applier)
        dataset = dataset_named(applier, self.dataset)
        if _has_snapshot(applier, dataset.number, self.name):
            raise refusals.snapshot_exists(self.dataset, self.name)
        return [["snapshot", dataset.number, self.name, self.created_ns]]


class Unsnapshot(committer.Change):
    """Let go of what only this snapshot still sees."""

    def __init__(self, dataset: str, name: str) -> None:
        super().__init__()
        self.dataset = dataset
        self.name = name

    def prepare(self, applier: Applier) -> list[Record]:
        dataset = dataset_named(applier, self.dataset)
        if not _has_snapshot(applier, dataset.number, self.name):
            raise refusals.no_snapshot(self.dataset, self.name)
        return [["unsnapshot", dataset.number, self.name]]


def judge_put(
    applier: Applier, dataset: names.Dataset, path_names: Names, path: str, *, overwrite: bool
) -> names.Entry | None:
    """The object that a put would replace. Raises RefusedError where it may not."""
    old = applier.entry_at(dataset.number, path_names)
    if old is None:
        _check_parents(applier, dataset.number, path_names, path)
        return None
    if old.kind == names.FOLDER:
        raise refusals.is_folder(path)
    if not overwrite:
        raise refusals.exists(path)
    return old


def check_space(applier: Applier) -> None:
    """Raises RefusedError while only what frees space may be done."""
    if applier.short:
        raise no_room()


def no_room() -> errors.RefusedError:
    return errors.RefusedError(
        "space.full", "the nodes have no room for this object",
        hint="remove something (holdfast rm works on a full store), or add a node",
    )


def check_quota(applier: Applier, dataset: int, grown: int) -> None:
    row = applier.datasets[dataset]
    if row.quota is not None and grown > 0 and row.used + grown > row.quota:
        raise refusals.quota_full(row.name, row.used, row.quota, grown)


def dataset_named(applier: Applier, name: str) -> names.Dataset:
    for row in applier.datasets.values():
        if row.name == name:
            return row
    raise refusals.no_dataset(name)


def _check_parents(applier: Applier, dataset: int, path_names: Names, path: str) -> None:
    """Raises RefusedError when one of the names above is an object."""
    above = path_names[:-1]
    if applier.folder_of(dataset, above) is not None:
        return
    folder = applier.datasets[dataset].root
    for name in above:
        entry = applier.child(folder, name)
        if entry is None:
            return
        if entry.kind != names.FOLDER:
            raise refusals.parent_is_object(path)
        folder = entry.object


def _check_segments(applier: Applier, content: list[Any] | None) -> None:
    """Raises UnavailableError when a segment was not announced, or another process sealed it."""
    if content is None:
        return
    used = [content[1]] if content[0] == "segment" else [
        shard[1] for shard in content[2] if shard[0] == "segment"
    ]
    if not all(applier.segment_is_open(number) for number in used):
        raise errors.UnavailableError(
            "commit.segment_lost", "the segment of this object could not be announced",
            hint="try again; holdfast status shows what is wrong with the commit log",
        )


def _has_snapshot(applier: Applier, dataset: int, name: str) -> bool:
    row = applier.connection.execute(
        "SELECT 1 FROM snapshots WHERE dataset=? AND name=?", (dataset, name)).fetchone()
    return row is not None


def _missing(applier: Applier, path: str) -> errors.NotFoundError:
    return refusals.no_object(path, (one.path for one in applier.datasets.values()))


def _names(dataset: names.Dataset, path: str) -> Names:
    return tuple(name.encode() for name in path[len(dataset.path):].split("/") if name)
