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
            if repair in self._seen:
                return
            self._seen.add(repair)
            if self._read_only:
                return
            with contextlib.suppress(apsw.Error, OSError):
                connection = self._connect()
                connection.execute("INSERT OR REPLACE INTO repairs VALUES(?,?,?,?,?,?)",
                                   (*repair, clock.SYSTEM.now_ns()))
                connection.close()

    def all(self) -> list[Repair]:
        with self._lock:
            found = set(self._seen)
            if self._path.exists():
                with contextlib.suppress(apsw.Error, OSError):
                    connection = self._connect()
                    rows = connection.execute(
                        "SELECT object, number, piece, node, reason FROM repairs")
                    found.update(Repair(*row) for row in rows)
                    connection.close()
            return sorted(found)

    def close(self) -> None:
        with self._lock:
            self._seen = set()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
        connection.execute(_SCHEMA)
        return connection
