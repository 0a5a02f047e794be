"""The commit log and the index as one: what is true, and the fast way to look it up.

`read` gives a consistent view that is never older than the last acknowledged commit of any process;
`commit` judges requests against that view and makes them durable in one batch. The index never
leads the log: a batch is applied in a SQLite transaction that commits only after the log has it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from holdfast import errors
from holdfast.engines.embedded import apply, commit_log, image, index, log_file
from holdfast.engines.embedded.apply import Record
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.kit import clock

T = TypeVar("T")
READ_TRIES = 3
REBUILD_WAIT_S = 30.0
OPEN_WAIT_S = 2.0  # how long opening waits for a lock before it trusts a consistent index


class Reader(Protocol[T]):
    def __call__(self, connection: apsw.Connection, /) -> T: ...


class Request(Protocol):
    """One change that waits for the next batch."""

    looks_up: tuple[int, tuple[bytes, ...]] | None

    @property
    def done(self) -> bool:
        """Was `finish` called?"""

    def prepare(self, applier: apply.Applier) -> Sequence[Record]:
        """Judge it against the index as it is with the batch so far: the records that do it.

        Raises a HoldfastError when it cannot be; then nothing of it happens.
        """

    def applied(self, applier: apply.Applier) -> None:
        """Called after its records were applied, before they are durable: note what came out."""

    def finish(self, error: BaseException | None) -> None:
        """Durable (None), or refused or failed."""


class Catalog:
    """Thread-safe. Nothing is written before the first `commit`, except to bring an index up."""

    def __init__(
        self, log: commit_log.CommitLog, folder: Path, *, read_only: bool,
        image_after_bytes: int,
    ) -> None:
        self.log = log
        self.folder = folder
        self.path = folder / "index.db"
        self._read_only = read_only
        self._image_after_bytes = image_after_bytes
        self._index: index.Index | None = None
        self._applier: apply.Applier | None = None
        self._applied: tuple[int, bytes] = (-1, b"")
        self._seen = -1
        self._logged_bytes = 0
        self._opening = threading.RLock()
        self._readmit_tried = False

    # --- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Have an index that is as new as the log. Raises UnavailableError, IntegrityError."""
        mark = self.log.newest_mark()
        if mark is not None and self._try_index(mark):
            return
        if self._read_only:
            self._open_in_memory()
            return
        try:
            with self._locked(clock.Deadline(OPEN_WAIT_S)):
                pass
        except errors.UnavailableError:
            if not self._try_index(None):
                self._open_in_memory()

    def close(self) -> None:
        with self._opening:
            if self._index is not None:
                self._index.close()
            self._index, self._applier = None, None
        self.log.close()

    def forget(self) -> None:
        """In the child of a fork: drop handles that belong to the parent."""
        if self._index is not None:
            self._index.forget()
        self._index, self._applier = None, None

    # --- reading ------------------------------------------------------------------------------

    @property
    def seen(self) -> int:
        """A commit that every later `read` has seen."""
        return max(self._seen, 0)

    def read(self, reader: Reader[T]) -> T:
        """Run `reader` in one read transaction of an index that has all acknowledged commits."""
        for _ in range(READ_TRIES):
            opened = self._index
            try:
                self._refresh()
                opened = self._index
                if opened is None:
                    raise index.StaleIndexError(str(self.path))
                with opened.reading() as connection:
                    return reader(connection)
            except (index.StaleIndexError, index.DamagedIndexError) as error:
                self._mend_index(opened, damaged=isinstance(error, index.DamagedIndexError))
        raise errors.UnavailableError(
            "index.unreadable", "the index {path} cannot be read", path=str(self.path),
            hint="see whether the state folder's disk is full or failing; then holdfast index "
            "rebuild --yes",
        )

    def _refresh(self) -> None:
        """Catch up when a clean mark says that the log is ahead of what was last seen."""
        mark = self.log.newest_mark()
        if mark is None or mark.sequence <= self._seen:
            return
        with self._opening:
            if self._index is not None:
                with self._index.reading() as connection:
                    position = _position(connection)
                if position[0] >= mark.sequence:
                    self._seen = position[0]
                    return
            if self._read_only:
                self._open_in_memory()
                return
        with self._locked(clock.Deadline(OPEN_WAIT_S)):
            pass

    # --- writing ------------------------------------------------------------------------------

    def commit(
        self, take: Callable[[], Sequence[Request]], deadline: clock.Deadline | None
    ) -> None:
        """Judge, log and apply what `take` gives as one batch; each request is told its outcome.

        `take` is called once the lock is held, so that what arrives while waiting is in the batch.
        Raises what kept the batch from being tried; requests that were not told are not `done`.
        """
        with self._locked(deadline):
            self._readmit()
            requests = take()
            try:
                self._commit_batch(requests)
            except commit_log.LogFailedError:
                self._commit_again(requests)
            self._maybe_take_image()

    @contextlib.contextmanager
    def exclusive(self, deadline: clock.Deadline | None) -> Iterator[apsw.Connection]:
        """The commit lock, with the index caught up: for what must not race with any commit."""
        with self._locked(deadline):
            yield self._writer()

    def rebuild(self) -> tuple[int, int]:
        """Make the index anew from the newest image and the log: (last commit, frames applied)."""
        self.log.lock.acquire(clock.Deadline(REBUILD_WAIT_S))
        try:
            with self._opening:
                return self._rebuild_locked()
        finally:
            self.log.lock.release()

    def _rebuild_locked(self) -> tuple[int, int]:
        died = self.log.died_midway()
        frames = self._build_anew()
        self._recover(died_midway=died)
        self.log.settle()
        return self._applied[0], frames

    # --- inside: the lock and the log's end ---------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, deadline: clock.Deadline | None) -> Iterator[None]:
        self.log.lock.acquire(deadline)
        try:
            with self._opening:
                self._sync_locked()
            yield
        finally:
            self.log.lock.release()

    def _sync_locked(self) -> None:
        """Under the lock: the log's end is known and the index stands exactly there."""
        mark = self.log.locked_mark()
        if mark is not None and mark.sequence == self._applied[0] == self._seen:
            with contextlib.suppress(index.StaleIndexError):
                assert self._index is not None
                self._index.check_current()
                if self.log.tail is None or self.log.tail.name != mark.name:
                    self.log.adopt(mark)
                return
        self._have_index()
        if mark is None:
            self._recover(died_midway=self.log.died_midway())
            self.log.settle()
        else:
            self._catch_up()
            if self._applied[0] != mark.sequence:
                self._recover(died_midway=True)
                self.log.settle()
            else:
                self.log.adopt(mark)

    def _recover(self, *, died_midway: bool) -> None:
        self._catch_up()
        tail = self.log.recover(*self._applied, died_midway=died_midway)
        self._catch_up()
        if self._applied[0] != tail.sequence:
            raise errors.BugError("log.not_applied", "the index stopped at commit {have} of {want}",
                                  have=self._applied[0], want=tail.sequence)

    def _readmit(self) -> None:
        """Once in the life of this handle: take members back into the log that are there again."""
        if self._readmit_tried:
            return
        self._readmit_tried = True
        if self.log.missing_active():
            self._recover(died_midway=True)
            self.log.settle()

    # --- inside: batches ----------------------------------------------------------------------

    def _commit_batch(self, requests: Sequence[Request]) -> None:
        connection = self._writer()
        applier = self._applier
        assert applier is not None
        connection.execute("BEGIN IMMEDIATE")
        applier.sequence = self._applied[0] + 1
        try:
            accepted, records = self._judge(requests, applier)
            if not records:
                self._roll_back(connection)
                _finish(accepted)
                return
            payload = log_file.pack_records(records)
            mark = self.log.append(payload)
        except BaseException:
            self._roll_back(connection)
            raise
        self._make_visible(connection, applier, mark)
        self._logged_bytes += len(payload)
        self.log.settle()
        _finish(accepted)

    def _judge(
        self, requests: Sequence[Request], applier: apply.Applier
    ) -> tuple[list[Request], list[Record]]:
        accepted: list[Request] = []
        records: list[Record] = []
        if len(requests) > 1:
            applier.look_ahead(one.looks_up for one in requests if one.looks_up is not None)
        for request in requests:
            if request.looks_up is None:
                applier.settle()
            try:
                made = request.prepare(applier)
            except errors.HoldfastError as error:
                request.finish(error)
                continue
            for record in made:
                applier.apply(record)
            request.applied(applier)
            records.extend(made)
            accepted.append(request)
        return accepted, records

    def _make_visible(
        self, connection: apsw.Connection, applier: apply.Applier, mark: Mark
    ) -> None:
        try:
            applier.flush()
            _set_position(connection, mark.sequence, mark.chain)
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back(connection)
            raise errors.UnavailableError(
                "index.write_failed", "the index {path} could not be written: {reason}; the change "
                "is in the commit log", path=str(self.path), reason=str(error),
                hint="free space where the state folder lies; the next command catches up",
            ) from error
        self._applied = (mark.sequence, mark.chain)
        self._seen = mark.sequence

    def _commit_again(self, requests: Sequence[Request]) -> None:
        """A member failed midway: recover without it, then see which requests are still to do."""
        with self._opening:
            before = self._applied[0]
            self._recover(died_midway=True)
            self.log.settle()
        if self._applied[0] > before:  # the batch survived the failure and was applied
            _finish([one for one in requests if not one.done])
            return
        waiting = [one for one in requests if not one.done]
        try:
            self._commit_batch(waiting)
        except commit_log.LogFailedError as error:
            raise errors.UnavailableError(
                "log.failed", "the commit log could not be written: {reason}",
                hint="holdfast status shows which nodes fail", reason=str(error),
            ) from error

    def _roll_back(self, connection: apsw.Connection) -> None:
        if not connection.get_autocommit():
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
        if self._applier is not None:
            self._applier.reload()

    # --- inside: the index --------------------------------------------------------------------

    def _writer(self) -> apsw.Connection:
        assert self._index is not None
        return self._index.writer()

    def _try_index(self, mark: Mark | None) -> bool:
        """Open the index that is there; True when it is sound and (with `mark`) up to date."""
        if not self.path.exists():
            return False
        try:
            opened = index.Index(self.path)
            with opened.reading() as connection:
                position = _position(connection)
                meta = index.get_meta(connection)
        except (index.StaleIndexError, index.DamagedIndexError):
            return False
        if meta.get("store_bytes") not in (None, self.log.store):
            return False
        if mark is not None and position != (mark.sequence, mark.chain):
            opened.close()
            return False
        self._index, self._seen = opened, position[0]
        return True

    def _have_index(self) -> None:
        """Under the lock: an open index with its applier, rebuilt where there is no sound one."""
        try:
            self._let_go_if_stale()
            if self._index is None:
                self._index = index.Index(self.path) if self.path.exists() else None
            if self._index is None:
                raise index.DamagedIndexError("missing")  # noqa: TRY301 - handled like damage
            connection = self._index.writer()
            position = _position(connection)
            if position != self._applied or self._applier is None:
                self._applier = apply.Applier(connection)
                self._applied = position
        except (index.StaleIndexError, index.DamagedIndexError, apsw.Error):
            self._build_anew()

    def _let_go_if_stale(self) -> None:
        """Another process made the index anew: open that one, do not make yet another."""
        if self._index is None:
            return
        try:
            self._index.check_current()
        except index.StaleIndexError:
            self._index.close()
            self._index, self._applier, self._applied, self._seen = None, None, (-1, b""), -1

    def _catch_up(self) -> None:
        """Apply the frames that follow the index's position; rebuild where it is not in the log."""
        try:
            self._apply_frames()
        except errors.NotFoundError:
            self._build_anew()
        except (apsw.CorruptError, apsw.IOError, apsw.ConstraintError):
            self._build_anew()

    def _build_anew(self) -> int:
        if self._index is not None:
            self._index.close()
        self._applier = None
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        index.create(self.path)
        image.load_newest(self.log, self.path)
        self._index = index.Index(self.path)
        connection = self._index.writer()
        self._applier = apply.Applier(connection)
        self._applied = _position(connection)
        return self._apply_frames()

    def _apply_frames(self) -> int:
        assert self._index is not None
        assert self._applier is not None
        count = apply_frames(self.log, self._index.writer(), self._applier, self._applied)
        if count:
            self._applied = _position(self._index.writer())
        self._seen = self._applied[0]
        return count

    def _open_in_memory(self) -> None:
        """For reading only: a private index in memory that is as new as the log."""
        with self._opening:
            fresh = index.Index(None)
            connection = fresh.writer()
            source = self.path if self.path.exists() else None
            if source is None or not image.copy_into(source, connection):
                index.prepare(connection)
                image.load_newest_into(self.log, connection)
            try:
                apply_frames(self.log, connection, apply.Applier(connection),
                             _position(connection))
            except errors.NotFoundError:
                fresh.close()
                fresh = index.Index(None)
                connection = fresh.writer()
                index.prepare(connection)
                image.load_newest_into(self.log, connection)
                apply_frames(self.log, connection, apply.Applier(connection),
                             _position(connection))
            self._index, self._seen = fresh, _position(connection)[0]

    def _mend_index(self, failed: index.Index | None, *, damaged: bool) -> None:
        """The index that a reader used is stale or damaged: have a sound one, made once for all."""
        if self._read_only:
            with self._opening:
                if self._index is failed:
                    self._open_in_memory()
            return
        self.log.lock.acquire(clock.Deadline(REBUILD_WAIT_S))
        try:
            with self._opening:
                if damaged and self._index is failed:
                    self._rebuild_locked()
                else:
                    self._sync_locked()
        finally:
            self.log.lock.release()

    # --- inside: images -----------------------------------------------------------------------

    def _maybe_take_image(self) -> None:
        """After enough log: store the index itself on the members and let go of old log files."""
        if self._logged_bytes < self._image_after_bytes:
            return
        self._logged_bytes = 0
        image.take(self.log, self._writer(), self.folder, self._applied)


