"""Entries of one batch: looked up together, and inserted together.

A put costs two statements by itself; in a batch the lookups of many become one, and so do the
insertions. What was inserted here is seen by `child` at once, but by SQLite only after `settle`:
whoever reads `entries` by other means settles first.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from holdfast.engines.embedded import index, names

_WIDTHS = (8, 32, 128)  # names in one lookup; few shapes, so that statements are found prepared
_INSERT = f"INSERT INTO entries({names.COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)"
Key = tuple[int, bytes]


class EntryBuffer:
    """Over the caller's transaction; `forget` after a rollback, `settle` before its COMMIT."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[Key, names.Entry | None] = {}
        self._pending: dict[Key, names.Entry] = {}

    def child(self, folder: int, name: bytes) -> names.Entry | None:
        """The current entry of a folder, with the batch so far."""
        key = (folder, name)
        if key in self._known:
            return self._known[key]
        found = names.child(self._connection, folder, name)
        self._known[key] = found
        return found

    def look_ahead(self, folder: int, wanted: Sequence[bytes]) -> None:
        """Look up many names of a folder at once."""
        unknown = [name for name in wanted if (folder, name) not in self._known]
        for start in range(0, len(unknown), _WIDTHS[-1]):
            part = unknown[start : start + _WIDTHS[-1]]
            width = next(one for one in _WIDTHS if one >= len(part))
            marks = ",".join("?" * width)
            padded = part + [part[-1]] * (width - len(part))
            rows = self._connection.execute(
                f"SELECT {names.COLUMNS} FROM entries WHERE dir=? AND txn_end=? "  # noqa: S608
                f"AND name IN ({marks})", (folder, index.OPEN_END, *padded))
            for name in part:
                self._known[folder, name] = None
            for row in rows:
                self._known[folder, row[1]] = names.Entry(*row)

    def insert(self, entry: names.Entry) -> None:
        key = (entry.dir, entry.name)
        self._known[key] = entry
        self._pending[key] = entry

    def settle(self) -> None:
        """Give SQLite what is pending, and forget what was looked up: it may be changed now."""
        if self._pending:
            self._connection.executemany(_INSERT, self._pending.values())
            self._pending.clear()
        self._known.clear()

    def forget(self) -> None:
        self._pending.clear()
        self._known.clear()
