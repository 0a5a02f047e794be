"""The commit log: a replicated chain of frames over the log's members, and how it recovers.

Used only by the holder of the commit lock, except for the reading part. The rules:

- A commit is written to all active members and needs max(majority, F+1) durable copies, F being
  what the store's protections promise; where fewer are active, because some have failed already,
  it needs all of these. Active members are never fewer than a majority.
- An append goes to the current file of the current epoch, and only after the last holder left
  cleanly, which its mark in the lock files says. Otherwise `recover` first: find the longest valid
  chain, bring what only some members hold to the others, promise a higher epoch and begin a new
  file. So a late write of a frozen process lands in a file whose end is already fixed.
- After the append the epoch and the lock files are looked at again, on the same nodes.
- A member whose write failed is out: the next file is begun without it, and the failed file is
  never written again; it comes back, caught up by whole files, when it can be written again.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from holdfast import errors
from holdfast.engines.embedded import commit_lock, log_copies, log_file, log_mend, reserve
from holdfast.engines.embedded.commit_lock import Mark
from holdfast.engines.embedded.log_file import Frame, Header, Name
from holdfast.kit import atomic, clock, ids

FILE_BYTES_MAX = 64 << 20  # a new file begins when the current one is longer
RETRY_S = (30.0, 3600.0)  # how long a member that failed is left alone: at first, and at most

Jobs = Sequence[tuple[int, Callable[[], None]]]
Barrier = Callable[[Jobs, int], dict[int, OSError]]
"""Runs one job a member, side by side, and returns the failures by member."""


class Member(NamedTuple):
    """A node that the log is kept on."""

    number: int
    uuid: str
    root: Path | None  # None: the node is not there


class LogFailedError(Exception):
    """A step did not reach its quorum, or the locks were disturbed: the outcome is unknown."""


class CommitLog:
    """`barrier` runs jobs of members in parallel with the store's deadline."""

    def __init__(
        self, store: bytes, members: list[Member], tolerated: int, barrier: Barrier
    ) -> None:
        self.store = store
        self.members = sorted(members, key=lambda one: one.uuid)
        self.tolerated = tolerated
        self.majority = len(members) // 2 + 1
        self.active: tuple[int, ...] = ()
        self.tail: Mark | None = None
        self.image: tuple[int, str, int] = (0, "", 0)
        self.attempted: tuple[Mark, bytes] | None = None
        self._barrier = barrier
        self._out: dict[int, tuple[float, float]] = {}  # member: (until when, for how long)
        self._last_marks: tuple[list[bytes], commit_lock.SeenMark | None] = ([], None)
        self._roots = {one.number: one.root for one in members if one.root is not None}
        self.reserve = reserve.Reserve(self._roots, self.majority)
        self.copies = log_copies.LogCopies(store, self._roots)
        self._open: dict[int, _LogCopy] = {}
        self._written: tuple[bytes, Mark | None] = (b"", None)
        self._older_bytes = 0
        self.lock = commit_lock.CommitLock(
            [commit_lock.LockFile(one.number, one.root) for one in self.members if one.root],
            self.majority, len(members),
        )

    # --- reading ------------------------------------------------------------------------------

    @property
    def damaged(self) -> set[tuple[int, str]]:
        """(node, file) of copies in which damage was found."""
        return self.copies.damaged

    def newest_mark(self) -> Mark | None:
        """Where the log ends, if the last holder of this boot left cleanly."""
        seen = self._newest()
        return seen.mark if seen is not None and seen.state == commit_lock.CLEAN else None

    def settled(self) -> Mark | None:
        """A position that has every acknowledged commit; None when the marks cannot tell.

        Cheap: one small read a member. A busy mark holds the position from which the holder set
        out, and nothing is acknowledged before the next mark is written.
        """
        seen = self._newest()
        return None if seen is None else seen.mark

    def frames_after(self, sequence: int, chain: bytes) -> Iterator[Frame]:
        """See LogCopies."""
        return self.copies.frames_after(sequence, chain)

    def roots(self) -> list[Path]:
        """The folders of the members that can be reached."""
        return list(self._roots.values())

    def root_of(self, number: int) -> Path:
        return self._roots[number]

    # --- writing (commit lock held) -------------------------------------------------------------

    def acquire(self, deadline: clock.Deadline | None) -> None:
        """Take the commit lock, on members that have not failed."""
        self.lock.acquire(deadline, without=self._left_out())

    def adopt(self, mark: Mark) -> None:
        """Take the log's end from a clean mark that the index confirmed."""
        if self.tail is None or self.tail.name != mark.name or not self.active:
            header = self.copies.header(mark.name)
            if header is None:
                raise LogFailedError("no header of the current file")
            self._close_files()
            self.active, self.image = header.active, header.image
            self._older_bytes = self.copies.bytes_after(self.image[0])
        self.tail = mark
        self.copies.spot = mark

    def locked_mark(self) -> Mark | None:
        """The common clean mark of the locked members; None: recovery is needed."""
        known, mark = self._written
        with contextlib.suppress(OSError):
            if mark is not None and all(one.mark_bytes() == known for one in self.lock.held):
                return mark
        seen = self._marks(self.lock.held)
        if len(seen) < len(self.lock.held) or not seen:
            return None
        first = seen[0]
        agreed = all(
            one.mark == first.mark and one.state == commit_lock.CLEAN and one.current_boot
            for one in seen
        )
        return first.mark if agreed and not self._promised_above(first.mark.name.epoch) else None

    def append(self, payload: bytes) -> Mark:
        """One frame, durable on all active members. The lock stays marked busy until `settle`.

        Raises LogFailedError when the outcome is unknown; recovery then decides it, and `survived`
        tells.
        """
        assert self.tail is not None
        self.attempted = None
        if self.tail.offset > FILE_BYTES_MAX:
            self.begin_file(self.tail.name.epoch)
        tail = self.tail
        frame, chain = log_file.pack_frame(
            tail.sequence + 1, tail.chain, payload, nonce=tail.name.nonce)
        self._write_marks(tail, commit_lock.BUSY)
        self.attempted = (tail, chain)
        failures = self._write_frame(frame, tail)
        gone = [number for number in self.active if number not in self._roots]
        if failures or gone:
            self._put_out(failures)
            raise LogFailedError(_reasons(failures, gone))
        if not self.lock.undisturbed(tail.name.epoch):
            raise LogFailedError("the lock files were replaced")
        self.tail = Mark(tail.name, tail.sequence + 1, chain, tail.offset + len(frame))
        self.copies.spot = self.tail
        return self.tail

    def survived(self) -> bool:
        """After recovery: is the frame of the last `append` in the log?"""
        if self.attempted is None:
            return False
        before, chain = self.attempted
        first = next(self.copies.frames_after(before.sequence, before.chain), None)
        return first is not None and first.chain == chain

    def settle(self) -> None:
        """The index has what was appended: mark the log clean. Raises LogFailedError."""
        assert self.tail is not None
        self._write_marks(self.tail, commit_lock.CLEAN)

    def recover(
        self, sequence: int, chain: bytes, *, trusted: bool, accept_loss: bool = False
    ) -> Mark:
        """Make the longest valid chain the log, on all members that can be reached.

        `sequence`, `chain`: a position that is known to be in the log (of the index, or genesis).
        `trusted`: nobody died midway; then nothing is written when all active members end alike.
        Returns the tail, already adopted; the lock stays marked busy until `settle`. Raises as
        `frames_after` does, UnavailableError without a quorum, and LogFailedError.
        """
        for frame in self.copies.frames_after(sequence, chain):
            sequence, chain = frame.sequence, frame.chain
        marked = max((one.mark.sequence for one in self._marks(self.lock.held)
                      if one.current_boot), default=0)
        if marked > sequence and not accept_loss:
            raise log_copies.gap(sequence)
        even = self._even_tail(sequence, chain) if trusted else None
        if even is not None:
            self.adopt(even)
            return even
        epoch = self._promise(0)
        self.active = self._mend()
        self.tail = Mark(Name(0, 0, 0), sequence, chain, 0)
        self.begin_file(epoch)
        return self.tail

    def begin_file(self, epoch: int) -> None:
        """Start the next file after the tail on the active members; raises when too few can."""
        assert self.tail is not None
        self._write_marks(self.tail, commit_lock.BUSY)  # a file begun by halves ends the one before
        while True:
            name = Name(epoch, self.tail.sequence + 1, ids.new_number())
            header = log_file.pack_header(Header(
                self.store, name, self.tail.chain, tuple(one.number for one in self.members),
                self.active, self.tolerated, self.image))
            failures = self._barrier(
                [(number, self._creator(number, name, header)) for number in self.active],
                len(self.active),
            )
            if not failures:
                break
            self._put_out(failures)
            self.active = tuple(one for one in self.active if one not in failures)
            self._need_quorum(len(self.active))
            epoch = self._promise(epoch)  # whoever has the abandoned file must see a later one
        self._close_files()
        self.tail = Mark(name, self.tail.sequence, self.tail.chain, log_file.HEADER_BYTES)
        self.copies.spot = self.tail
        self._older_bytes = self.copies.bytes_after(self.image[0])
        self._write_marks(self.tail, commit_lock.BUSY)

    def wants_back(self) -> bool:
        """Is there a member that the current file is not written to, but could be?"""
        candidates = [
            number for number in self._roots
            if number not in self.active and number not in self._left_out()
        ]
        if not candidates:
            return False
        jobs = [(number, _prober(self._roots[number])) for number in candidates]
        failures = self._barrier(jobs, len(jobs))
        self._put_out(failures)
        return len(failures) < len(candidates)

    def bytes_since_image(self) -> int:
        """How much log a rebuild from the newest image would have to read."""
        return self._older_bytes + (self.tail.offset if self.tail is not None else 0)

    def image_taken(self, image: tuple[int, str, int]) -> None:
        """The image is on the members: name it in a new file."""
        assert self.tail is not None
        self.image = image
        self.begin_file(self.tail.name.epoch)

    def truncate(self, keep_from: int) -> None:
        """Remove files all of whose frames come before sequence `keep_from`. Raises OSError."""
        for name, following in itertools.pairwise(self.copies.names()):
            if following.first <= keep_from:
                for number in self._roots:
                    atomic.remove(self.copies.path(number, name), point="log.truncate")

    def run(self, jobs: Jobs) -> dict[int, OSError]:
        """Run one job a member side by side, as the log's own writes are."""
        return self._barrier(jobs, len(jobs))

    def close(self) -> None:
        self._close_files()
        self.lock.close()

    # --- helpers ----------------------------------------------------------------------------

    def _newest(self) -> commit_lock.SeenMark | None:
        known, seen = self._last_marks
        raw: list[bytes] = []
        with contextlib.suppress(OSError):
            raw = [one.mark_bytes() for one in self.lock.files[: self.majority]]
        if not raw or raw != known:
            seen = self._judge_marks()
            self._last_marks = (raw, seen)
        return seen

    def _judge_marks(self) -> commit_lock.SeenMark | None:
        seen = self._marks(self.lock.files[: self.majority])
        if len(seen) < self.majority:
            seen = self._marks(self.lock.files)
        if len(seen) < self.majority or not all(one.current_boot for one in seen):
            return None
        return max(seen, key=lambda one: (one.mark.sequence, one.mark.name.epoch, one.state))

    def _marks(self, files: list[commit_lock.LockFile]) -> list[commit_lock.SeenMark]:
        found = []
        for one in files:
            with contextlib.suppress(OSError):
                seen = one.mark()
                if seen is not None:
                    found.append(seen)
        return found

    def _write_marks(self, mark: Mark, state: int) -> None:
        """Every member of the lock must tell the same, or readers elsewhere would be misled."""
        data = commit_lock.pack_mark(mark, state)
        self._written = (data, mark if state == commit_lock.CLEAN else None)
        failures = self._barrier(
            [(one.number, functools.partial(one.write_mark, data)) for one in self.lock.held],
            len(self.lock.held),
        )
        if failures:
            self._put_out(failures)
            raise LogFailedError(_reasons(failures))

    def _write_frame(self, frame: bytes, tail: Mark) -> dict[int, OSError]:
        """Write it to every active member, and sync as many as a commit needs, in turn.

        The others are synced by one of the next commits; until then they are ahead of their disk,
        which is no worse than a member that is behind.
        """
        durable = max(self.majority, min(self.tolerated + 1, len(self.active)))
        turn = tail.sequence % len(self.active)
        ordered = self.active[turn:] + self.active[:turn]
        jobs = [
            (number, self._appender(number, frame, tail, synced=position < durable))
            for position, number in enumerate(ordered) if number in self._roots
        ]
        return self._barrier(jobs, len(jobs))

    def _appender(
        self, number: int, frame: bytes, tail: Mark, *, synced: bool
    ) -> Callable[[], None]:
        def job() -> None:
            opened = self._open.get(number)
            if opened is None:
                opened = self._open[number] = _LogCopy(str(self.copies.path(number, tail.name)))
            opened.check_end(tail.offset)
            self.reserve.spending(number, lambda: atomic.write(
                opened.descriptor, frame, tail.offset, point="log.append"))
            if synced:
                atomic.sync(opened.descriptor, point="log.sync")

        return job

    def _creator(self, number: int, name: Name, header: bytes) -> Callable[[], None]:
        path = self.copies.path(number, name)

        def job() -> None:
            self.reserve.spending(
                number, lambda: atomic.write_file(path, header, point="log.begin"))

        return job

    def _promise(self, above: int) -> int:
        """A new epoch, promised durably by the locked majority."""
        epochs = [above, *(name.epoch for name in self.copies.names())]
        for one in self.lock.held:
            with contextlib.suppress(OSError):
                epochs.append(one.epoch())
        epoch = max(epochs) + 1
        failures = self._barrier(
            [(one.number, functools.partial(one.promise, epoch)) for one in self.lock.held],
            len(self.lock.held),
        )
        if failures:
            self._put_out(failures)
            raise LogFailedError(_reasons(failures))
        return epoch

    def _promised_above(self, epoch: int) -> bool:
        """Did somebody promise a later epoch and die before its file was begun?"""
        try:
            return any(one.epoch() > epoch for one in self.lock.held)
        except OSError:
            return True

    def _even_tail(self, sequence: int, chain: bytes) -> Mark | None:
        """The end of the newest file, if every active member ends there, at this position."""
        names = self.copies.names()
        header = self.copies.header(names[-1]) if names else None
        if header is None or any(number not in self._roots for number in header.active):
            return None
        if any(text == str(names[-1]) for _, text in self.copies.damaged):
            return None
        if self._promised_above(names[-1].epoch):
            return None
        ends = {self.copies.tail_of(number, names[-1]) for number in header.active}
        end = ends.pop()
        if ends or end is None or (end.sequence, end.chain, end.size) != (sequence, chain, end.end):
            return None
        return Mark(names[-1], sequence, chain, end.end)

    def _mend(self) -> tuple[int, ...]:
        """Give every reachable member whole copies of all files; the members that now have them."""
        wanted = [number for number in self._roots if number not in self._left_out()]
        jobs = [
            (number, functools.partial(self.reserve.spending, number, job))
            for number, job in log_mend.jobs(self.copies, wanted)
        ]
        failures = self._barrier(jobs, len(jobs))
        self._put_out(failures)
        good = tuple(sorted(number for number in wanted if number not in failures))
        self._need_quorum(len(good))
        return good

    def _left_out(self) -> frozenset[int]:
        """Members that failed lately; none when the log cannot do without them."""
        now_s = clock.SYSTEM.monotonic_s()
        out = frozenset(number for number, (until, _) in self._out.items() if now_s < until)
        return out if len(self._roots) - len(out) >= self.majority else frozenset()

    def _put_out(self, failed: Mapping[int, OSError]) -> None:
        """Leave members alone for a while, twice as long as the last time.

        One that hung is not touched again by this handle, not even to read: nothing that is done
        outside a node's own threads could be given up.
        """
        now_s = clock.SYSTEM.monotonic_s()
        first, longest = RETRY_S
        for number, error in failed.items():
            if isinstance(error, TimeoutError):
                self._roots.pop(number, None)
                self.lock.leave_out(number)
            _, before = self._out.get(number, (0.0, first / 2))
            pause = min(before * 2, longest)
            self._out[number] = (now_s + pause, pause)

    def _need_quorum(self, have: int) -> None:
        if have < self.majority:
            raise errors.UnavailableError(
                "log.no_quorum", "only {have} of {need} needed copies of the commit log can be "
                "written; nothing can be changed", have=have, need=self.majority,
                hint="reading goes on; holdfast status shows which nodes are missing; bring one "
                "back",
            )

    def _close_files(self) -> None:
        for opened in self._open.values():
            with contextlib.suppress(OSError):
                opened.close()
        self._open = {}


class _LogCopy:
    """One member's copy of the current file, open for appending."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._path = path
        opened = os.fstat(self.descriptor)
        self._identity = (opened.st_dev, opened.st_ino)

    def check_end(self, offset: int) -> None:
        """Raises OSError when the path names another file, or it does not end at `offset`."""
        named = os.stat(self._path)
        if (named.st_dev, named.st_ino) != self._identity or named.st_size != offset:
            raise OSError(f"{self._path} is not the file that was begun, or not where it ended")

    def close(self) -> None:
        os.close(self.descriptor)


def _prober(root: Path) -> Callable[[], None]:
    """Can the node be written?"""

    def job() -> None:
        folder = log_file.folder_of(root)
        atomic.write_file(folder / "probe", b"", point="log.probe")
        atomic.remove(folder / "probe", point="log.probe.remove")

    return job


def _reasons(failures: dict[int, OSError], gone: Iterable[int] = ()) -> str:
    said = [f"node {number}: {error}" for number, error in sorted(failures.items())]
    return "; ".join([*said, *(f"node {number} is not there" for number in gone)])
