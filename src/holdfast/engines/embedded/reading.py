"""Get: from a path to verified bytes.

The names are looked up in one read transaction; what they point to is pinned against collection
until the reader is closed. Bad or missing pieces are reported for repair, after the index was asked
again: what was moved or collected meanwhile is not a disk's fault.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import apsw

from holdfast import errors
from holdfast.engines import refusals
from holdfast.engines.embedded import (
    names,
    node,
    repairs,
    segment,
    segment_reader,
    segment_writer,
    session,
    shard_location,
    shard_reader,
)
from holdfast.kit import buffers, checksum
from holdfast.model import topology


class Stored(NamedTuple):
    """A stretch of an object: pieces of a shard, or (segment > 0) a record of a segment.

    `object` and `number` name the pieces' files; `position` is that of a segment's record.
    """

    offset: int
    length: int
    digest: bytes
    segment: int
    position: int
    object: int
    number: int
    protection: topology.Protection
    group: int
    nodes: tuple[int, ...]


class Content(NamedTuple):
    """An object as it was found: its entry, dataset, and the stretches that were asked for."""

    path: str
    entry: names.Entry
    dataset: names.Dataset
    stretches: tuple[Stored, ...]


def lookup(connection: apsw.Connection, path: str) -> tuple[names.Place, names.Entry]:
    """The entry at a path of a dataset. Raises NotFoundError, RefusedError for a folder."""
    place = names.locate(connection, path)
    entry = None if place.listing_snapshots else names.find(connection, place)
    if place.dataset is None or place.listing_snapshots:
        raise refusals.is_folder(path)
    if entry is None:
        raise refusals.no_object(path, (one.path for one in names.datasets(connection)))
    if entry.kind == names.FOLDER:
        raise refusals.is_folder(path)
    return place, entry


def content(
    connection: apsw.Connection, path: str, offset: int, length: int | None, version: str | None
) -> Content:
    """What `get` needs of the index for a range."""
    place, entry = lookup(connection, path)
    assert place.dataset is not None
    if version is not None and f"{entry.version:x}" != version:
        raise refusals.changed(path, version)
    end = entry.size if length is None else min(entry.size, offset + length)
    return Content(path, entry, place.dataset, stretches(connection, entry, offset, end))


def stretches(
    connection: apsw.Connection, entry: names.Entry, offset: int, end: int
) -> tuple[Stored, ...]:
    """The stored parts of an object that touch [offset, end)."""
    if entry.kind == names.EMPTY or offset >= end:
        return ()
    if entry.kind == names.SMALL:
        layout = segment_layout(connection, entry.segment)
        return (Stored(0, entry.size, entry.digest or b"", entry.segment, entry.position,
                       0, 0, *layout),)
    rows = connection.execute(
        "SELECT s.offset, s.length, s.digest, s.segment, s.position, s.number, "
        "l.protection, l.grp, l.nodes FROM shards AS s LEFT JOIN layouts AS l ON l.id=s.layout "
        "WHERE s.object=? AND s.offset<? AND s.offset+s.length>? ORDER BY s.offset",
        (entry.object, end, offset)).fetchall()
    return tuple(_stored(connection, row) for row in rows)


def segment_layout(
    connection: apsw.Connection, number: int
) -> tuple[topology.Protection, int, tuple[int, ...]]:
    row = connection.execute(
        "SELECT l.protection, l.grp, l.nodes FROM segments AS s JOIN layouts AS l "
        "ON l.id=s.layout WHERE s.id=?", (number,)).fetchone()
    if row is None:
        raise errors.BugError("index.no_segment", "segment {segment} is not in the index",
                              hint="holdfast index rebuild --yes", segment=f"{number:016x}")
    return topology.parse_protection(row[0]), row[1], session.numbers_of(row[2])


def open_range(
    opened: session.Session, path: str, offset: int, length: int | None, version: str | None
) -> io.BufferedIOBase:
    """A reader of the range; it pins what it reads until it is closed."""
    ticket = opened.readers.pin(opened.catalog.seen)
    try:
        found = opened.catalog.read(lambda one: content(one, path, offset, length, version))
        end = found.entry.size if length is None else min(found.entry.size, offset + length)
        if len(found.stretches) == 1 and found.stretches[0].segment:
            data = small_bytes(opened, found.stretches[0], path)
            opened.readers.unpin(ticket)
            return io.BytesIO(data[offset - found.stretches[0].offset :][: max(0, end - offset)])
    except BaseException:
        opened.readers.unpin(ticket)
        raise
    return RangeReader(opened, found, offset, max(offset, end), ticket)


class RangeReader(io.BufferedIOBase):
    """Reads a range of a sharded object in order; `readinto` fills its buffer until the end."""

    def __init__(
        self, opened: session.Session, found: Content, offset: int, end: int, ticket: int
    ) -> None:
        self._session = opened
        self._found = found
        self._offset = offset
        self._end = end
        self._ticket = ticket
        self._parts = self._stream()
        self._part = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        out = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # any writable buffer
        done = 0
        while done < len(out):
            if not self._part:
                fresh = next(self._parts, None)
                if fresh is None:
                    break
                self._part = fresh
            count = min(len(self._part), len(out) - done)
            buffers.copy(out[done : done + count], self._part[:count])
            self._part = self._part[count:]
            done += count
        self._offset += done
        return done

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._end - self._offset
        wanted = left if size is None or size < 0 else min(size, left)
        data = bytearray(wanted)
        done = self.readinto(data)
        return bytes(data) if done == wanted else bytes(data[:done])

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(size if size >= 0 else 1 << 20)

    def close(self) -> None:
        if not self.closed:
            self._part = memoryview(b"")
            self._parts.close()
            self._session.readers.unpin(self._ticket)
        super().close()

    def _stream(self) -> Generator[memoryview]:
        at = self._offset
        for stored in self._found.stretches:
            start = at - stored.offset
            length = min(stored.offset + stored.length, self._end) - at
            if stored.segment:
                data = small_bytes(self._session, stored, self._found.path)
                yield memoryview(data)[start : start + length]
            else:
                yield from self._shard(stored, start, length)
            at += length

    def _shard(self, stored: Stored, start: int, length: int) -> Iterator[memoryview]:
        reader = shard_reader.ShardReader(
            self._session.disks, location_of(self._session, stored),
            on_damage=lambda damage: _report(self._session, stored, damage),
            deadline_s=self._session.tuning.node_deadline_s,
        )
        try:
            yield from reader.stream(start, length)
        finally:
            reader.close()


def location_of(opened: session.Session, stored: Stored) -> shard_location.ShardLocation:
    return shard_location.ShardLocation(
        opened.store_bytes, stored.object, stored.number, stored.protection, stored.group,
        stored.nodes, stored.length, stored.digest)


def small_bytes(opened: session.Session, stored: Stored, path: str) -> bytes:
    """The whole content of a record, verified, from the first copy that has it.

    Raises IntegrityError when every copy that can be reached is damaged, else UnavailableError.
    """
    bad: list[repairs.Repair] = []
    away: list[int] = []
    for piece in _order(opened, stored):
        number = stored.nodes[piece]
        disk = opened.disks.get(number)
        if disk is None or disk.suspect is not None:
            away.append(number)
            continue
        try:
            data, has_header = disk.call(
                _read_record, opened.segment_files, disk, stored.segment, stored.position,
                stored.length)
        except node.NodeFailed as failure:
            away.append(number)
            if failure.reason == "node.no_file":
                bad.append(repairs.Repair(stored.segment, -1, piece, number, "piece.missing"))
            continue
        found = segment.content_of(
            data, opened.store_bytes, stored.segment, stored.position, stored.length)
        if found is None or not has_header:
            bad.append(repairs.Repair(stored.segment, -1, piece, number, "piece.checksum"))
        if found is not None:
            _accuse(opened, bad)
            return found
    moved = opened.catalog.read(lambda one: _record_now(one, path, stored))
    if moved is not None and (moved.segment, moved.position) != (stored.segment, stored.position):
        return small_bytes(opened, moved, path)
    _accuse(opened, bad)
    shown = tuple(opened.node_name(one) or str(one) for one in stored.nodes)
    if away:
        raise errors.UnavailableError(
            "read.too_few_nodes", "{path} cannot be read now: its copies are on {nodes}",
            hint="holdfast status shows what is wrong with these nodes", path=path, nodes=shown,
        )
    raise errors.IntegrityError(
        "read.damaged", "every copy of {path} is damaged; its copies are on {nodes}",
        hint="nothing was deleted; restore it from a backup", path=path, nodes=shown,
    )


def _read_record(
    files: segment_reader.SegmentReader, disk: node.NodeDisk, number: int, position: int,
    length: int,
) -> tuple[bytes, bool]:
    path = disk.root / segment_writer.FOLDER / segment.file_name(number)
    data, has_header = files.read_at(path, segment.read_bytes(length), position)
    if len(data) < (claimed := segment.claimed_bytes(data, length)):
        data, has_header = files.read_at(path, claimed, position)
    return data, has_header


def _order(opened: session.Session, stored: Stored) -> Sequence[int]:
    """Copies in the order in which to try them: spread by position, slow nodes last."""
    width = len(stored.nodes)
    start = (stored.position // 4096) % width
    turned = [(start + step) % width for step in range(width)]

    def stalled(piece: int) -> bool:
        disk = opened.disks.get(stored.nodes[piece])
        return disk is None or disk.stalled()

    return sorted(turned, key=stalled)


def _record_now(connection: apsw.Connection, path: str, stored: Stored) -> Stored | None:
    """Where the record lies now, when the object still has the content that was looked up."""
    try:
        _, entry = lookup(connection, path)
    except errors.HoldfastError:
        return None
    for one in stretches(connection, entry, stored.offset, stored.offset + max(1, stored.length)):
        if one.digest == stored.digest and one.length == stored.length and one.segment:
            return one
    return None


def _accuse(opened: session.Session, bad: list[repairs.Repair]) -> None:
    for one in bad:
        opened.repairs.report(one)


def _report(
    opened: session.Session, stored: Stored, damage: shard_location.Damage
) -> None:
    """A piece could not be used: remember it unless its node is simply away."""
    if damage.reason.startswith("piece."):
        opened.repairs.report(repairs.Repair(
            stored.object, stored.number, damage.piece, damage.node, damage.reason))


def _stored(connection: apsw.Connection, row: tuple[object, ...]) -> Stored:
    offset, length, digest, number, position, shard, protection, group, nodes = row
    assert isinstance(offset, int)
    assert isinstance(length, int)
    assert isinstance(digest, bytes)
    assert isinstance(number, int)
    assert isinstance(position, int)
    assert isinstance(shard, int)
    if number:
        return Stored(offset, length, digest, number, position, 0, 0,
                      *segment_layout(connection, number))
    assert isinstance(group, int)
    return Stored(offset, length, digest, 0, 0, position, shard,
                  topology.parse_protection(str(protection)), group,
                  session.numbers_of(str(nodes)))


def digest_text(digests: Sequence[bytes], whole: bytes | None) -> str | None:
    """The digest that users see: of the content, or over the digests of several shards."""
    if whole is not None and len(digests) <= 1:
        return "blake3:" + whole.hex()
    if len(digests) == 1:
        return "blake3:" + digests[0].hex()
    return "blake3-shards:" + checksum.digest(b"".join(digests)).hex()
