"""Content that several rows of `entries` refer to: what a snapshot sees and what came after it.

A rename or an append leaves a closed row and a new one over the same content. Content without rows
here has one owner. Rows of one object differ in size only by what was appended.
"""

from __future__ import annotations

import apsw

from holdfast.engines.embedded import names


def share(connection: apsw.Connection, entry: names.Entry, size: int) -> None:
    """`entry` stays, for a snapshot, beside a new row of `size` bytes over the same content."""
    content = content_of(entry)
    if not _rows(connection, content):
        _add(connection, content, entry.size, 1)
    _add(connection, content, size, 1)


def replace(connection: apsw.Connection, entry: names.Entry, size: int) -> None:
    """`entry` gives way to a row of `size` bytes over the same content."""
    content = content_of(entry)
    if size != entry.size and _rows(connection, content):
        _add(connection, content, entry.size, -1)
        _add(connection, content, size, 1)


def let_go(connection: apsw.Connection, entry: names.Entry) -> int:
    """`entry` is gone: how many bytes of its content others still see, 0 when it was alone."""
    content = content_of(entry)
    rows = _rows(connection, content)
    if not rows:
        return 0
    rows[entry.size] -= 1
    if sum(rows.values()) == 1:
        connection.execute("DELETE FROM shared WHERE content=?", (content,))
    else:
        _add(connection, content, entry.size, -1)
    return max(size for size, count in rows.items() if count)


def content_of(entry: names.Entry) -> int:
    """What rows share: the sharded object's random id (above 2^62), or the small one's version."""
    return entry.object if entry.kind == names.SHARDED else entry.version


def _rows(connection: apsw.Connection, content: int) -> dict[int, int]:
    return dict(connection.execute("SELECT size, rows FROM shared WHERE content=?", (content,)))


def _add(connection: apsw.Connection, content: int, size: int, count: int) -> None:
    connection.execute(
        "INSERT INTO shared VALUES(?,?,?) ON CONFLICT(content, size) "
        "DO UPDATE SET rows=rows+excluded.rows", (content, size, count))
    connection.execute("DELETE FROM shared WHERE content=? AND size=? AND rows=0", (content, size))
