"""Append: a log-like object grows by shards; a small one is simply written again."""

from __future__ import annotations

from typing import Any

import apsw

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.embedded import (
    changes,
    names,
    reading,
    segment_writer,
    session,
    sources,
    writing,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import checksum, clock, ids

REWRITE_BYTES_MAX = 16 << 10  # an object up to this size is written again when it grows


def append(
    opened: session.Session, path: str, source: api.Source, *, at_size: int | None
) -> bool:
    """Add to an object; False when the source was empty and nothing changed."""
    dataset = writing.writable(opened, path)
    opened.check_room()
    if not dataset.protection.startswith("replicas"):
        raise refusals.append_to_erasure(path, dataset.name, dataset.protection)
    stream = sources.as_stream(source)
    head: bytes | None = None
    parts: list[Any] = []
    written: writing.Written = []
    while True:
        entry = opened.catalog.read(lambda one: _entry_to_append(one, path, at_size))
        if head is None:
            head = sources.read_up_to(stream, writing.SMALL_BYTES_MAX + 1, None)
            if not head:
                return False
            if len(head) > writing.SMALL_BYTES_MAX:
                object_id = ids.new_number() | writing.OBJECT_ID_BIT
                parts, written = writing.write_shards(
                    opened, dataset, path, object_id, sources.Chain(head, stream), None)
        try:
            _append_once(opened, dataset, path, entry, at_size, head, parts)
        except errors.RefusedError as error:
            if error.code == "object.changed":
                continue
            writing.discard(opened, written)
            raise
        except BaseException:
            writing.discard(opened, written)
            raise
        return True




def _entry_to_append(
    connection: apsw.Connection, path: str, at_size: int | None
) -> names.Entry:
    place = names.locate(connection, path)
    entry = names.find(connection, place)
    if entry is None:
        raise refusals.no_object(path, (one.path for one in names.datasets(connection)))
    if entry.kind == names.FOLDER:
        raise refusals.is_folder(path)
    if at_size is not None and entry.size != at_size:
        raise refusals.append_size_changed(path, entry.size, at_size)
    return entry


def _append_once(
    opened: session.Session, dataset: names.Dataset, path: str, entry: names.Entry,
    at_size: int | None, head: bytes, parts: list[Any],
) -> None:
    """One try against the entry as it was seen. Raises `object.changed` when it is another now."""
    now_ns = clock.SYSTEM.now_ns()
    if entry.kind == names.SHARDED:
        grow = changes.Append(dataset, path, entry.object, at_size=at_size, modified_ns=now_ns,
                              shards=list(parts))
        if parts:
            opened.committer.run(grow)
        else:
            _through_segment(opened, grow, [head])
        return
    old = _whole(opened, path, entry)
    change = changes.Put(
        dataset, path, size=entry.size + (len(head) if not parts else _length(parts)),
        modified_ns=now_ns, digest=None, attributes=entry.attributes, overwrite=True,
        expected=entry.version)
    if not parts and change.size <= REWRITE_BYTES_MAX:
        change.digest = checksum.digest(old + head)
        writing.submit_small(opened, change, old + head)
        opened.committer.settle(change)
        return
    object_id = ids.new_number() | writing.OBJECT_ID_BIT
    change.content = ["object", object_id, list(parts)]
    pieces = [old] if old else []
    if not parts:
        pieces.append(head)
    _through_segment(opened, change, pieces)


def _through_segment(
    opened: session.Session, change: changes.Put | changes.Append, pieces: list[bytes]
) -> None:
    """Put `pieces` into a segment, before the shards that the change has, and commit it."""
    shards = change.content[2] if isinstance(change, changes.Put) and change.content else (
        change.shards if isinstance(change, changes.Append) else [])
    stored: list[Any] = []

    def then_for(data: bytes, *, last: bool) -> Any:
        def then(number: int, position: int, end: int) -> list[Change]:
            stored.append(["segment", number, position, len(data), checksum.digest(data), end])
            if last:
                shards[:0] = stored
            return [change] if last else []

        return then

    if not pieces:
        opened.committer.run(change)
        return
    opened.segments.submit([
        segment_writer.SmallContent(
            change.dataset.number, change.path.encode(), data,
            then_for(data, last=position == len(pieces) - 1),
            change.finish if position == 0 else _ignore)
        for position, data in enumerate(pieces)
    ])
    opened.committer.settle(change)


def _ignore(error: BaseException) -> None:
    """The first piece's failure already finished the change."""
    del error


def _whole(opened: session.Session, path: str, entry: names.Entry) -> bytes:
    if entry.kind == names.EMPTY:
        return b""
    with reading.open_range(opened, path, 0, None, f"{entry.version:x}") as file:
        return bytes(file.read())


def _length(parts: list[Any]) -> int:
    return sum(part[1] for part in parts)
