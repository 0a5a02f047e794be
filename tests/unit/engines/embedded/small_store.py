"""A store with small shards and segments, copied from one that was prepared once; what lies on it."""

from __future__ import annotations

import atexit
import dataclasses
import random
import shutil
import tempfile
from pathlib import Path

import apsw
from tests.support import embedded_target

from holdfast.engines.embedded import apply, engine, piece, segment, session
from holdfast.model import spec

NODES = [f"d{number}" for number in range(1, 7)]
SHARD_BYTES = 256 << 10  # of dataset `data`, replicas 3; `media` is erasure 4+2, twice as long

_template: list[Path] = []


def make(folder: Path, *, segment_bytes_max: int = 64 << 10, node_deadline_s: float = 5.0) -> (
    engine.EmbeddedEngine
):
    """A fresh store in `folder`, opened."""
    if not _template:
        _template.append(Path(tempfile.mkdtemp(prefix="holdfast-small-")))
        atexit.register(shutil.rmtree, _template[0], ignore_errors=True)
        embedded_target.prepare(_template[0])
    shutil.copytree(_template[0], folder, symlinks=True, dirs_exist_ok=True)
    return reopen(folder, segment_bytes_max=segment_bytes_max, node_deadline_s=node_deadline_s)


def reopen(
    folder: Path, *, segment_bytes_max: int = 64 << 10, node_deadline_s: float = 5.0,
    read_only: bool = False,
) -> engine.EmbeddedEngine:
    tuning = dataclasses.replace(
        embedded_target.TUNING, segment_bytes_max=segment_bytes_max,
        node_deadline_s=node_deadline_s)
    made = engine.EmbeddedEngine(
        embedded_target.specification(folder), tuning=tuning, read_only=read_only)
    made.open()
    return made


def content(seed: object, size: int) -> bytes:
    return random.Random(f"{seed}").randbytes(size)


def read(store: engine.EmbeddedEngine, path: str) -> bytes:
    with store.get(path) as source:
        return source.read()


def stored_files(folder: Path) -> set[str]:
    """Every piece and segment on every node, as `d1/pg/0001/...`."""
    return {
        str(path.relative_to(folder))
        for name in NODES if (folder / name).exists()
        for kind in ("pg", "seg") for path in (folder / name / kind).rglob("*") if path.is_file()
    }


def needed_files(store: engine.EmbeddedEngine) -> set[str]:
    """What the index says must be there, garbage included."""
    return store.opened().catalog.read(_needed)


def leftovers(folder: Path, store: engine.EmbeddedEngine) -> tuple[set[str], set[str]]:
    """(files that nothing needs, needed files that are not there)."""
    have, need = stored_files(folder), needed_files(store)
    return have - need, need - have


def segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("d*/seg/*.seg"))


def sealed(store: engine.EmbeddedEngine) -> dict[int, bool]:
    """Every segment of the index: is it sealed?"""
    return store.opened().catalog.read(lambda one: {
        number: bool(done) for number, done in one.execute("SELECT id, sealed FROM segments")})


def copies(store: engine.EmbeddedEngine, folder: Path, path: str) -> tuple[int, list[Path]]:
    """(position, the files) of a small object whose name no other has, in the order of its nodes."""
    found = store.opened().catalog.read(lambda one: _record(one, path))
    number, position, nodes = found
    return position, [folder / f"d{node}" / "seg" / segment.file_name(number)
                      for node in session.numbers_of(nodes)]


def flip(path: Path, offset: int) -> None:
    """Invert a byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes([old[0] ^ 0xFF]))


def shard_bytes(profile: spec.Profile) -> int:
    return embedded_target.TUNING.shard_bytes[profile]


def _record(connection: apsw.Connection, path: str) -> tuple[int, int, str]:
    name = path.rpartition("/")[2].encode()
    row = connection.execute(
        "SELECT e.segment, e.position, l.nodes FROM entries AS e JOIN segments AS s "
        "ON s.id=e.segment JOIN layouts AS l ON l.id=s.layout WHERE e.name=? "
        "ORDER BY e.txn DESC LIMIT 1", (name,)).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def _needed(connection: apsw.Connection) -> set[str]:
    found = set()
    rows = connection.execute(
        "SELECT s.position, s.number, l.grp, l.nodes FROM shards AS s JOIN layouts AS l "
        "ON l.id=s.layout WHERE s.segment=0 UNION ALL SELECT g.object, g.number, l.grp, l.nodes "
        "FROM garbage AS g JOIN layouts AS l ON l.id=g.layout UNION ALL "
        "SELECT s.id, ?, 0, l.nodes FROM segments AS s JOIN layouts AS l ON l.id=s.layout",
        (apply.WHOLE_SEGMENT,))
    for owner, number, group, nodes in rows:
        for position, node in enumerate(session.numbers_of(nodes)):
            if node < 0:
                continue
            name = f"seg/{segment.file_name(owner)}" if number == apply.WHOLE_SEGMENT else (
                f"{piece.group_folder(group)}/{piece.file_name(owner, number, position)}")
            found.add(f"d{node}/{name}")
    return found
