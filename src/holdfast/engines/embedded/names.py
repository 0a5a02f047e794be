"""Where names live: from a path to a row of the index, now or at a snapshot. Reads only.

A folder is a number; an entry (folder, name) points to an object or to another folder and is valid
for the transactions `txn <= t < txn_end`. So a snapshot is one number, and renaming a folder moves
one row, whatever lies below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from holdfast.engines import refusals
from holdfast.engines.embedded import index
from holdfast.model import objects

FOLDER, EMPTY, SMALL, SHARDED = 0, 1, 2, 3  # kinds of an entry
PAGE_ROWS = 1000

# What is put into SQL text here is this constant and never a value.
COLUMNS = (
    "dir, name, txn, txn_end, kind, object, version, size, modified_ns, digest, attributes, "
    "segment, position"
)
_NOW, _AT = "txn_end=?", "txn<=? AND txn_end>?"
_CHILD = f"SELECT {COLUMNS} FROM entries WHERE dir=? AND name=? AND "  # noqa: S608
_PAGE = f"SELECT {COLUMNS} FROM entries WHERE dir=? AND name>? AND "  # noqa: S608
_CHILD_NOW, _CHILD_AT = _CHILD + _NOW, _CHILD + _AT
_PAGE_NOW, _PAGE_AT = (f"{_PAGE}{when} ORDER BY name LIMIT ?" for when in (_NOW, _AT))


class Entry(NamedTuple):
    """A row of `entries`. `object`: the folder's number, or the object's id when it is sharded."""

    dir: int
    name: bytes
    txn: int
    txn_end: int
    kind: int
    object: int
    version: int
    size: int
    modified_ns: int
    digest: bytes | None
    attributes: bytes | None
    segment: int
    position: int


class Dataset(NamedTuple):
    """A row of `datasets`; `root` is the number of its top folder."""

    number: int
    name: str
    path: str
    protection: str
    profile: str
    quota: int | None
    min_margin: int | None
    root: int
    used: int
    objects: int


class Place(NamedTuple):
    """A path taken apart. `at` is the transaction of a snapshot, None for now.

    `dataset` None: a folder above the datasets. `listing_snapshots`: `<dataset>/.snapshot` itself.
    """

    path: str
    dataset: Dataset | None
    names: tuple[bytes, ...]
    at: int | None = None
    snapshot: str | None = None
    listing_snapshots: bool = False


def datasets(connection: apsw.Connection) -> list[Dataset]:
    rows = connection.execute(
        "SELECT number, name, path, protection, profile, quota, min_margin, root, used, objects "
        "FROM datasets"
    )
    return [Dataset(*row) for row in rows]


def locate(connection: apsw.Connection, path: str) -> Place:
    """Take a path apart. Raises NotFoundError outside every dataset, or for an unknown snapshot."""
    known = datasets(connection)
    for dataset in known:
        if path == dataset.path or path.startswith(dataset.path + "/"):
            return _inside(connection, path, dataset)
    above = path.rstrip("/") + "/"
    if path == "/" or any(one.path.startswith(above) for one in known):
        return Place(path, None, ())
    raise refusals.no_object(path, (one.path for one in known))


def find(connection: apsw.Connection, place: Place) -> Entry | None:
    """The entry at a place inside a dataset; the dataset's own folder is a made-up entry."""
    if place.dataset is None:
        return None
    entry = root_entry(place.dataset)
    for name in place.names:
        if entry.kind != FOLDER:
            return None
        found = child(connection, entry.object, name, place.at)
        if found is None:
            return None
        entry = found
    return entry


def child(
    connection: apsw.Connection, folder: int, name: bytes, at: int | None = None
) -> Entry | None:
    if at is None:
        row = connection.execute(_CHILD_NOW, (folder, name, index.OPEN_END)).fetchone()
    else:
        row = connection.execute(_CHILD_AT, (folder, name, at, at)).fetchone()
    return Entry(*row) if row else None


def page(
    connection: apsw.Connection, folder: int, after: bytes, at: int | None
) -> list[Entry]:
    """Up to PAGE_ROWS entries of a folder whose names come after `after`, in byte order."""
    if at is None:
        rows = connection.execute(_PAGE_NOW, (folder, after, index.OPEN_END, PAGE_ROWS))
    else:
        rows = connection.execute(_PAGE_AT, (folder, after, at, at, PAGE_ROWS))
    return [Entry(*row) for row in rows]


def subtree(connection: apsw.Connection, folder: int) -> Iterator[Entry]:
    """All current entries below a folder, parents before children."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        after = b""
        while rows := page(connection, current, after, None):
            for entry in rows:
                yield entry
                if entry.kind == FOLDER:
                    waiting.append(entry.object)
            after = rows[-1].name


def is_empty(connection: apsw.Connection, folder: int) -> bool:
    sql = "SELECT 1 FROM entries WHERE dir=? AND txn_end=? LIMIT 1"
    return connection.execute(sql, (folder, index.OPEN_END)).fetchone() is None


def root_entry(dataset: Dataset) -> Entry:
    return Entry(0, b"", 0, index.OPEN_END, FOLDER, dataset.root, 0, 0, 0, None, None, 0, 0)


def _inside(connection: apsw.Connection, path: str, dataset: Dataset) -> Place:
    names = objects.components(path[len(dataset.path):])
    if not names or names[0] != objects.SNAPSHOT_FOLDER.encode():
        return Place(path, dataset, names)
    if len(names) == 1:
        return Place(path, dataset, (), listing_snapshots=True)
    name = names[1].decode()
    row = connection.execute(
        "SELECT txn FROM snapshots WHERE dataset=? AND name=?", (dataset.number, name)
    ).fetchone()
    if row is None:
        raise refusals.no_snapshot(dataset.name, name)
    return Place(path, dataset, names[2:], at=row[0], snapshot=name)

