"""How much of each segment is still needed: kept in memory, written to the index once a batch.

Owned by the applier, which tells of every record that comes and goes; a sealed segment that nothing
refers to any more is known at once, at the same commit on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import apsw

RECORD_OVERHEAD = 64  # bytes that a small object costs in a segment beside its content, about


@dataclass(slots=True)
class Sums:
    """A row of `segments`. `live` and `written` count content and overhead: what is referred to
    now, and what ever was; `content` is the logical bytes referred to."""

    layout: int
    length: int
    live: int
    content: int
    written: int
    sealed: int
    changed: bool = False


class SegmentSums:
    """Over the caller's transaction; `forget` after a rollback, `flush` before its COMMIT."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[int, Sums] = {}

    def forget(self) -> None:
        self._known.clear()

    def is_open(self, segment: int) -> bool:
        """Is it announced and not sealed, so that records in it may be referred to?"""
        sums = self._find(segment)
        return sums is not None and not sums.sealed

    def add(self, segment: int, dataset: int, layout: int) -> None:
        self._connection.execute("INSERT INTO segments VALUES(?,?,?,0,0,0,0,0)",
                                 (segment, dataset, layout))

    def seal(self, segment: int) -> Sums | None:
        """The row when nothing in the segment is needed: it is gone from the index now."""
        sums = self._find(segment)
        if sums is None:
            return None
        sums.sealed, sums.changed = 1, True
        return self._drop_if_empty(segment, sums)

    def count(self, segment: int, size: int, end: int) -> None:
        """A record of `size` content bytes that ends at `end` is referred to."""
        sums = self._get(segment)
        sums.live += size + RECORD_OVERHEAD
        sums.written += size + RECORD_OVERHEAD
        sums.content += size
        sums.length = max(sums.length, end)
        sums.changed = True

    def uncount(self, segment: int, size: int) -> Sums | None:
        """A record is not referred to any more; like `seal`."""
        sums = self._get(segment)
        sums.live -= size + RECORD_OVERHEAD
        sums.content -= size
        sums.changed = True
        return self._drop_if_empty(segment, sums)

    def flush(self) -> None:
        for segment, sums in self._known.items():
            if sums.changed:
                self._connection.execute(
                    "UPDATE segments SET length=?, live=?, content=?, written=?, sealed=? "
                    "WHERE id=?",
                    (sums.length, sums.live, sums.content, sums.written, sums.sealed, segment))
                sums.changed = False

    def _drop_if_empty(self, segment: int, sums: Sums) -> Sums | None:
        if not sums.sealed or sums.live:
            return None
        self._connection.execute("DELETE FROM segments WHERE id=?", (segment,))
        del self._known[segment]
        return sums

    def _get(self, segment: int) -> Sums:
        sums = self._find(segment)
        assert sums is not None
        return sums

    def _find(self, segment: int) -> Sums | None:
        known = self._known.get(segment)
        if known is None:
            row = self._connection.execute(
                "SELECT layout, length, live, content, written, sealed FROM segments WHERE id=?",
                (segment,)).fetchone()
            if row is None:
                return None
            known = self._known[segment] = Sums(*row)
        return known
