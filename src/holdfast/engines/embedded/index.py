"""The index: a SQLite file that can always be rebuilt from the commit log.

Owns the schema, the connections and the file's identity. Every page carries a checksum (SQLite's
cksumvfs), so that a flipped bit is an error and not an answer. Readers are `query_only`; the one
writer is whoever holds the commit lock. Knows nothing of nodes or of the log's files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.sqlite_extra

from holdfast import errors
from holdfast.kit import atomic, ids

SQLITE_MIN = (3, 51, 3)  # the WAL-reset corruption bug is fixed from here on
SCHEMA_VERSION = 1
OPEN_END = (1 << 63) - 1  # txn_end of a row that is current
READERS_KEPT = 8
COPY_TRIES = 8
COPY_PAGES = 1000  # at once
_VFS = "cksmvfs"
_UNREADABLE = (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.CantOpenError)
_READ_ERRORS = frozenset({
    apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_DATA,
    apsw.SQLITE_IOERR_CORRUPTFS,
})

SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE nodes(number INTEGER PRIMARY KEY, uuid TEXT, name TEXT, domain TEXT, weight INTEGER,
  state TEXT, since INTEGER);
CREATE TABLE members(number INTEGER PRIMARY KEY);
CREATE TABLE tables(protection TEXT PRIMARY KEY, version INTEGER, data BLOB) WITHOUT ROWID;
CREATE TABLE datasets(number INTEGER PRIMARY KEY, name TEXT UNIQUE, path TEXT UNIQUE,
  protection TEXT, profile TEXT, quota INTEGER, min_margin INTEGER, root INTEGER,
  used INTEGER DEFAULT 0, objects INTEGER DEFAULT 0);
CREATE TABLE snapshots(dataset INTEGER, name TEXT, txn INTEGER, created_ns INTEGER,
  PRIMARY KEY(dataset, name)) WITHOUT ROWID;
CREATE TABLE entries(dir INTEGER, name BLOB, txn INTEGER, txn_end INTEGER, kind INTEGER,
  object INTEGER, version INTEGER, size INTEGER, modified_ns INTEGER, digest BLOB, attributes BLOB,
  segment INTEGER, position INTEGER, PRIMARY KEY(dir, name, txn)) WITHOUT ROWID;
CREATE INDEX entries_by_segment ON entries(segment, position) WHERE segment > 0;
CREATE TABLE closed(dataset INTEGER, txn_end INTEGER, dir INTEGER, name BLOB, txn INTEGER,
  PRIMARY KEY(dataset, txn_end, dir, name, txn)) WITHOUT ROWID;
CREATE TABLE shared(content INTEGER, size INTEGER, rows INTEGER, PRIMARY KEY(content, size))
  WITHOUT ROWID;
CREATE TABLE shards(object INTEGER, offset INTEGER, number INTEGER, length INTEGER, digest BLOB,
  layout INTEGER, segment INTEGER, position INTEGER, PRIMARY KEY(object, offset)) WITHOUT ROWID;
CREATE INDEX shards_by_layout ON shards(layout) WHERE segment = 0;
CREATE INDEX shards_by_segment ON shards(segment, position) WHERE segment > 0;
CREATE TABLE layouts(id INTEGER PRIMARY KEY, dataset INTEGER, protection TEXT, grp INTEGER,
  nodes TEXT, bytes INTEGER DEFAULT 0, UNIQUE(dataset, protection, grp, nodes));
CREATE TABLE segments(id INTEGER PRIMARY KEY, dataset INTEGER, layout INTEGER, length INTEGER,
  live INTEGER, content INTEGER, written INTEGER, sealed INTEGER);
CREATE TABLE garbage(id INTEGER PRIMARY KEY, sequence INTEGER, object INTEGER, number INTEGER,
  layout INTEGER, length INTEGER, intent INTEGER DEFAULT 0);
"""


class StaleIndexError(Exception):
    """The file under this handle is not the index any more: open it again."""


