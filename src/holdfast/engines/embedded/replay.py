"""Bring an index up with the commit log: apply the frames that follow its position."""

from __future__ import annotations

import itertools
import uuid as uuids
from collections.abc import Iterator

import apsw

from holdfast import errors
from holdfast.engines.embedded import apply, commit_log, index, log_file

FRAMES_AT_ONCE = 256  # in one SQLite transaction
FAILURES = (apsw.Error, index.DamagedIndexError, AssertionError, LookupError, TypeError)
"""What applying good frames to an index that is not what it says may end in."""


def position(connection: apsw.Connection) -> tuple[int, bytes]:
    """(sequence, chain) up to which the index has the log. Raises DamagedIndexError."""
    meta = index.get_meta(connection)
    sequence, chain = meta.get("sequence", 0), meta.get("chain", log_file.GENESIS)
    if not isinstance(sequence, int) or not isinstance(chain, bytes):
        raise index.DamagedIndexError("position")
    return sequence, chain


def set_position(connection: apsw.Connection, sequence: int, chain: bytes) -> None:
    """Inside the caller's transaction."""
    index.set_meta(connection, sequence=sequence, chain=chain)


def store_id(store: bytes) -> str:
    """The store's id as the index has it."""
    return str(uuids.UUID(bytes=store))


def apply_frames(
    log: commit_log.CommitLog, connection: apsw.Connection, applier: apply.Applier,
    start: tuple[int, bytes], until: int | None,
) -> None:
    """Apply what follows `start` up to commit `until`, some frames to a transaction.

    Raises as `frames_after` does, and FAILURES; the transactions before are committed then.
    """
    frames = log.frames_after(*start)
    if until is not None:
        frames = itertools.takewhile(lambda frame: frame.sequence <= until, frames)
    stopped: list[errors.IntegrityError] = []
    sound = _until_damage(frames, stopped)
    while chunk := list(itertools.islice(sound, FRAMES_AT_ONCE)):
        _apply_chunk(connection, applier, chunk)
    if stopped:
        raise stopped[0]


def _until_damage(
    frames: Iterator[log_file.Frame], stopped: list[errors.IntegrityError]
) -> Iterator[log_file.Frame]:
    """What comes before damage is applied before the damage is told."""
    try:
        yield from frames
    except errors.IntegrityError as error:
        stopped.append(error)


def _apply_chunk(
    connection: apsw.Connection, applier: apply.Applier, chunk: list[log_file.Frame]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for frame in chunk:
            applier.sequence = frame.sequence
            for record in log_file.unpack_records(frame.payload):
                applier.apply(record)
        applier.flush()
        set_position(connection, chunk[-1].sequence, chunk[-1].chain)
        connection.execute("COMMIT")
    except BaseException:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
        applier.reload()
        raise
