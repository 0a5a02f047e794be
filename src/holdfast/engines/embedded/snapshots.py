"""Snapshots and the change feed between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import apsw

from holdfast.engines import refusals
from holdfast.engines.embedded import changes, listing, names, session
from holdfast.kit import clock
from holdfast.model import objects, snapshot

Walk = Iterator[tuple[str, names.Entry]]


def create(opened: session.Session, dataset: str, name: str) -> snapshot.SnapshotInfo:
    refusals.check_snapshot_name(name)
    row = dataset_row(opened, dataset)
    created_ns = clock.SYSTEM.now_ns()
    opened.committer.run(changes.Snapshot(dataset, name, created_ns))
    return _info(row, name, created_ns)


def remove(opened: session.Session, dataset: str, name: str) -> None:
    dataset_row(opened, dataset)
    opened.committer.run(changes.Unsnapshot(dataset, name))


def list_all(opened: session.Session, dataset: str) -> tuple[snapshot.SnapshotInfo, ...]:
    row = dataset_row(opened, dataset)

    def read(connection: apsw.Connection) -> list[tuple[str, int]]:
        return list(connection.execute(
            "SELECT name, created_ns FROM snapshots WHERE dataset=? ORDER BY txn", (row.number,)))

    return tuple(_info(row, name, created) for name, created in opened.catalog.read(read))


def diff(
    opened: session.Session, dataset: str, before: str, after: str | None
) -> Iterator[objects.Change]:
    """What differs, found by walking both views side by side: memory grows with the differences.

    Raises NotFoundError, also midway when one of the snapshots is removed meanwhile.
    """
    row = dataset_row(opened, dataset)
    start = txn_of(opened, row, before)
    end = None if after is None else txn_of(opened, row, after)

    def check() -> None:
        if txn_of(opened, row, before) != start:
            raise refusals.no_snapshot(row.name, before)
        if after is not None and txn_of(opened, row, after) != end:
            raise refusals.no_snapshot(row.name, after)

    return _differences(
        listing.walk_entries(opened, row.path, row.root, start),
        listing.walk_entries(opened, row.path, row.root, end), check)


def dataset_row(opened: session.Session, name: str) -> names.Dataset:
    for row in opened.catalog.read(names.datasets):
        if row.name == name:
            return row
    raise refusals.no_dataset(name)


def _differences(
    old: Walk, new: Walk, check: Callable[[], None]
) -> Iterator[objects.Change]:
    """`check` raises when what was missing from a view may have gone with its snapshot."""
    gone: dict[int, list[str]] = {}
    fresh: list[tuple[str, int]] = []
    for path, before, after in _side_by_side(_objects(old), _objects(new)):
        if before is not None and after is not None:
            if before.version != after.version:
                yield objects.Change(kind=objects.ChangeKind.MODIFIED, path=path)
        elif before is not None:
            gone.setdefault(before.version, []).append(path)
        elif after is not None:
            fresh.append((path, after.version))
    check()
    for path, version in fresh:
        sources = gone.get(version)
        if sources:
            yield objects.Change(
                kind=objects.ChangeKind.RENAMED, path=path, source_path=sources.pop())
        else:
            yield objects.Change(kind=objects.ChangeKind.CREATED, path=path)
    for paths in gone.values():
        for path in paths:
            yield objects.Change(kind=objects.ChangeKind.DELETED, path=path)


def _objects(walk: Walk) -> Walk:
    return ((path, entry) for path, entry in walk if entry.kind != names.FOLDER)


def _side_by_side(
    old: Walk, new: Walk
) -> Iterator[tuple[str, names.Entry | None, names.Entry | None]]:
    """Both walks merged by path, each path once."""
    left, right = next(old, None), next(new, None)
    while left is not None or right is not None:
        left_key = objects.components(left[0]) if left else None
        right_key = objects.components(right[0]) if right else None
        if left is not None and right is not None and left_key == right_key:
            yield left[0], left[1], right[1]
            left, right = next(old, None), next(new, None)
        elif right is None or (left_key is not None and right_key is not None
                               and left_key < right_key):
            assert left is not None
            yield left[0], left[1], None
            left = next(old, None)
        else:
            yield right[0], None, right[1]
            right = next(new, None)


def txn_of(opened: session.Session, row: names.Dataset, name: str) -> int:
    def read(connection: apsw.Connection) -> int | None:
        found = connection.execute(
            "SELECT txn FROM snapshots WHERE dataset=? AND name=?", (row.number, name)).fetchone()
        return found[0] if found else None

    txn = opened.catalog.read(read)
    if txn is None:
        raise refusals.no_snapshot(row.name, name)
    return txn


def _info(row: names.Dataset, name: str, created_ns: int) -> snapshot.SnapshotInfo:
    root = f"{row.path}/{objects.SNAPSHOT_FOLDER}/{name}"
    return snapshot.SnapshotInfo(name=name, dataset=row.name, root=root, created_ns=created_ns)