class DamagedIndexError(Exception):
    """SQLite found damage, or the file is of another store or schema: rebuild it."""


def assert_library() -> None:
    """Raises HoldfastError when the SQLite library is too old to be trusted with an index."""
    have = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if have < SQLITE_MIN:
        raise errors.HoldfastError(
            "index.old_sqlite", "the SQLite library {have} has a bug that can corrupt the index",
            hint="install apsw 3.51.3 or newer: make setup", have=apsw.sqlite_lib_version(),
        )


class Index:
    """Connections to one index file. Thread-safe; readers come from a small pool."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """`path` None: an index in memory.

        `read_only`: nothing is written, not even SQLite's own files beside an index; only for a
        file without a WAL. Raises StaleIndexError when it has one.
        """
        self.path = path
        self.identity = identity_of(path)
        self._read_only = read_only
        self._name = str(path) if path else f"file:/holdfast-{ids.new_number():x}?vfs=memdb"
        self._unchanged = _state_of(path) if read_only and path else None
        self._idle: list[apsw.Connection] = []
        self._lock = threading.Lock()
        self._writer: apsw.Connection | None = None
        if path is None:  # keeps the shared memory database alive, and makes it
            self._writer = self._connect(write=True)

    def writer(self) -> apsw.Connection:
        """The connection for changes; only the holder of the commit lock may use it."""
        self.check_current()
        if self._writer is None:
            self._writer = self._connect(write=True)
        return self._writer

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection inside one consistent read transaction.

        Raises StaleIndexError or DamagedIndexError.
        """
        self.check_current()
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = self._connect(write=False)
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if not connection.get_autocommit():
                    connection.execute("COMMIT")
        except _UNREADABLE as error:
            raise DamagedIndexError(str(error)) from error
        except apsw.SQLError as error:
            if "no such table" in str(error):  # the file was emptied under the handle
                raise DamagedIndexError(str(error)) from error
            raise
        if self._unchanged is not None:
            self.check_current()
        with self._lock:
            if len(self._idle) < READERS_KEPT:
                self._idle.append(connection)

    def check_current(self) -> None:
        """Raises StaleIndexError when another file stands where this one was opened."""
        if self.path is None:
            return
        if identity_of(self.path) != self.identity:
            raise StaleIndexError(str(self.path))
        if self._unchanged is not None and _state_of(self.path) != self._unchanged:
            raise StaleIndexError(str(self.path))

    def close(self) -> None:
        with self._lock:
            connections, self._idle = self._idle, []
        for connection in connections:
            connection.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def forget(self) -> None:
        """For the child of a fork: keep the parent's handles, so that nothing ever closes them.

        SQLite must not see a connection again that was carried over a fork.
        """
        _carried_over.append((self._idle, self._writer))
        self._idle, self._writer = [], None

    def _connect(self, *, write: bool) -> apsw.Connection:
        if self.path is None:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
            connection = apsw.Connection(self._name, flags=flags)
        elif self._read_only:
            _load_checksums()
            connection = apsw.Connection(
                f"file:{urllib.parse.quote(self._name)}?immutable=1",
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=_VFS,
            )
        else:
            _load_checksums()
            connection = apsw.Connection(
                self._name, flags=apsw.SQLITE_OPEN_READWRITE, vfs=_VFS
            )
        connection.set_busy_timeout(10_000)
        connection.execute("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY")
        if write:
            connection.execute("PRAGMA cache_size=-24576; PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=4000")
        else:
            connection.execute("PRAGMA cache_size=-1024; PRAGMA query_only=1")
        return connection


@contextlib.contextmanager
def damage_found() -> Iterator[None]:
    """Turns what SQLite says about damage in a file into DamagedIndexError; a full disk is none."""
    try:
        yield
    except apsw.IOError as error:
        if getattr(error, "extendedresult", 0) not in _READ_ERRORS:
            raise
        raise DamagedIndexError(str(error)) from error
    except (*_UNREADABLE, apsw.ConstraintError) as error:
        raise DamagedIndexError(str(error)) from error


