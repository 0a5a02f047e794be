"""The commit log and the index as one: what is true, and the fast way to look it up.

`read` gives a consistent view that is never older than the last acknowledged commit of any process;
`commit` judges requests against that view and makes them durable in one batch. The index never
leads the log: a batch is applied in a SQLite transaction that commits only after the log has it,
and what recovery finds is applied only after it is on all members that can be reached.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from holdfast import errors
from holdfast.engines.embedded import (
    apply,
    commit_log,
    image,
    index,
    log_file,
    private_index,
    replay,
)
from holdfast.engines.embedded.apply import Record
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.kit import clock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
TRIES = 4
OPEN_WAIT_S = 2.0  # how long reading waits for the lock before it makes an index of its own
REBUILD_WAIT_S = 30.0
NOWHERE = (-1, b"")


class Reader(Protocol[T_co]):
    """What `read` runs; it must not keep the connection."""

    def __call__(self, connection: apsw.Connection, /) -> T_co: ...


class Request(Protocol):
    """One change that waits for the next batch."""

    looks_up: tuple[int, tuple[bytes, ...]] | None

    @property
    def done(self) -> bool:
        """Was `finish` called?"""

    def prepare(self, applier: apply.Applier) -> Sequence[Record]:
        """Judge it against the index as it is with the batch so far: the records that do it.

        Raises a HoldfastError when it cannot be; then nothing of it happens. May be called again
        when the log failed midway.
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
        self.image_error: str | None = None
        self._read_only = read_only
        self._image_after_bytes = image_after_bytes
        self._index: index.Index | None = None
        self._applier: apply.Applier | None = None
        self._applied: tuple[int, bytes] = NOWHERE
        self._private: private_index.PrivateIndex | None = None
        self._seen = -1
        self._distrusted: tuple[int, int] | None = None
        self._opening = threading.RLock()

    # --- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Have an index that is as new as the log. Raises UnavailableError, IntegrityError."""
        mark = self.log.newest_mark()
        if mark is not None and self._try_index(mark):
            return
        if self._read_only:
            self._open_private()
            return
        try:
            with self._locked(clock.Deadline(OPEN_WAIT_S)):
                pass
        except errors.UnavailableError:
            settled = self.log.settled()
            if settled is None or not self._try_index(settled):
                self._open_private()

    def close(self) -> None:
        with self._opening:
            self._drop()
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

    @property
    def incomplete(self) -> errors.HoldfastError | None:
        """Why a private index holds less than was acknowledged, if it does."""
        return self._private.incomplete if self._private is not None else None

    def read(self, reader: Reader[T]) -> T:
        """Run `reader` in one read transaction of an index that has all acknowledged commits."""
        for _ in range(TRIES):
            opened = self._index
            try:
                self._refresh()
                opened = self._index
                if opened is None:
                    raise index.StaleIndexError(str(self.path))  # noqa: TRY301 - opened below
                with opened.reading() as connection:
                    return reader(connection)
            except index.StaleIndexError:
                self._reopen(opened)
            except index.DamagedIndexError:
                self._reopen(opened, damaged=True)
        raise errors.UnavailableError(
            "index.unreadable", "the index {path} cannot be read", path=str(self.path),
            hint="see whether the state folder's disk is full or failing; then holdfast index "
            "rebuild --yes",
        )

    def _refresh(self) -> None:
        """Catch up when the marks say that more was acknowledged than was last seen."""
        mark = self.log.settled()
        if mark is None or mark.sequence <= self._seen:
            return
        with self._opening:
            if self._private is not None and self._read_only:
                self._seen = self._private.catch_up(self.log, mark.sequence)
                self._index = self._private.index
                return
            if self._index is not None:
                with self._index.reading() as connection:
                    position = replay.position(connection)
                if position[0] >= mark.sequence:
                    self._seen = position[0]
                    return
            if self._read_only:
                self._open_private()
                return
        try:
            with self._locked(clock.Deadline(OPEN_WAIT_S)):
                pass
        except errors.UnavailableError:
            self._open_private()

    # --- writing ------------------------------------------------------------------------------

    def commit(
        self, take: Callable[[], Sequence[Request]], deadline: clock.Deadline | None
    ) -> None:
        """Judge, log and apply what `take` gives as one batch; each request is told its outcome.

        `take` is called once the lock is held, so that what arrives while waiting is in the batch.
        Raises what kept the batch from being tried; requests that were not told are not `done`.
        """
        requests: Sequence[Request] | None = None
        reason = ""
        for _ in range(TRIES):
            try:
                with self._locked_again(deadline, reason):
                    if requests is None:
                        self._readmit()
                        requests = take()
                    elif self.log.survived():
                        _finish([one for one in requests if not one.done])
                        return
                    self._commit_batch([one for one in requests if not one.done])
                    self._maybe_take_image()
                    return
            except commit_log.LogFailedError as error:
                reason = str(error)
            except index.StaleIndexError as error:
                reason = str(error)
                self._drop()
            except index.DamagedIndexError as error:
                reason = str(error)
                self._drop(damaged=True)
        raise _unknown(reason)

    @contextlib.contextmanager
    def exclusive(self, deadline: clock.Deadline | None) -> Iterator[apsw.Connection]:
        """The commit lock, with the index caught up: for what must not race with any commit."""
        with self._locked(deadline):
            yield self._writer()

    def rebuild(self, *, accept_loss: bool = False) -> tuple[int, int]:
        """Make the index anew from the newest image and the log: (last commit, frames applied).

        `accept_loss`: a person has decided to go on from where the log ends, though more had been
        acknowledged.
        """
        self.log.acquire(clock.Deadline(REBUILD_WAIT_S))
        try:
            with self._opening:
                self._build_anew()
                start = self._applied[0]
                self._recover(trusted=self.log.lock.left_cleanly(), accept_loss=accept_loss)
                self.log.settle()
                return self._applied[0], self._applied[0] - start
        except commit_log.LogFailedError as error:
            raise _not_written(str(error)) from error
        finally:
            self.log.lock.release()

    # --- inside: the lock and the log's end ---------------------------------------------------

    @contextlib.contextmanager
    def _locked(self, deadline: clock.Deadline | None) -> Iterator[None]:
        """The commit lock, with the log's end known and the index standing there."""
        for tried in range(TRIES):
            self.log.acquire(deadline)
            try:
                with self._opening:
                    self._sync_locked()
                break
            except commit_log.LogFailedError as error:
                self.log.lock.release()
                if tried == TRIES - 1:
                    raise _not_written(str(error)) from error
            except BaseException:
                self.log.lock.release()
                raise
        try:
            yield
        finally:
            self.log.lock.release()

    @contextlib.contextmanager
    def _locked_again(self, deadline: clock.Deadline | None, reason: str) -> Iterator[None]:
        """As `_locked`; after an append that failed midway, not getting there leaves it unknown."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._locked(deadline))
            except errors.UnavailableError as error:
                if self.log.attempted is None or not reason:
                    raise
                raise _unknown(reason) from error
            yield

    def _sync_locked(self) -> None:
        mark = self.log.locked_mark()
        if mark is not None and self._stands_at(mark):
            return
        self._have_index()
        if mark is not None:
            if self._applied != (mark.sequence, mark.chain):  # else another process applied it
                self._catch_up(mark.sequence)
            with contextlib.suppress(commit_log.LogFailedError):
                if self._applied == (mark.sequence, mark.chain):
                    self.log.adopt(mark)
                    self._seen = mark.sequence
                    return
        self._recover(trusted=self.log.lock.left_cleanly())
        self.log.settle()

    def _stands_at(self, mark: Mark) -> bool:
        """Nothing happened since this process last held the lock."""
        tail = self.log.tail
        if self._index is None or self._private is not None or self._applier is None:
            return False
        if tail is None or tail != mark or self._applied != (mark.sequence, mark.chain):
            return False
        try:
            self._index.check_current()
        except index.StaleIndexError:
            return False
        return True

    def _recover(self, *, trusted: bool, accept_loss: bool = False) -> None:
        """The log is made whole first; only then is what it holds applied."""
        trusted = trusted and not self.log.damaged
        try:
            tail = self.log.recover(*self._applied, trusted=trusted, accept_loss=accept_loss)
        except errors.NotFoundError:
            self._build_anew()
            tail = self._recover_from_image(trusted=trusted, accept_loss=accept_loss)
        self._catch_up(None)
        if self._applied[0] != tail.sequence:
            raise errors.BugError("log.not_applied", "the index stopped at commit {have} of {want}",
                                  have=self._applied[0], want=tail.sequence)

    def _recover_from_image(self, *, trusted: bool, accept_loss: bool) -> Mark:
        try:
            return self.log.recover(*self._applied, trusted=trusted, accept_loss=accept_loss)
        except errors.NotFoundError as error:
            raise errors.IntegrityError(
                "log.no_start", "no image of the index can be read, and the commit log does not "
                "reach back to its beginning",
                hint="bring missing nodes back; holdfast status names them",
            ) from error

    def _readmit(self) -> None:
        """Take members back into the log that can be written again."""
        if self.log.wants_back():
            with self._opening:
                self._recover(trusted=False)
                self.log.settle()

    # --- inside: batches ----------------------------------------------------------------------

    def _commit_batch(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        connection = self._writer()
        applier = self._applier
        assert applier is not None
        try:
            with index.damage_found():
                connection.execute("BEGIN IMMEDIATE")
                if replay.position(connection) != self._applied:
                    raise index.StaleIndexError(str(self.path))  # noqa: TRY301 - it was put back
                applier.sequence = self._applied[0] + 1
                applier.short = self.log.reserve.short()
                accepted, records = self._judge(requests, applier)
            if not records:
                self._roll_back(connection)
                _finish(accepted)
                return
            mark = self.log.append(log_file.pack_records(records))
        except apsw.Error as error:
            self._roll_back(connection)
            raise _index_failed(self.path, error) from error
        except BaseException:
            self._roll_back(connection)
            raise
        self._make_visible(connection, applier, mark)
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
            with index.damage_found():
                applier.flush()
                replay.set_position(connection, mark.sequence, mark.chain)
                connection.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back(connection)
            raise _index_failed(self.path, error) from error
        except index.DamagedIndexError:
            self._roll_back(connection)
            raise
        self._applied = (mark.sequence, mark.chain)
        self._seen = mark.sequence

    def _roll_back(self, connection: apsw.Connection) -> None:
        if not connection.get_autocommit():
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
        if self._applier is not None:
            try:
                self._applier.reload()
            except apsw.Error:
                self._applier = None

    # --- inside: the index --------------------------------------------------------------------

    def _writer(self) -> apsw.Connection:
        assert self._index is not None
        return self._index.writer()

    def _try_index(self, mark: Mark) -> bool:
        """Open the index that is there; True when it is sound and stands at `mark`."""
        if not self.path.exists():
            return False
        try:
            opened = index.Index(self.path, read_only=self._read_only)
            with opened.reading() as connection:
                position = replay.position(connection)
        except (index.StaleIndexError, index.DamagedIndexError):
            return False
        if position != (mark.sequence, mark.chain):
            opened.close()
            return False
        self._index, self._seen = opened, position[0]
        return True

    def _have_index(self) -> None:
        """Under the lock: an open index with its applier, made anew where there is no sound one."""
        if self._private is not None:
            self._drop()
        for _ in range(2):  # a stale one was replaced: open the one that stands there now
            try:
                self._take_index()
            except index.StaleIndexError:
                self._drop()
            except (index.DamagedIndexError, apsw.Error):
                break
            else:
                return
        self._build_anew()

    def _take_index(self) -> None:
        if self._index is None:
            if index.identity_of(self.path) in (None, self._distrusted):
                raise index.DamagedIndexError("missing")
            self._index = index.Index(self.path)
        connection = self._index.writer()
        position = replay.position(connection)
        if index.get_meta(connection).get("store") not in (None, replay.store_id(self.log.store)):
            raise index.DamagedIndexError("of another store")
        if position != self._applied or self._applier is None:
            self._applier = apply.Applier(connection)
            self._applied = position

    def _catch_up(self, until: int | None) -> None:
        """Apply the frames that follow the index's position; make it anew where that fails."""
        try:
            self._apply_frames(until)
        except errors.NotFoundError:
            self._build_anew()
            self._apply_frames(until)
        except replay.FAILURES:
            self._build_anew()
            self._apply_frames(until)

    def _build_anew(self) -> None:
        """An index as the newest image has it."""
        if self._index is not None:
            self._index.close()
        self._applier, self._private = None, None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            index.create(self.path)
            image.load_newest(self.log, self.path)
            self._index = index.Index(self.path)
            connection = self._index.writer()
            self._applier = apply.Applier(connection)
            self._applied = replay.position(connection)
        except (OSError, apsw.Error) as error:
            raise _index_failed(self.path, error) from error

    def _apply_frames(self, until: int | None) -> None:
        assert self._index is not None
        assert self._applier is not None
        connection = self._index.writer()
        replay.apply_frames(self.log, connection, self._applier, self._applied, until)
        self._applied = replay.position(connection)
        self._seen = self._applied[0]

    def _open_private(self) -> None:
        """For reading only: an index of this process's own, in memory."""
        with self._opening:
            self._drop()
            mark = self.log.settled()
            source = self.path if self.path.exists() else None
            made = private_index.PrivateIndex(
                self.log, source, None if mark is None else mark.sequence)
            self._private, self._index, self._seen = made, made.index, made.position[0]

    def _reopen(self, seen: index.Index | None, *, damaged: bool = False) -> None:
        """After a reader found `seen` stale or damaged, unless another thread was faster."""
        with self._opening:
            if self._index is seen:
                self._drop(damaged=damaged and not self._read_only)
            elif self._index is not None:
                return
            if self._read_only:
                self._open_private()
                return
        with self._locked(clock.Deadline(REBUILD_WAIT_S)):
            pass

    def _drop(self, *, damaged: bool = False) -> None:
        """Let go of the index; one that is damaged is not opened again."""
        with self._opening:
            if self._index is not None:
                if damaged:
                    self._distrusted = self._index.identity
                self._index.close()
            self._index, self._applier, self._private = None, None, None
            self._applied, self._seen = NOWHERE, -1

    # --- inside: images -----------------------------------------------------------------------

    def _maybe_take_image(self) -> None:
        """After enough log: store the index itself on the members and let go of old log files.

        What was committed is safe without it, so a failure is noted and tried again later.
        """
        if self.log.bytes_since_image() < self._image_after_bytes:
            return
        try:
            image.take(self.log, self._writer(), self.folder, self._applied)
            self.log.settle()
        except (OSError, apsw.Error, commit_log.LogFailedError, errors.HoldfastError) as error:
            self.image_error = str(error)
        else:
            self.image_error = None


def _finish(requests: Sequence[Request]) -> None:
    for request in requests:
        request.finish(None)


def _not_written(reason: str) -> errors.UnavailableError:
    return errors.UnavailableError(
        "log.failed", "the commit log could not be written: {reason}",
        hint="holdfast status shows which nodes fail", reason=reason,
    )


def _unknown(reason: str) -> errors.UnavailableError:
    return errors.UnavailableError(
        "log.unknown", "the commit log failed midway: {reason}; whether the change happened is not "
        "known", hint="look whether it is there before trying again: holdfast stat", reason=reason,
    )


def _index_failed(path: Path, error: Exception) -> errors.UnavailableError:
    return errors.UnavailableError(
        "index.write_failed", "the index {path} could not be written: {reason}; what was changed is "
        "in the commit log", path=str(path), reason=str(error),
        hint="free space where the state folder lies; the next command catches up",
    )
