"""Empty segments that are mostly dead: copy what is needed elsewhere, and let the file be freed.

A segment that is still open is sealed first, if nobody writes to it. What cannot be read stays
where it is, and its segment with it: nothing is moved out of a segment before all that is needed
of it was read and verified once. Copies are new records; the names follow by a commit that leaves
out what was deleted meanwhile, so a crash at any point leaves either the old place or the new.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import apsw

from holdfast import errors
from holdfast.engines.embedded import (
    changes,
    node,
    reading,
    segment,
    segment_writer,
    session,
)
from holdfast.engines.embedded.committer import Change
from holdfast.kit import atomic
from holdfast.model import topology

LIVE_SHARE_MIN = 0.6  # a segment of which less is needed than this is emptied
WORTH_BYTES = 64 << 20  # dead in segments: more than this is worth some copying at any time
PAGE_ROWS = 256  # records that are read and copied at a time
PATH_BYTES_MAX = 4096  # of the last record of a page; longer ones are looked at by themselves
PAGE_BYTES = 4 << 20  # read at once from one copy


class Candidate(NamedTuple):
    """A segment that is mostly dead."""

    number: int
    sealed: bool
    live_bytes: int
    dead_bytes: int
    nodes: tuple[int, ...]


def compact(
    opened: session.Session, limit: int = 4, live_share: float = LIVE_SHARE_MIN
) -> int:
    """Empty up to `limit` segments, the deadest first; how many were emptied.

    Those of which nothing is needed come on top: to let them go is no work. A segment that cannot
    be read whole is left alone, with its damage reported for repair; on a full store what would
    have to be copied waits. Raises UnavailableError when nothing can be written.
    """
    emptied = copied = 0
    for one in opened.catalog.read(lambda found: candidates(found, live_share)):
        if one.live_bytes and copied == limit:
            break
        try:
            done = _empty(opened, one)
        except errors.RefusedError as error:
            if error.code != "space.full":
                raise
            break
        emptied += done
        copied += done and one.live_bytes > 0
    return emptied


def let_go_of_dead(opened: session.Session) -> int:
    """Seal the segments of which nothing is needed; how many. Cheap, so it is done at any time."""
    return sum(
        _seal(opened, one) for one in opened.catalog.read(candidates)
        if not one.live_bytes and not one.sealed)


def tidy(opened: session.Session) -> None:
    """What is worth doing when a store is closed: at most one segment is copied, for much gain."""
    let_go_of_dead(opened)
    dead = sum(one.dead_bytes for one in opened.catalog.read(candidates))
    if dead > WORTH_BYTES:
        compact(opened, limit=1)


def candidates(
    connection: apsw.Connection, live_share: float = LIVE_SHARE_MIN
) -> list[Candidate]:
    """Segments of which a smaller share than `live_share` is needed, the deadest first."""
    rows = connection.execute(
        "SELECT s.id, s.sealed, s.live, s.written-s.live, l.nodes FROM segments AS s "
        "JOIN layouts AS l ON l.id=s.layout WHERE s.live<s.written*? "
        "ORDER BY CAST(s.live AS REAL)/s.written, s.id", (live_share,))
    return [
        Candidate(number, bool(sealed), live, dead, session.numbers_of(nodes))
        for number, sealed, live, dead, nodes in rows
    ]


def _empty(opened: session.Session, one: Candidate) -> bool:
    """Seal a segment and move what is needed of it elsewhere; False: it was left alone."""
    for page in _pages(opened, one.number):
        if any(record is None for record in _read(opened, page)):
            return False
    if not one.sealed and not _seal(opened, one):
        return False
    moves: list[changes.Move] = []
    for page in _pages(opened, one.number):
        moves = _copy(opened, page)
        atomic.crash_point("compact.copied")
        for move in moves:
            opened.committer.settle(move)
    return True


def _seal(opened: session.Session, one: Candidate) -> bool:
    """Seal a segment unless another process writes to it."""
    if opened.segments.retire(one.number):
        opened.committer.run(changes.Recorded([]))  # the seal went before it
        return True
    with contextlib.ExitStack() as stack:
        locked = 0
        for number in one.nodes:
            disk = opened.disks.get(number)
            if disk is None or disk.suspect is not None:
                continue
            path = disk.root / segment_writer.FOLDER / segment.file_name(one.number)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked += 1
            except BlockingIOError:
                return False
            except OSError:
                continue
        if not locked:
            return False
        opened.committer.run(changes.Recorded([["seal", one.number]]))
    return True


def _copy(opened: session.Session, page: Page) -> list[changes.Move]:
    """Write the records of a page into this process's open segment; the moves to settle."""
    moves = []
    contents = []
    for stored, record in zip(page.records, _read(opened, page), strict=True):
        if record is None:
            raise errors.IntegrityError(
                "compact.unreadable", "a small object in segment {segment} became unreadable while "
                "it was being moved", segment=f"{stored.segment:016x}",
                hint="nothing was deleted; holdfast status shows what needs repair",
            )
        move = changes.Move([[stored.segment, stored.position, 0, 0, 0]])
        moves.append(move)
        contents.append(segment_writer.SmallContent(
            page.dataset, record.path, record.content, _mover(move), move.finish))
    opened.segments.submit(contents)
    return moves