@contextlib.contextmanager
def copied(path: Path) -> Iterator[apsw.Connection]:
    """A copy of an index file, taken without opening it, so that nothing changes where it lies.

    The copy has no WAL: a database in memory could not be filled from one that has.
    Raises StaleIndexError, OSError, apsw.Error.
    """
    _load_checksums()
    with tempfile.TemporaryDirectory(prefix="holdfast-index-") as folder:
        connection = apsw.Connection(str(_copy_away(path.resolve(), Path(folder))), vfs=_VFS)
        try:
            connection.execute("PRAGMA journal_mode=DELETE")
            yield connection
        finally:
            connection.close()


def fill(target: apsw.Connection, source: apsw.Connection) -> None:
    """Make an open database the same as another. Raises DamagedIndexError, apsw.Error."""
    get_meta(source)
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(COPY_PAGES)
    get_meta(target)


def create(path: Path) -> None:
    """Make a new, empty index file as `path`, replacing what is there. The commit lock is held.

    The file gets a name of its own and `path` becomes a link to it, so that processes with the old
    one open notice, and so that its WAL can never be taken for another's.
    """
    _load_checksums()
    target = path.parent / f"index-{ids.new_number():016x}.db"
    connection = apsw.Connection(str(target), vfs=_VFS)
    prepare(connection)
    connection.close()
    link = path.parent / f".{target.name}.link"
    os.symlink(target.name, link)
    atomic.publish(link, path, point="index.publish")
    for name in os.listdir(path.parent):
        is_old = name.startswith(("index-", ".index-", f"{path.name}-"))
        if is_old and not name.startswith(target.name):
            atomic.remove(path.parent / name, point="index.remove_old")


def prepare(connection: apsw.Connection) -> None:
    """Lay the schema into an empty database."""
    connection.reserve_bytes(reserve=8)  # where cksumvfs keeps the checksum of a page
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    with connection:
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO meta VALUES('schema', ?)", (SCHEMA_VERSION,))


def get_meta(connection: apsw.Connection) -> dict[str, object]:
    """All of `meta`. Raises DamagedIndexError when it is not an index of this release."""
    try:
        found = dict(connection.execute("SELECT key, value FROM meta"))
    except (apsw.SQLError, apsw.CorruptError, apsw.NotADBError, apsw.IOError) as error:
        raise DamagedIndexError(str(error)) from error
    if found.get("schema") != SCHEMA_VERSION:
        raise DamagedIndexError("schema")
    return found


def set_meta(connection: apsw.Connection, **values: object) -> None:
    connection.executemany("INSERT OR REPLACE INTO meta VALUES(?, ?)", tuple(values.items()))


def identity_of(path: Path | None) -> tuple[int, int] | None:
    """Tells whether another file stands at a path; None when there is none."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _state_of(path: Path) -> tuple[int, int]:
    """(time of change, size) of an index without a WAL. Raises StaleIndexError when it has one."""
    target = path.resolve()
    with contextlib.suppress(FileNotFoundError):
        if os.stat(f"{target}-wal").st_size:
            raise StaleIndexError(str(path))
    try:
        found = os.stat(target)
    except OSError as error:
        raise StaleIndexError(str(path)) from error
    return found.st_mtime_ns, found.st_size


def _copy_away(path: Path, folder: Path) -> Path:
    target = folder / "index.db"
    for _ in range(COPY_TRIES):
        before = _states(path)
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{target}{suffix}")
        if _states(path) == before:
            return target
    raise StaleIndexError(str(path))


def _states(path: Path) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for suffix in ("", "-wal"):
        try:
            status = os.stat(f"{path}{suffix}")
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return found


_loading = threading.Lock()
_carried_over: list[object] = []


def _load_checksums() -> None:
    """Register the checksumming VFS once in this process."""
    with _loading:
        if _VFS in apsw.vfs_names():
            return
        connection = apsw.Connection(":memory:")
        apsw.sqlite_extra.load(connection, "cksumvfs")
        connection.close()
