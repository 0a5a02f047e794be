"""The pieces that readers found damaged or missing, kept for heal: a small file of state.

A hint, not a truth: losing it loses nothing, since a scrub finds the same again.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import NamedTuple

import apsw

from holdfast.kit import clock

_SCHEMA = """CREATE TABLE IF NOT EXISTS repairs(object INTEGER, number INTEGER, piece INTEGER,
  node INTEGER, reason TEXT, at_ns INTEGER, PRIMARY KEY(object, number, piece, node))
  WITHOUT ROWID"""


class Repair(NamedTuple):
    """A piece to look at. `object` is the id in the piece's name, or the segment's."""

    object: int
    number: int
    piece: int
    node: int
    reason: str


KEPT_MAX = 1 << 16  # findings of one process; more say only that a scrub is needed


class Repairs:
    """Thread-safe. With `read_only` they are kept in memory only."""

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self._path = folder / "repairs.db"
        self._read_only = read_only
        self._seen: set[Repair] = set()
        self._lock = threading.Lock()

    def report(self, repair: Repair) -> None:
        """Remember a finding; each is written once. A full or missing state disk is no error."""
        with self._lock:
            if repair in self._seen or len(self._seen) >= KEPT_MAX:
                return
            self._seen.add(repair)
            if self._read_only:
                return
            with contextlib.suppress(apsw.Error), contextlib.closing(self._connect()) as opened:
                opened.execute("INSERT OR REPLACE INTO repairs VALUES(?,?,?,?,?,?)",
                               (*repair, clock.SYSTEM.now_ns()))

    def all(self) -> list[Repair]:
        with self._lock:
            found = set(self._seen)
            if self._path.exists():
                with contextlib.suppress(apsw.Error), contextlib.closing(self._connect()) as opened:
                    rows = opened.execute(
                        "SELECT object, number, piece, node, reason FROM repairs LIMIT ?",
                        (KEPT_MAX,))
                    found.update(Repair(*row) for row in rows)
            return sorted(found)

    def close(self) -> None:
        with self._lock:
            self._seen = set()

    def _connect(self) -> apsw.Connection:
        if self._read_only:
            return apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA synchronous=OFF")  # a hint: see above
        connection.execute(_SCHEMA)
        return connection
