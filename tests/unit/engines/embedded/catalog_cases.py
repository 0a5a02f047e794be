"""Small prepared stores for tests of the catalog, and what an index tells."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from tests.support import embedded as stores

from holdfast.engines.embedded import engine as embedded
from holdfast.model import spec, topology

ASKED = spec.Spec(
    cluster="lab", file="", engine=spec.EngineSpec(kind="embedded"),
    datasets=(spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(3)),),
)
TUNING = embedded.Tuning(lock_wait_s=5.0, node_deadline_s=10.0)
Dump = dict[str, list[tuple[object, ...]]]


@contextmanager
def memory_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: every step of a test is many syncs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="holdfast-test-") as made:
        yield Path(made)


def prepare(folder: Path, count: int = 5) -> Path:
    """A store with a few objects in it, closed."""
    made = stores.copied_engine(folder, ASKED, count=count)
    for number in range(8):
        made.put(f"/data/folder/{number}", b"content %d" % number)
    made.close()
    return folder


def open_store(
    folder: Path, *, state: str = "state", read_only: bool = False, count: int = 5,
    tuning: embedded.Tuning = TUNING,
) -> embedded.EmbeddedEngine:
    """The store in `folder`, with a state folder of its own or the common one."""
    wanted = dataclasses.replace(
        stores.with_nodes(folder, ASKED, count), state=str(folder / state))
    made = embedded.EmbeddedEngine(wanted, read_only=read_only, tuning=tuning)
    made.open()
    return made


def contents(one: embedded.EmbeddedEngine) -> dict[str, bytes]:
    found = {}
    for info in one.list_objects("/data"):
        with one.get(info.path) as source:
            found[info.path] = source.read()
    return found


def expected(**more: bytes) -> dict[str, bytes]:
    return {
        **{f"/data/folder/{number}": b"content %d" % number for number in range(8)},
        **{f"/data/{name}": data for name, data in more.items()},
    }


def dump(connection: apsw.Connection) -> Dump:
    """All that an index tells, whatever the order in which it was told."""
    tables = [row[0] for row in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%'")]
    return {
        table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)
        for table in tables
    }


def dump_of(one: embedded.EmbeddedEngine) -> Dump:
    return one.opened().catalog.read(dump)


def rebuilt(folder: Path) -> Dump:
    """What an index tells that is made from the nodes alone."""
    shutil.rmtree(folder / "other-state", ignore_errors=True)
    one = open_store(folder, state="other-state")
    try:
        return dump_of(one)
    finally:
        one.close()


def index_file(folder: Path) -> Path:
    return (folder / "state" / "index.db").resolve()


def leave_no_wal(folder: Path) -> None:
    """Everything is in the index file itself."""
    connection = apsw.Connection(str(index_file(folder)))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def snapshot_of(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file's bytes, time of change and length of the folder's time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (data, status.st_mtime_ns, status.st_mode)
    return found