def apply_frames(
    log: commit_log.CommitLog, connection: apsw.Connection, applier: apply.Applier,
    position: tuple[int, bytes],
) -> int:
    """Apply what follows `position`, some frames to a SQLite transaction; how many frames."""
    count = 0
    batch = 256
    frames = log.frames_after(*position)
    while True:
        chunk = [frame for frame, _ in zip_first(frames, batch)]
        if not chunk:
            return count
        connection.execute("BEGIN IMMEDIATE")
        try:
            for frame in chunk:
                applier.sequence = frame.sequence
                for record in log_file.unpack_records(frame.payload):
                    applier.apply(record)
            applier.flush()
            _set_position(connection, chunk[-1].sequence, chunk[-1].chain)
            connection.execute("COMMIT")
        except BaseException:
            if not connection.get_autocommit():
                connection.execute("ROLLBACK")
            applier.reload()
            raise
        count += len(chunk)


def zip_first(frames: Iterator[tuple[T, object]], count: int) -> Iterator[tuple[T, int]]:
    """At most `count` of the frames, numbered; the rest stays in the iterator."""
    for number in range(count):
        found = next(frames, None)
        if found is None:
            return
        yield found[0], number


def _finish(requests: Sequence[Request]) -> None:
    for request in requests:
        request.finish(None)


def _position(connection: apsw.Connection) -> tuple[int, bytes]:
    """(sequence, chain) up to which the index has the log. Raises DamagedIndexError."""
    meta = index.get_meta(connection)
    sequence, chain = meta.get("sequence", 0), meta.get("chain", log_file.GENESIS)
    assert isinstance(sequence, int)
    assert isinstance(chain, bytes)
    return sequence, chain


def _set_position(connection: apsw.Connection, sequence: int, chain: bytes) -> None:
    index.set_meta(connection, sequence=sequence, chain=chain)
