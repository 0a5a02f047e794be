"""Stat and list: what names point to, told as ObjectInfo. Pages by key in short transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import apsw

from holdfast.engines import refusals
from holdfast.engines.embedded import attributes, names, reading, session
from holdfast.model import objects, topology

T = TypeVar("T")


def stat(opened: session.Session, path: str) -> objects.ObjectInfo:
    def find(connection: apsw.Connection) -> objects.ObjectInfo:
        place = names.locate(connection, path)
        if place.dataset is None or place.listing_snapshots:
            return folder_info(path)
        entry = names.find(connection, place)
        if entry is None:
            raise refusals.no_object(path, (one.path for one in names.datasets(connection)))
        return info(opened, connection, path, entry)

    return opened.catalog.read(find)


def info(
    opened: session.Session, connection: apsw.Connection, path: str, entry: names.Entry
) -> objects.ObjectInfo:
    if entry.kind == names.FOLDER:
        return folder_info(path)
    margin, digest = _margin_and_digest(opened, connection, entry)
    return objects.ObjectInfo(
        path=path, kind=objects.ObjectKind.OBJECT, size_bytes=entry.size,
        version=f"{entry.version:x}", modified_ns=entry.modified_ns, digest=digest,
        attributes=attributes.unpack(entry.attributes, entry.modified_ns), margin=margin)


def folder_info(path: str) -> objects.ObjectInfo:
    return objects.ObjectInfo(path=path, kind=objects.ObjectKind.FOLDER)


def list_objects(
    opened: session.Session, prefix: str, *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    """In the order of a tree walk. Raises NotFoundError at once, not on the first item."""
    place = opened.catalog.read(lambda one: names.locate(one, prefix))
    if place.listing_snapshots:
        return _snapshots_as_folders(opened, place, recursive=recursive)
    if place.dataset is None:
        return _above_datasets(opened, prefix, recursive=recursive)
    entry = opened.catalog.read(lambda one: names.find(one, place))
    if entry is None:
        raise refusals.no_object(prefix, opened.catalog.read(_dataset_paths))
    if entry.kind != names.FOLDER:
        return iter((opened.catalog.read(lambda one: info(opened, one, prefix, entry)),))
    return _walk(opened, prefix, entry.object, place.at, recursive=recursive)


def walk_entries(
    opened: session.Session, path: str, folder: int, at: int | None
) -> Iterator[tuple[str, names.Entry]]:
    """Every entry below a folder with its path, folders too, in the order of a tree walk."""
    stack = [(path, _pages(opened, folder, at, _as_they_are))]
    while stack:
        above, rows = stack[-1]
        entry = next(rows, None)
        if entry is None:
            stack.pop()
            continue
        below = objects.join(above, entry.name.decode())
        yield below, entry
        if entry.kind == names.FOLDER:
            stack.append((below, _pages(opened, entry.object, at, _as_they_are)))


def _as_they_are(connection: apsw.Connection, entries: list[names.Entry]) -> list[names.Entry]:
    del connection
    return entries


def _walk(
    opened: session.Session, path: str, folder: int, at: int | None, *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    def told(above: str) -> Callable[
        [apsw.Connection, list[names.Entry]], list[tuple[names.Entry, objects.ObjectInfo]]
    ]:
        def tell(
            connection: apsw.Connection, entries: list[names.Entry]
        ) -> list[tuple[names.Entry, objects.ObjectInfo]]:
            return [
                (one, info(opened, connection, objects.join(above, one.name.decode()), one))
                for one in entries
            ]

        return tell

    stack = [_pages(opened, folder, at, told(path))]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            continue
        entry, described = found
        if entry.kind != names.FOLDER or not recursive:
            yield described
        else:
            stack.append(_pages(opened, entry.object, at, told(described.path)))


def _pages(
    opened: session.Session, folder: int, at: int | None,
    tell: Callable[[apsw.Connection, list[names.Entry]], list[T]],
) -> Iterator[T]:
    """What `tell` makes of a folder's entries, a page in each read transaction."""
    after: bytes | None = b""
    while after is not None:

        def read(
            connection: apsw.Connection, after: bytes = after
        ) -> tuple[list[T], bytes | None]:
            entries = names.page(connection, folder, after, at)
            more = len(entries) == names.PAGE_ROWS  # else this was the end: do not look again
            return tell(connection, entries), entries[-1].name if more else None

        rows, after = opened.catalog.read(read)
        yield from rows


def _above_datasets(
    opened: session.Session, prefix: str, *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    inside = sorted(
        (one for one in opened.catalog.read(names.datasets)
         if prefix == "/" or one.path.startswith(prefix + "/")),
        key=lambda one: objects.components(one.path))
    if recursive:
        for dataset in inside:
            yield from _walk(opened, dataset.path, dataset.root, None, recursive=True)
        return
    depth = len(objects.components(prefix))
    names_here = sorted({objects.components(one.path)[depth] for one in inside})
    for name in names_here:
        yield folder_info(objects.join(prefix, name.decode()))


def _snapshots_as_folders(
    opened: session.Session, place: names.Place, *, recursive: bool
) -> Iterator[objects.ObjectInfo]:
    dataset = place.dataset
    assert dataset is not None

    def read(connection: apsw.Connection) -> list[tuple[str, int]]:
        return list(connection.execute(
            "SELECT name, txn FROM snapshots WHERE dataset=? ORDER BY CAST(name AS BLOB)",
            (dataset.number,)))

    for name, txn in opened.catalog.read(read):
        path = objects.join(place.path, name)
        if recursive:
            yield from _walk(opened, path, dataset.root, txn, recursive=True)
        else:
            yield folder_info(path)


def _margin_and_digest(
    opened: session.Session, connection: apsw.Connection, entry: names.Entry
) -> tuple[int | None, str | None]:
    if entry.kind == names.EMPTY:
        return None, "blake3:" + entry.digest.hex() if entry.digest else None
    if entry.kind == names.SMALL:
        protection, _, nodes = reading.segment_layout(connection, entry.segment)
        return opened.margin(protection, nodes), reading.digest_text((), entry.digest)
    if entry.digest is not None:
        margins = _layout_margins(opened, connection, entry)
        two = connection.execute("SELECT 1 FROM shards WHERE object=? AND offset<? LIMIT 2",
                                 (entry.object, entry.size)).fetchall()
        kind = "blake3:" if len(two) == 1 else "blake3-shards:"
        return min(margins, default=None), kind + entry.digest.hex()
    stored = reading.stretches(connection, entry, 0, entry.size)
    margin = min(opened.margin(one.protection, one.nodes) for one in stored)
    return margin, reading.digest_text([one.digest for one in stored], None)


def _layout_margins(
    opened: session.Session, connection: apsw.Connection, entry: names.Entry
) -> list[int]:
    rows = connection.execute(
        "SELECT DISTINCT l.protection, l.nodes FROM shards AS s JOIN layouts AS l ON l.id=s.layout "
        "WHERE s.object=? AND s.offset<? AND s.segment=0", (entry.object, entry.size))
    return [
        opened.margin(topology.parse_protection(protection), session.numbers_of(nodes))
        for protection, nodes in rows
    ]


def _dataset_paths(connection: apsw.Connection) -> list[str]:
    return [one.path for one in names.datasets(connection)]