def _mover(move: changes.Move) -> Callable[[int, int, int], list[Change]]:
    def then(to_segment: int, position: int, end: int) -> list[Change]:
        move.moves[0][2:] = [to_segment, position, end]
        return [move]

    return then


class Page(NamedTuple):
    """Records of one segment that are needed, near each other, in order."""

    dataset: int
    records: tuple[reading.Stored, ...]


class _Record(NamedTuple):
    path: bytes
    content: bytes


def _pages(opened: session.Session, number: int) -> Iterator[Page]:
    """All that is needed of a segment as of when each page is asked for."""
    after = 0
    while True:
        page = opened.catalog.read(lambda one, after=after: _page(one, number, after))
        if page is None:
            return
        yield page
        after = page.records[-1].position


def _page(connection: apsw.Connection, number: int, after: int) -> Page | None:
    row = connection.execute(
        "SELECT s.dataset, l.protection, l.grp, l.nodes FROM segments AS s JOIN layouts AS l "
        "ON l.id=s.layout WHERE s.id=?", (number,)).fetchone()
    if row is None:
        return None
    layout = (topology.parse_protection(row[1]), row[2], session.numbers_of(row[3]))
    found: list[reading.Stored] = []
    for position, size, digest in connection.execute(
            "SELECT position, size, digest FROM entries WHERE segment=? AND position>? UNION "
            "SELECT position, length, digest FROM shards WHERE segment=? AND position>? "
            "ORDER BY position LIMIT ?", (number, after, number, after, PAGE_ROWS)):
        if found and position + size - found[0].position > PAGE_BYTES:
            break
        found.append(reading.Stored(0, size, digest, number, position, 0, 0, *layout))
    return Page(row[0], tuple(found)) if found else None


def _read(opened: session.Session, page: Page) -> list[_Record | None]:
    """The verified records of a page; None where no copy has it."""
    first, last = page.records[0], page.records[-1]
    length = last.position - first.position + segment.read_bytes(last.length) + PATH_BYTES_MAX
    data = _stretch(opened, first, length)
    return [_record(opened, one, data, first.position) for one in page.records]


def _stretch(opened: session.Session, first: reading.Stored, length: int) -> bytes:
    """A stretch of the segment from the first copy that can be read, unverified."""
    for number in first.nodes:
        disk = opened.disks.get(number)
        if disk is None or disk.suspect is not None:
            continue
        path = disk.root / segment_writer.FOLDER / segment.file_name(first.segment)
        try:
            return disk.call(opened.segment_files.read_at, path, length, first.position)[0]
        except node.NodeFailed:
            continue
    return b""


def _record(
    opened: session.Session, stored: reading.Stored, data: bytes, start: int
) -> _Record | None:
    found = segment.record_at(
        data, stored.position - start, opened.store_bytes, stored.segment, start)
    if found is not None and len(found.content) == stored.length:
        return _Record(found.path, found.content)
    try:  # another copy; the path is for disasters only and may be lost
        return _Record(b"", reading.small_bytes(opened, stored, ""))
    except errors.HoldfastError:
        return None
